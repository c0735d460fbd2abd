package transfer_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sekisho/assets"
	"sekisho/scan"
	"sekisho/transfer"
	"sekisho/transfer/drive"
	"sekisho/transfer/ledger"
	"sekisho/transfer/manifest"
	"sekisho/transfer/outbox"
	"sekisho/transfer/seal"
	"sekisho/transfer/source"
)

var errCrash = errors.New("crashed here")

// failing is a TPM at which the kiosk stops before or after a step.
type failing struct {
	seal.Signer
	before, after string // the step's name
	on            func() // done before the step "seal"
}

func (f *failing) Increment() (uint64, error) {
	if f.before == "increment" {
		return 0, errCrash
	}
	n, err := f.Signer.Increment()
	if f.after == "increment" {
		err = errors.Join(err, errCrash)
	}
	return n, err
}

func (f *failing) Seal(payloadType string, payload []byte) (*seal.Sealed, error) {
	if f.on != nil {
		f.on()
	}
	sealed, err := f.Signer.Seal(payloadType, payload)
	if f.after == "seal" {
		err = errors.Join(err, errCrash)
	}
	return sealed, err
}

// away makes a file or folder of the outbox missing until the returned function
// is called.
func away(t *testing.T, path string) (back func()) {
	t.Helper()
	must(t, os.Rename(path, path+"-away"))
	return func() { must(t, os.Rename(path+"-away", path)) }
}

// Sealing is cut off after each of its steps; then the bag goes onto the same
// drive, or everything that is due onto another, or another bag comes first;
// and the drives reach the gate in either order. Nothing is lost or refused, and
// every value of the counter is accounted for.
func TestSealingCutOff(t *testing.T) {
	for _, step := range []string{"before increment", "after increment", "after seal", "after drive", "after ledger", "after write"} {
		t.Run(step, func(t *testing.T) {
			k := newKiosk(t, "k1")
			g := newGate(t, k)
			first := t.TempDir()
			k.write(t, first, k.prepare(t, export(t, map[string]string{"0": "before"})))
			last := g.accept(t, first)[0].Statement.Counter
			for _, then := range []string{"same drive", "other drive", "other bag first"} {
				for _, late := range []bool{false, true} {
					t.Run(fmt.Sprintf("%s, late %v", then, late), func(t *testing.T) {
						last = goOn(t, k, g, last, step, then, late)
					})
				}
			}
		})
	}
}

// goOn is one cell of the table; it returns the counter's value after it.
func goOn(t *testing.T, k *kiosk, g *gate, before uint64, step, then string, late bool) (last uint64) {
	first, other := scratch(t), scratch(t)
	a := k.prepare(t, export(t, map[string]string{"a": "a"}))
	b := k.prepare(t, export(t, map[string]string{"b": "b"}))
	cutOff(t, k, first, a, step)
	switch then {
	case "same drive":
		k.write(t, first, due(t, k)...)
	case "other drive":
		k.write(t, other, due(t, k)...)
	case "other bag first":
		k.write(t, other, b)
		k.write(t, first, due(t, k)...)
	}

	drives := []string{first, other}
	if late {
		slices.Reverse(drives)
	}
	accounted := make(map[uint64]bool)
	for range 2 { // and once more, when nothing is new
		for _, dir := range drives {
			outcomes, err := g.importDrive(t, dir)
			if r := refusalOf(nil, err); r != nil {
				refusedAs(t, r, transfer.NoTransfer)
			}
			for _, o := range outcomes {
				if o.Refusal != nil {
					t.Fatalf("the gate says %v", o.Refusal)
				}
				accounted[o.Statement.Counter] = true
				for _, c := range o.Statement.Gaps {
					accounted[c] = true
				}
				last = max(last, o.Statement.Counter)
			}
		}
	}
	for _, bag := range []*outbox.Bag{a, b} {
		if gen, err := g.vault.Generation(bag.ID()); err != nil || gen.Payload != bag.Statement.Payload {
			t.Errorf("transfer %s did not arrive: %v", bag.ID(), err)
		}
	}
	for c := before + 1; c <= last; c++ {
		if !accounted[c] {
			t.Errorf("nothing explains counter %d of %d", c, last)
		}
	}
	if counter, err := k.sealer.Counter(); err != nil || counter != last {
		t.Errorf("the TPM is at %d, the last seal at %d, %v", counter, last, err)
	}
	if chain, err := k.outbox.Chain(); err != nil || chain.Counter != last || chain.Pending != nil {
		t.Errorf("the chain is %+v, %v", chain, err)
	}
	return last
}

// cutOff writes a bag and stops where step says.
func cutOff(t *testing.T, k *kiosk, dir string, bag *outbox.Bag, step string) {
	t.Helper()
	w := k.writing(t, dir)
	f := &failing{Signer: k.sealer}
	w.Signer = f
	back := func() {}
	switch step {
	case "before increment":
		f.before = "increment"
	case "after increment":
		f.after = "increment"
	case "after seal":
		f.after = "seal"
	case "after drive":
		closed, err := ledger.Open(filepath.Join(t.TempDir(), "ledger"), "sekisho/kiosk/other", keyFile(t, filepath.Join(t.TempDir(), "key")).Signer())
		must(t, err)
		must(t, closed.Close())
		w.Ledger = closed
	case "after ledger":
		f.on = func() { back = away(t, filepath.Dir(bag.Dir())) }
	case "after write":
		f.on = func() {
			part := filepath.Join(k.outbox.Dir(), "chain.json.part", "in the way")
			must(t, os.MkdirAll(part, 0o700))
			back = func() { must(t, os.RemoveAll(filepath.Dir(part))) }
		}
	}
	if err := transfer.Write(t.Context(), w, bag); err == nil {
		t.Fatal("it was not cut off")
	}
	back()
	// What a new process would see.
	again, err := outbox.Open(k.outbox.Dir())
	must(t, err)
	k.outbox = again
}

// due lists the bags that wait for a drive.
func due(t testing.TB, k *kiosk) (bags []*outbox.Bag) {
	t.Helper()
	all, err := k.outbox.Bags()
	must(t, err)
	for _, b := range all {
		if b.Due() {
			bags = append(bags, b)
		}
	}
	return bags
}

func init() {
	children["kiosk-prepare"] = func(args []string) int { return exit(kioskPrepare(args)) }
	children["kiosk-write"] = func(args []string) int { return exit(kioskWrite(args)) }
}

func exit(err error) int {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// told prints a line for whatever happens, so that a test can stop there.
func told() transfer.Watcher {
	return transfer.Watcher{
		Progress: func(p transfer.Progress) { fmt.Println(p.Phase) },
		File:     func(transfer.File) { fmt.Println("file") },
	}
}

// kioskState opens what both halves of a night need, in the kiosk's folder.
func kioskState(dir string) (*outbox.Outbox, *ledger.Log, error) {
	o, err := outbox.Open(filepath.Join(dir, "outbox"))
	if err != nil {
		return nil, nil, err
	}
	key, err := seal.LoadPrivateKey(filepath.Join(dir, "ledger.key"))
	if err != nil {
		return nil, nil, err
	}
	l, err := ledger.Open(filepath.Join(dir, "ledger"), "sekisho/kiosk/k1", key.Signer())
	return o, l, err
}

// kioskPrepare is the unattended half: kiosk folder, key set, source, socket.
func kioskPrepare(args []string) (err error) {
	o, l, err := kioskState(args[0])
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	data, err := os.ReadFile(args[1])
	if err != nil {
		return err
	}
	keys, err := manifest.ParseKeySet(data)
	if err != nil {
		return err
	}
	tree, err := source.OpenFolder(args[2], source.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, tree.Close()) }()
	spool, err := scan.NewSpool(scan.SpoolOptions{Dir: args[0], Memory: 1 << 20, Largest: 128 << 10})
	if err != nil {
		return err
	}
	clamd := scan.ClamdConfig{Sockets: args[3:]}
	if len(args) == 3 {
		clamd = scan.ClamdConfig{Private: true, Daemons: 1, Unpack: 64 << 20}
	}
	ctx := context.Background()
	s, err := scan.New(ctx, scan.Config{Clamd: clamd, Workers: 1, Builtin: assets.Rules, Log: quiet()})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	fmt.Println("engines")
	_, err = transfer.Prepare(ctx, transfer.Preparation{
		Kiosk: "k1", Tree: tree, Spool: spool, Scanner: s, Workers: 1, Outbox: o, PartSize: smallPart, Keys: keys, HoldAge: math.MaxInt64,
		Workflow: transfer.Workflow{Name: "export", Number: 1, Source: args[2]}, Ledger: l, Log: quiet(), Watcher: told(),
	})
	return err
}

// kioskWrite is the carrier's half: kiosk folder, drive.
func kioskWrite(args []string) (err error) {
	o, l, err := kioskState(args[0])
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	tpm, err := seal.OpenSoftware(context.Background(), filepath.Join(args[0], "tpm"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, tpm.Close()) }()
	key, err := tpm.Key(seal.Form{})
	if err != nil {
		return err
	}
	d, err := drive.Open(args[1])
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	all, err := o.Bags()
	if err != nil {
		return err
	}
	fmt.Println("open")
	all = slices.DeleteFunc(all, func(b *outbox.Bag) bool { return !b.Due() })
	w := transfer.Writing{Outbox: o, Drive: d, Signer: telling{key}, Software: "test", Ledger: l, Watcher: told()}
	return transfer.Write(context.Background(), w, all...)
}

// telling is a TPM that says what it did.
type telling struct{ seal.Signer }

func (s telling) Increment() (uint64, error) {
	n, err := s.Signer.Increment()
	fmt.Println("increment")
	return n, err
}

func (s telling) Seal(payloadType string, payload []byte) (*seal.Sealed, error) {
	sealed, err := s.Signer.Seal(payloadType, payload)
	fmt.Println("seal")
	return sealed, err
}

// runKilled runs a child and kills it a moment after it told at lines; with at
// < 0 it may end. It returns how many lines it told and whether it was done.
func runKilled(t *testing.T, at int, moment time.Duration, args ...string) (lines int, done bool) {
	t.Helper()
	cmd := exec.Command("/proc/self/exe", args...)
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	for r := bufio.NewScanner(out); r.Scan(); lines++ {
		if lines == at {
			time.Sleep(moment)
			must(t, cmd.Process.Kill())
		}
	}
	_, err = io.Copy(io.Discard, out)
	_ = err // the pipe of a killed child
	err = cmd.Wait()
	if at < 0 && err != nil {
		t.Fatalf("%s: %v: %s", args[0], err, said.String())
	}
	var ended *exec.ExitError
	if err != nil && (!errors.As(err, &ended) || ended.Exited()) {
		t.Errorf("%s: %v: %s", args[0], err, said.String())
	}
	return lines, err == nil
}

// Killed at any moment of preparing and of writing, and started again: in the
// end the gate has every file, and never takes what was not finished.
func TestKilled(t *testing.T) {
	const enough = 40
	rng := rand.New(rand.NewPCG(1, 2026))
	dir := t.TempDir()
	engines(t)
	sockets := clamdSockets(t, nil)
	tpm := openTPM(t, "k1", filepath.Join(dir, "tpm"))
	key, err := tpm.Key(seal.Form{})
	must(t, err)
	keyFile(t, filepath.Join(dir, "ledger.key"))
	k := &kiosk{name: "k1", dir: dir, tpm: tpm, sealer: key}
	g := newGate(t, k)
	must(t, tpm.Close())
	keys, err := g.keys.Marshal()
	must(t, err)
	keysPath := filepath.Join(t.TempDir(), "keys.json")
	must(t, os.WriteFile(keysPath, keys, 0o600))
	stick := scratch(t)
	killed, nights := 0, 0

	for ; killed < enough; nights++ {
		n := nights
		if n > 20 {
			t.Fatalf("only %d kills in %d nights", killed, n)
		}
		src := night(t, fmt.Sprint("night ", n))
		prepare := append([]string{"kiosk-prepare", dir, keysPath, src}, sockets...)
		write := []string{"kiosk-write", dir, stick}
		for i := range 4 { // each starts an engine
			_, done := runKilled(t, rng.IntN(4+5*i), time.Duration(rng.IntN(8))*time.Millisecond, prepare...)
			if done {
				break
			}
			killed++
		}
		runKilled(t, -1, 0, prepare...)
		for range 12 {
			_, done := runKilled(t, rng.IntN(16), time.Duration(rng.IntN(3000))*time.Microsecond, write...)
			if !done {
				killed++
			}
			in := g.inbound(t, stick)
			in.VerifyOnly = true
			outcomes, err := transfer.Import(t.Context(), in)
			if r := refusalOf(outcomes, err); r != nil && r.Reason != transfer.NoTransfer {
				t.Fatalf("a drive that was not finished looks like one that is not right: %v", r)
			}
			if done {
				break
			}
		}
		runKilled(t, -1, 0, write...)
		outcomes, err := g.importDrive(t, stick)
		must(t, err)
		o := outcomes[len(outcomes)-1]
		if o.Refusal != nil || o.Reason != "" || len(o.Gaps) > 0 {
			t.Fatalf("night %d: %+v", n, o)
		}
		sameTree(t, tree(t, g.restore(t, o.Generation)), tree(t, src))
		if leftover := filepath.Join(dir, "outbox"); len(slices.DeleteFunc(leftovers(t, leftover), func(p string) bool { return strings.HasSuffix(p, "ready.json") })) > 0 {
			t.Errorf("the outbox holds %q", leftovers(t, leftover))
		}
	}
	t.Logf("%d kills in %d nights", killed, nights)

	o, l, err := kioskState(dir)
	must(t, err)
	must(t, l.Close())
	again, err := seal.OpenSoftware(t.Context(), filepath.Join(dir, "tpm"))
	must(t, err)
	defer func() { must(t, again.Close()) }()
	if key, err = again.Key(seal.Form{}); err != nil {
		t.Fatal(err)
	}
	counter, err := key.Counter()
	must(t, err)
	chain, err := o.Chain()
	must(t, err)
	all, err := g.vault.Generations()
	must(t, err)
	if len(all) != nights || chain.Counter != counter || chain.Pending != nil || all[nights-1].Counter != counter {
		t.Errorf("%d generations, the last at %d; the TPM is at %d, the chain %+v", len(all), all[len(all)-1].Counter, counter, chain)
	}
}

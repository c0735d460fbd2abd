package transfer_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sekisho/transfer"
	"sekisho/transfer/drive"
	"sekisho/transfer/ledger"
	"sekisho/transfer/manifest"
	"sekisho/transfer/seal"
	"sekisho/transfer/vault"
)

func init() { children["gate-import"] = gateImport }

// gateImport is a gate that imports a drive and may be killed: its arguments are
// the folders of the gate and of the drive.
func gateImport(args []string) int {
	outcomes, err := func() ([]transfer.Outcome, error) {
		in, err := openInbound(args[0], args[1])
		if err != nil {
			return nil, err
		}
		return transfer.Import(context.Background(), in)
	}()
	if r := refusalOf(outcomes, err); r != nil || err != nil || len(outcomes) == 0 {
		fmt.Println(r, err)
		return 1
	}
	return 0
}

// save puts what openInbound needs into the gate's folder, beside the rest.
func (g *gate) save(t testing.TB) {
	t.Helper()
	keys, err := g.keys.Marshal()
	must(t, err)
	writeFile(t, g.path("keys.json"), string(keys))
	kiosk, err := g.kiosks[0].Marshal()
	must(t, err)
	writeFile(t, g.path("kiosk.json"), string(kiosk))
}

// openInbound opens a gate from its folder, as its program does.
func openInbound(gate, stick string) (in transfer.Inbound, err error) {
	path := func(name string) string { return filepath.Join(gate, name) }
	text, err := os.ReadFile(path("gate.key"))
	if err != nil {
		return in, err
	}
	if in.Identity, err = transfer.NewIdentity(string(text)); err != nil {
		return in, err
	}
	if in.Receipts, err = seal.LoadPrivateKey(path("receipts.key")); err != nil {
		return in, err
	}
	if text, err = os.ReadFile(path("keys.json")); err != nil {
		return in, err
	}
	if in.Keys, err = manifest.ParseKeySet(text); err != nil {
		return in, err
	}
	if text, err = os.ReadFile(path("kiosk.json")); err != nil {
		return in, err
	}
	k, err := seal.ParseKiosk(text)
	if err != nil {
		return in, err
	}
	key, err := seal.LoadPrivateKey(path("ledger.key"))
	if err != nil {
		return in, err
	}
	in.SoftwareRoots = map[string]bool{k.Root: true}
	in.Gate, in.Kiosks, in.LedgerDir, in.Log = in.Keys.Gate, []*seal.Kiosk{k}, path("ledger"), quiet()
	if in.Ledger, err = ledger.Open(in.LedgerDir, "sekisho/gate/"+in.Gate, key.Signer()); err != nil {
		return in, err
	}
	if in.Vault, err = vault.Open(path("vault")); err != nil {
		return in, err
	}
	in.Drive, err = drive.Open(stick)
	return in, err
}

// The gate is killed at each thing it does on drive, vault and ledger, and at
// random moments; whatever was done by then, the next import completes the night.
func TestKilledImport(t *testing.T) {
	k := newKiosk(t, "k1")
	g := newGate(t, k)
	g.save(t)
	dir := t.TempDir()
	k.send(t, night(t, "first"), dir)
	k.send(t, export(t, map[string]string{"one.txt": "second"}), dir)

	c := &crash{gate: g, drive: dir}
	var steps int
	began := time.Now()
	c.try(t, func(*exec.Cmd) {}, func(string) { steps++ }, false)
	took := time.Since(began)
	if steps < 50 {
		t.Fatalf("only %d steps seen", steps)
	}
	reached := make(map[string]int)
	for step := 1; step <= steps; step += 2 {
		t.Run(fmt.Sprintf("at step %d of %d", step, steps), func(t *testing.T) {
			var cmd *exec.Cmd
			n := 0
			c.try(t, func(started *exec.Cmd) { cmd = started }, func(what string) {
				if n++; n == step {
					reached[what]++
					_ = cmd.Process.Kill() // it may have ended
				}
			}, true)
		})
	}
	t.Log(reached)
	rng := rand.New(rand.NewPCG(1, 2))
	for range 32 {
		after := time.Duration(rng.Int64N(int64(took)))
		t.Run(fmt.Sprint("after ", after), func(t *testing.T) {
			c.try(t, func(started *exec.Cmd) {
				time.AfterFunc(after, func() { _ = started.Process.Kill() })
			}, nil, true)
		})
	}
}

// crash is a night that many gates, each like the first, are killed at.
type crash struct {
	gate  *gate
	drive string
}

// try has a gate of its own import the drive in another process, tells each step
// of it, and checks what is left and how the night is completed.
func (c *crash) try(t *testing.T, started func(*exec.Cmd), step func(what string), killed bool) {
	dir := scratch(t)
	state, stick := filepath.Join(dir, "gate"), filepath.Join(dir, "drive")
	must(t, os.CopyFS(state, os.DirFS(c.gate.dir)))
	for _, key := range []string{"gate.key", "receipts.key", "ledger.key", "recovery.key"} {
		must(t, os.Chmod(filepath.Join(state, key), 0o600))
	}
	must(t, os.CopyFS(stick, os.DirFS(c.drive)))
	must(t, os.Mkdir(filepath.Join(stick, manifest.Receipts), 0o755))

	cmd := exec.Command("/proc/self/exe", "gate-import", state, stick)
	var said strings.Builder
	cmd.Stdout, cmd.Stderr = &said, &said
	var mu sync.Mutex // steps are told once the process is known
	mu.Lock()
	var w *watch
	if step != nil {
		w = newWatch(t, unix.IN_OPEN|unix.IN_CREATE|unix.IN_MOVED_TO|unix.IN_MODIFY|unix.IN_DELETE, func(mask uint32, path string) {
			mu.Lock()
			defer mu.Unlock()
			rel, _ := filepath.Rel(dir, path)
			step(filepath.Dir(rel))
		}, filepath.Join(state, "vault"), filepath.Join(state, "ledger"), filepath.Join(stick, manifest.Root))
	}
	must(t, cmd.Start())
	started(cmd)
	mu.Unlock()
	err := cmd.Wait()
	if w != nil {
		w.end(t)
	}
	if err != nil && (!killed || said.Len() > 0) {
		t.Fatalf("%v: %s", err, said.String())
	}
	c.check(t, state, stick, false)

	in, err := openInbound(state, stick)
	must(t, err)
	outcomes, err := transfer.Import(t.Context(), in)
	must(t, err)
	for _, o := range outcomes {
		if o.Refusal != nil || o.NoReceipt != nil {
			t.Errorf("completing: %+v", o)
		}
	}
	must(t, in.Ledger.Close())
	must(t, in.Drive.Close())
	c.check(t, state, stick, true)
}

// check holds what is on disk against what may be there: whole generations only,
// at most one record for each, and no receipt for what is not kept. Once complete,
// all of it is there.
func (c *crash) check(t *testing.T, state, stick string, complete bool) {
	t.Helper()
	v, err := vault.Open(filepath.Join(state, "vault"))
	must(t, err)
	all, err := v.Generations() // fails on a half one
	must(t, err)
	kept := make(map[string]bool)
	for _, g := range all {
		kept[g.Transfer] = true
		same(t, "generation "+g.ID, contents(t, filepath.Join(c.drive, manifest.Transfers, g.Transfer)), contents(t, v.Bag(g.ID)))
	}
	key, err := seal.LoadPrivateKey(filepath.Join(state, "ledger.key"))
	must(t, err)
	_, err = ledger.Verify(filepath.Join(state, "ledger"), "sekisho/gate/gate", key.Signer().Public())
	must(t, err)
	var records []string
	must(t, ledger.List(filepath.Join(state, "ledger"), 1, func(r ledger.Record) error {
		if r.Event != ledger.Import || !kept[r.Transfer] || slices.Contains(records, r.Transfer) {
			t.Errorf("record %+v", r)
		}
		records = append(records, r.Transfer)
		return nil
	}))
	names, err := os.ReadDir(filepath.Join(stick, manifest.Receipts))
	must(t, err)
	receipts := 0
	for _, n := range names {
		id, whole := strings.CutSuffix(n.Name(), ".dsse.json")
		if !whole {
			continue // an unfinished write, which nothing reads
		}
		data, err := os.ReadFile(filepath.Join(stick, manifest.Receipts, n.Name()))
		must(t, err)
		r, err := transfer.OpenReceipt(data, "gate", c.gate.receipts.Public())
		if err != nil || r.Result != manifest.Accepted || !kept[id] || !slices.Contains(records, id) {
			t.Errorf("receipt of %s: %+v, %v", id, r, err)
		}
		receipts++
	}
	if !complete {
		return
	}
	if len(all) != 2 || len(records) != 2 || receipts != 2 {
		t.Errorf("%d generations, %d records, %d receipts, want 2 of each", len(all), len(records), receipts)
	}
	if left, err := os.ReadDir(filepath.Join(state, "vault/staging")); err != nil || len(left) > 0 {
		t.Errorf("staging holds %v, %v", left, err)
	}
}

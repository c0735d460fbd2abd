package transfer_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"filippo.io/age"

	"sekisho/assets"
	"sekisho/scan"
	"sekisho/transfer"
	"sekisho/transfer/drive"
	"sekisho/transfer/enrol"
	"sekisho/transfer/ledger"
	"sekisho/transfer/manifest"
	"sekisho/transfer/outbox"
	"sekisho/transfer/seal"
	"sekisho/transfer/source"
	"sekisho/transfer/vault"
)

// children are what the test binary does instead of tests when it is started
// again with one of these words: a process that a test can kill. Test files add
// theirs in an init function.
var children = map[string]func(args []string) int{
	"scan-worker": func([]string) int { return scan.WorkerMain() },
}

func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		if child := children[os.Args[1]]; child != nil {
			os.Exit(child(os.Args[2:]))
		}
	}
	code := m.Run()
	if err := closeShared(); err != nil {
		println(err.Error())
		code = max(code, 1)
	}
	os.Exit(code)
}

// shared is what all tests of the process use: making it takes seconds.
var shared struct {
	sync.Mutex
	dir     string
	tpms    map[string]string // folders of TPMs as manufactured, by kiosk
	scanner *scan.Scanner
}

func sharedDir(t testing.TB) string {
	if shared.dir == "" {
		dir, err := os.MkdirTemp("", "transfer")
		must(t, err)
		shared.dir = dir
	}
	return shared.dir
}

func closeShared() (err error) {
	if shared.scanner != nil {
		err = shared.scanner.Close()
	}
	if shared.dir != "" {
		err = errors.Join(err, os.RemoveAll(shared.dir))
	}
	return err
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// scratch is a folder in memory where the machine has such, for the thousands of
// times that these tests flush; else one on disk.
func scratch(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "transfer")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { must(t, os.RemoveAll(dir)) })
	return dir
}

// engines returns the scanner that the tests share: a clamd of our own and YARA
// workers, with the project's own signatures.
func engines(t testing.TB) *scan.Scanner {
	t.Helper()
	shared.Lock()
	defer shared.Unlock()
	if shared.scanner == nil {
		// Not the test's context: the scanner outlives the test.
		s, err := scan.New(context.Background(), scan.Config{
			Clamd:   scan.ClamdConfig{Private: true, Daemons: 1, Unpack: 64 << 20},
			Workers: 2, Builtin: assets.Rules, Log: quiet(),
		})
		must(t, err)
		shared.scanner = s
	}
	return shared.scanner
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// openTPM starts a software TPM for the kiosk of that name. Kiosks of one name
// have one key, as if a TPM's state were copied; those of another have another.
func openTPM(t testing.TB, name, dir string) *seal.TPM {
	t.Helper()
	shared.Lock()
	defer shared.Unlock()
	made := shared.tpms[name]
	if made == "" {
		made = filepath.Join(sharedDir(t), "tpm-"+name)
		tpm, err := seal.OpenSoftware(t.Context(), made)
		must(t, err)
		_, err = tpm.CreateKey(seal.Form{})
		must(t, errors.Join(err, tpm.Close()))
		if shared.tpms == nil {
			shared.tpms = make(map[string]string)
		}
		shared.tpms[name] = made
	}
	must(t, os.CopyFS(dir, os.DirFS(made)))
	must(t, os.Chmod(filepath.Join(dir, "tpm"), 0o700))
	tpm, err := seal.OpenSoftware(t.Context(), dir)
	must(t, err)
	t.Cleanup(func() { must(t, tpm.Close()) })
	return tpm
}

// kiosk is a kiosk's state in a folder of its own, with real engines and a real
// software TPM.
type kiosk struct {
	name   string
	dir    string
	outbox *outbox.Outbox
	ledger *ledger.Log
	tpm    *seal.TPM
	sealer *seal.Key
	spool  *scan.Spool
	keys   *manifest.KeySet // of the gate that newGate made for it

	previous *manifest.Hash // statement of a forgery sealed with its key

	// For the test to change before prepare.
	policy   scan.Policy
	partSize int64 // bytes of plaintext
}

const smallPart = 64 << 10

// newKiosk makes a kiosk; newGate makes it a gate.
func newKiosk(t testing.TB, name string) *kiosk {
	t.Helper()
	k := &kiosk{name: name, dir: scratch(t), partSize: smallPart}
	var err error
	k.tpm = openTPM(t, name, k.path("tpm"))
	k.sealer, err = k.tpm.Key(seal.Form{})
	must(t, err)
	k.outbox, err = outbox.Open(k.path("outbox"))
	must(t, err)
	k.spool, err = scan.NewSpool(scan.SpoolOptions{Dir: k.dir, Memory: 8 << 20, Largest: 1 << 20})
	must(t, err)
	k.ledger = openLedger(t, k.path("ledger"), "sekisho/kiosk/"+name)
	return k
}

func (k *kiosk) path(name string) string { return filepath.Join(k.dir, name) }

// openLedger opens the ledger in dir, making its key beside it.
func openLedger(t testing.TB, dir, origin string) *ledger.Log {
	t.Helper()
	l, err := ledger.Open(dir, origin, keyFile(t, dir+".key").Signer())
	must(t, err)
	t.Cleanup(func() { must(t, l.Close()) })
	return l
}

func keyFile(t testing.TB, path string) *seal.PrivateKey {
	t.Helper()
	key, err := seal.LoadPrivateKey(path)
	if errors.Is(err, os.ErrNotExist) {
		key, err = seal.CreatePrivateKey(path)
	}
	must(t, err)
	return key
}

// preparation is what the kiosk prepares the folder src with, as workflow 1.
func (k *kiosk) preparation(t testing.TB, src string) transfer.Preparation {
	t.Helper()
	tree, err := source.OpenFolder(src, source.Options{})
	must(t, err)
	t.Cleanup(func() { must(t, tree.Close()) })
	return transfer.Preparation{
		Kiosk: k.name, Tree: tree, Spool: k.spool, Scanner: engines(t), Workers: 2, Outbox: k.outbox,
		Workflow: transfer.Workflow{Name: "export", Number: 1, Source: src, Policy: k.policy},
		PartSize: k.partSize, Keys: k.keys, HoldAge: 7 * 24 * time.Hour, Ledger: k.ledger, Log: quiet(),
	}
}

// prepare makes a bag of src, which must succeed.
func (k *kiosk) prepare(t testing.TB, src string) *outbox.Bag {
	t.Helper()
	bag, err := transfer.Prepare(t.Context(), k.preparation(t, src))
	must(t, err)
	return bag
}

// writing is what the kiosk writes to the drive in the folder dir with.
func (k *kiosk) writing(t testing.TB, dir string) transfer.Writing {
	t.Helper()
	return transfer.Writing{Outbox: k.outbox, Drive: openDrive(t, dir), Signer: k.sealer, Software: "sekisho-kiosk test", Ledger: k.ledger}
}

// write puts bags onto the drive in the folder dir, which must succeed.
func (k *kiosk) write(t testing.TB, dir string, bags ...*outbox.Bag) {
	t.Helper()
	must(t, transfer.Write(t.Context(), k.writing(t, dir), bags...))
}

// send prepares src and writes it to the drive in the folder dir.
func (k *kiosk) send(t testing.TB, src, dir string) *outbox.Bag {
	t.Helper()
	bag := k.prepare(t, src)
	k.write(t, dir, bag)
	return bag
}

// settle reads the receipts on the drive in the folder dir.
func (k *kiosk) settle(t testing.TB, dir string) []transfer.Answer {
	t.Helper()
	key, err := seal.ParsePublicKey([]byte(k.keys.Receipts))
	must(t, err)
	answers, unknown, err := transfer.Settle(transfer.Settling{Outbox: k.outbox, Drive: openDrive(t, dir), Gate: k.keys.Gate, Key: key, Ledger: k.ledger})
	must(t, err)
	if len(unknown) > 0 {
		t.Errorf("receipts that are not of gate %s: %q", k.keys.Gate, unknown)
	}
	return answers
}

func openDrive(t testing.TB, dir string) *drive.Drive {
	t.Helper()
	d, err := drive.Open(dir)
	must(t, err)
	t.Cleanup(func() { must(t, d.Close()) })
	return d
}

// gate is a gate's state in a folder of its own.
type gate struct {
	name     string
	dir      string
	vault    *vault.Vault
	ledger   *ledger.Log
	receipts *seal.PrivateKey
	identity transfer.Identity // the gate's own
	recovery transfer.Identity // the hospital's, which lies in a safe
	keys     *manifest.KeySet
	kiosks   []*seal.Kiosk
	roots    enrol.Roots // of their TPMs
}

// newGate makes a gate that has enrolled the kiosks, and that they have
// enrolled with.
func newGate(t testing.TB, kiosks ...*kiosk) *gate {
	t.Helper()
	g := &gate{name: "gate", dir: scratch(t)}
	var err error
	g.vault, err = vault.Create(g.path("vault"))
	must(t, err)
	g.ledger = openLedger(t, g.path("ledger"), "sekisho/gate/"+g.name)
	g.receipts = keyFile(t, g.path("receipts.key"))
	g.identity = newIdentity(t, g.path("gate.key"))
	g.recovery = newIdentity(t, g.path("recovery.key"))
	g.keys = &manifest.KeySet{Gate: g.name, Encryption: g.identity.Recipient(), Recovery: g.recovery.Recipient(),
		Receipts: string(g.receipts.Public().Marshal()), Ledger: g.public(t, "ledger"),
		Approvals: g.public(t, "approvals"), Definitions: g.public(t, "definitions"), Reports: g.public(t, "reports")}
	// As of a real gate: the ledger begins with its keys.
	_, err = g.ledger.Append(ledger.Record{Event: ledger.Trust, Result: "created"})
	must(t, err)
	for _, k := range kiosks {
		g.enrol(t, k)
		k.keys = g.keys
	}
	return g
}

func (g *gate) path(name string) string { return filepath.Join(g.dir, name) }

// public is the public half of the gate's key for a purpose.
func (g *gate) public(t testing.TB, purpose string) string {
	return string(keyFile(t, g.path(purpose+".key")).Public().Marshal())
}

// enrol makes the gate trust the kiosk, whose software TPM it takes on purpose.
func (g *gate) enrol(t testing.TB, k *kiosk) {
	t.Helper()
	bundle, err := enrol.SoftwareRoots(k.path("tpm"))
	must(t, err)
	must(t, os.WriteFile(k.path("roots.pem"), bundle, 0o600))
	roots, err := enrol.LoadRoots([]string{k.path("roots.pem")}, true)
	must(t, err)
	g.roots = append(g.roots, roots...)

	ek, err := k.tpm.Endorsement(t.Context())
	must(t, err)
	request, err := enrol.NewRequest(k.name, ek, k.sealer, seal.Form{}, nil, time.Now())
	must(t, err)
	challenge, pending, err := enrol.NewChallenge(request, g.keys, g.roots, nil)
	must(t, err)
	answer, err := enrol.Respond(t.Context(), k.sealer, request, challenge)
	must(t, err)
	enrolled, err := pending.Finish(answer, time.Now())
	must(t, err)
	g.kiosks = append(g.kiosks, enrolled)
}

func newIdentity(t testing.TB, path string) transfer.Identity {
	t.Helper()
	key, err := age.GenerateHybridIdentity()
	must(t, err)
	must(t, os.WriteFile(path, []byte(key.String()+"\n"), 0o600))
	id, err := transfer.NewIdentity(key.String())
	must(t, err)
	return id
}

// inbound is what the gate takes the drive in the folder dir in with: without a
// scanner, which a test adds where it matters.
func (g *gate) inbound(t testing.TB, dir string) transfer.Inbound {
	t.Helper()
	return transfer.Inbound{
		Gate: g.name, Drive: openDrive(t, dir), Kiosks: g.kiosks, Identity: g.identity, Keys: g.keys,
		Vault: g.vault, Receipts: g.receipts, Ledger: g.ledger, LedgerDir: g.path("ledger"), Log: quiet(), Workers: 2,
		SoftwareRoots: g.roots.Anchors(),
	}
}

// scanning is inbound with the engines.
func (g *gate) scanning(t testing.TB, dir string) transfer.Inbound {
	t.Helper()
	in := g.inbound(t, dir)
	in.Scanner = engines(t)
	var err error
	in.Spool, err = scan.NewSpool(scan.SpoolOptions{Dir: g.dir, Memory: 8 << 20, Largest: 1 << 20})
	must(t, err)
	return in
}

// importDrive imports the drive in the folder dir without scanning.
func (g *gate) importDrive(t testing.TB, dir string) ([]transfer.Outcome, error) {
	t.Helper()
	return transfer.Import(t.Context(), g.inbound(t, dir))
}

// accept imports the drive in the folder dir, on which every transfer must be
// accepted and must get its receipt.
func (g *gate) accept(t testing.TB, dir string) []transfer.Outcome {
	t.Helper()
	outcomes, err := g.importDrive(t, dir)
	must(t, err)
	for _, o := range outcomes {
		if o.Refusal != nil || o.Reason != "" || o.NoReceipt != nil {
			t.Fatalf("transfer %s was not simply accepted: %v, %s, receipt: %v", o.Transfer, o.Refusal, o.Reason, o.NoReceipt)
		}
	}
	return outcomes
}

// restore gives a generation back into a new folder.
func (g *gate) restore(t testing.TB, generation string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "restored")
	_, err := transfer.Restore(t.Context(), g.restoration(), generation, dir)
	must(t, err)
	return dir
}

func (g *gate) restoration() transfer.Restoration {
	return transfer.Restoration{Vault: g.vault, Kiosks: g.kiosks, Identity: g.identity, Ledger: g.ledger}
}

// records lists the gate's ledger after its first record, that of its keys.
func (g *gate) records(t testing.TB) (all []ledger.Record) {
	t.Helper()
	must(t, ledger.List(g.path("ledger"), 1, func(r ledger.Record) error {
		all = append(all, r)
		return nil
	}))
	return all
}

// export makes a folder with these files; a name that ends in a slash is an
// empty folder.
func export(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	names := make([]string, 0, len(files))
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		path := filepath.Join(dir, name)
		if strings.HasSuffix(name, "/") {
			must(t, os.MkdirAll(path, 0o755))
			continue
		}
		must(t, os.MkdirAll(filepath.Dir(path), 0o755))
		must(t, os.WriteFile(path, []byte(files[name]), 0o644))
	}
	return dir
}

// night is a small export of several parts, one file of it longer than a part:
// in parts of smallPart bytes it has five.
func night(t testing.TB, seed string) string {
	t.Helper()
	return export(t, map[string]string{
		"123/456/ADT-00":   "MSH|^~\\&|" + seed + "\r",
		"123/456/OML-11":   strings.Repeat("OBX|1|NM|"+seed+"|1.0\r", 40),
		"images/empty.dcm": "",
		"images/one.dcm":   text(seed+"one", 50<<10),
		"images/two.dcm":   text(seed+"two", 150<<10),
		"images/none/":     "",
		"note.txt":         "夜間 " + seed,
	})
}

// text is n bytes that follow from the seed and are no signature of anything.
func text(seed string, n int) string {
	return strings.Repeat(seed+" lorem ipsum dolor sit amet\n", n/len(seed)+1)[:n]
}

// refusedAs checks the reason of a refusal.
func refusedAs(t testing.TB, r *transfer.Refusal, want transfer.Reason) {
	t.Helper()
	if r == nil {
		t.Errorf("accepted, want %s", want)
	} else if r.Reason != want {
		t.Errorf("refused as %v, want %s", r, want)
	}
}

// eicar is the test file that every engine detects, built from halves so that
// this file is none.
var eicar = `X5O!P%@AP[4\PZX54(P^)7CC)7}$EICAR-` + `STANDARD-ANTIVIRUS-TEST-FILE!$H+H*`

// refusalOf returns the one outcome of an import of a drive with one transfer,
// or the refusal of the drive as a whole.
func refusalOf(outcomes []transfer.Outcome, err error) *transfer.Refusal {
	var r *transfer.Refusal
	if errors.As(err, &r) {
		return r
	}
	for _, o := range outcomes {
		if o.Refusal != nil {
			return o.Refusal
		}
	}
	return nil
}

func withCancel(t testing.TB) (context.Context, context.CancelFunc) {
	ctx, stop := context.WithCancel(t.Context())
	t.Cleanup(stop)
	return ctx, stop
}

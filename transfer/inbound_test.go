package transfer_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sekisho/scan"
	"sekisho/transfer"
	"sekisho/transfer/ledger"
	"sekisho/transfer/manifest"
)

// One night, all the way and back: kiosk, drive, gate, vault, receipt, kiosk.
func TestNight(t *testing.T) {
	k := newKiosk(t, "k1")
	g := newGate(t, k)
	src, dir := night(t, "first"), t.TempDir()
	bag := k.send(t, src, dir)
	if n := len(bag.Statement.Sizes.Parts); n < 3 {
		t.Errorf("only %d parts", n)
	}
	in := g.scanning(t, dir)
	outcomes, err := transfer.Import(t.Context(), in)
	must(t, err)
	if len(outcomes) != 1 || outcomes[0].Generation != bag.ID() || outcomes[0].Refusal != nil || outcomes[0].NoReceipt != nil {
		t.Fatalf("%+v", outcomes)
	}
	sameTree(t, tree(t, g.restore(t, bag.ID())), tree(t, src))
	// The vault keeps the bag as it came.
	same(t, "the bag in the vault", contents(t, filepath.Join(dir, manifest.Transfers, bag.ID())), contents(t, g.vault.Bag(bag.ID())))
	answers := k.settle(t, dir)
	if len(answers) != 1 || !answers[0].Bag.Settled || !answers[0].Receipt.Scanned || len(answers[0].Receipt.Engines) != 2 {
		t.Errorf("answers: %+v", answers)
	}
}

// contents is every file below dir, without modes.
func contents(t testing.TB, dir string) map[string]string {
	t.Helper()
	all := make(map[string]string)
	must(t, filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		name, _ := filepath.Rel(dir, path)
		all[name] = string(data)
		return err
	}))
	return all
}

func TestGateThatDoesNotScanSaysSo(t *testing.T) {
	k := newKiosk(t, "k1")
	g := newGate(t, k)
	dir := t.TempDir()
	k.send(t, night(t, "first"), dir)
	g.accept(t, dir)
	if a := k.settle(t, dir); len(a) != 1 || a[0].Receipt.Scanned || len(a[0].Receipt.Engines) != 0 {
		t.Errorf("%+v", a)
	}
}

// What the kiosk left out or exempted stays so at the gate.
func TestLeftOutAndExempt(t *testing.T) {
	k := newKiosk(t, "k1")
	g := newGate(t, k)
	dir := t.TempDir()
	f := newForgery(t, k, 1)
	f.entries = func() {
		f.data[1], f.lines[1].Verdict = eicar, manifest.Exempt
		f.lines = append(f.lines, manifest.Entry{Path: "c", Type: manifest.Other, ModTime: someTime, Verdict: manifest.Unscannable,
			Findings: []manifest.Finding{{Engine: "source", Name: "NotAFile.symlink"}}})
		f.data = append(f.data, "")
		for _, d := range engines(t).Definitions() {
			f.lines[1].Findings = append(f.lines[1].Findings, findingOf(t, d.Engine)...)
		}
	}
	f.put(t, dir)
	in := g.scanning(t, dir)
	sum := sha256.Sum256([]byte(eicar))
	in.Policy.Exempt = []scan.Exemption{{SHA256: hex.EncodeToString(sum[:]), Until: time.Now().Add(time.Hour), By: "it-01", Reason: "test"}}
	outcomes, err := transfer.Import(t.Context(), in)
	must(t, err)
	if o := outcomes[0]; o.Refusal != nil {
		t.Fatal(o.Refusal)
	}
	got := contents(t, g.restore(t, outcomes[0].Generation))
	if len(got) != 2 || got["a/x"] != eicar {
		t.Errorf("restored %q", slices.Collect(maps.Keys(got)))
	}
}

// A receipt says "already accepted" only while the vault can give the data back:
// the kiosk deletes its copy on that word.
func TestDamagedGenerationIsNotConfirmed(t *testing.T) {
	k := newKiosk(t, "k1")
	g := newGate(t, k)
	dir := t.TempDir()
	bag := k.send(t, night(t, "first"), dir)
	g.accept(t, dir)
	receipt := filepath.Join(dir, manifest.Receipts, bag.ID()+".dsse.json")
	kept := filepath.Join(g.vault.Bag(bag.ID()), part1)
	good, err := os.ReadFile(kept)
	must(t, err)
	for name, damage := range map[string]func() error{
		"altered": func() error { return os.WriteFile(kept, append([]byte("x"), good[1:]...), 0o600) },
		"missing": func() error { return os.Remove(kept) },
	} {
		must(t, os.Remove(receipt))
		must(t, os.Chmod(kept, 0o600))
		must(t, damage())
		outcomes, err := g.importDrive(t, dir)
		must(t, err)
		refusedAs(t, outcomes[0].Refusal, transfer.VaultDamaged)
		if _, err := os.Stat(receipt); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: a receipt: %v", name, err)
		}
		must(t, os.WriteFile(kept, good, 0o600))
		outcomes, err = g.importDrive(t, dir)
		must(t, err)
		if o := outcomes[0]; o.Reason != transfer.AlreadyAccepted || o.NoReceipt != nil {
			t.Errorf("%s, and whole again: %+v", name, o)
		}
	}
}

// findingOf is what an engine says of the EICAR file.
func findingOf(t testing.TB, engine string) (findings []manifest.Finding) {
	t.Helper()
	k := newKiosk(t, "k1")
	newGate(t, k)
	var seen []transfer.File
	p := k.preparation(t, export(t, map[string]string{"x": eicar, "y": "clean"}))
	p.Watcher.File = func(f transfer.File) { seen = append(seen, f) }
	_, err := transfer.Prepare(t.Context(), p)
	must(t, err)
	for _, f := range seen {
		for _, x := range f.Findings {
			if x.Engine == engine {
				findings = append(findings, x)
			}
		}
	}
	if len(findings) == 0 {
		t.Fatalf("%s found nothing in EICAR", engine)
	}
	return findings
}

// Two transfers on one drive: the refusal of one does not touch the other.
func TestTransfersAreTakenOneByOne(t *testing.T) {
	k := newKiosk(t, "k1")
	g := newGate(t, k)
	dir := t.TempDir()
	first := k.send(t, night(t, "first"), dir)
	second := k.send(t, night(t, "second"), dir)
	good, err := os.ReadFile(filepath.Join(dir, manifest.Transfers, first.ID(), part1))
	must(t, err)
	writeFile(t, filepath.Join(dir, manifest.Transfers, first.ID(), part1), "x")
	outcomes, err := g.importDrive(t, dir)
	must(t, err)
	if len(outcomes) != 2 || outcomes[0].Transfer != first.ID() || outcomes[1].Generation != second.ID() || outcomes[1].Refusal != nil {
		t.Fatalf("%+v", outcomes)
	}
	refusedAs(t, outcomes[0].Refusal, transfer.Altered)
	if gaps := outcomes[1].Gaps; len(gaps) != 1 || gaps[0] != outcomes[0].Statement.Counter {
		t.Errorf("open gaps %v, want the refused one's counter", gaps)
	}
	// Set right, the first fills the gap.
	writeFile(t, filepath.Join(dir, manifest.Transfers, first.ID(), part1), string(good))
	outcomes, err = g.importDrive(t, dir)
	must(t, err)
	if outcomes[0].Generation != first.ID() || outcomes[0].Refusal != nil || outcomes[1].Reason != transfer.AlreadyAccepted {
		t.Errorf("%+v", outcomes)
	}
	if answers := k.settle(t, dir); len(answers) != 2 || !answers[0].Bag.Settled || !answers[1].Bag.Settled {
		t.Errorf("answers %+v", answers)
	}
	var got []string
	for _, r := range g.records(t) {
		got = append(got, string(r.Event)+" "+r.Result+" "+r.Reason)
	}
	want := []string{"refuse refused Altered", "import accepted ", "import accepted "}
	if !slices.Equal(got, want) {
		t.Errorf("records %q, want %q", got, want)
	}
}

// A crash can come between the commit of a generation and its record. The vault
// after an import and the ledger from before it are just that state.
func TestMissingRecordIsMadeGood(t *testing.T) {
	k := newKiosk(t, "k1")
	before := newGate(t, k)
	g := newGateLike(t, before, k)
	dir := t.TempDir()
	k.send(t, night(t, "first"), dir)
	k.send(t, night(t, "second"), dir)
	g.accept(t, dir)
	must(t, os.RemoveAll(filepath.Join(dir, manifest.Receipts)))
	before.vault = g.vault
	for range 2 { // the second time there is nothing to make good
		outcomes, err := before.importDrive(t, dir)
		must(t, err)
		for _, o := range outcomes {
			if o.Reason != transfer.AlreadyAccepted || o.NoReceipt != nil {
				t.Errorf("%+v", o)
			}
		}
	}
	// It is the newest that lacks its record, or any of the same second.
	all, err := g.vault.Generations()
	must(t, err)
	var want, got []string
	for _, gen := range all {
		if gen.Time.Equal(all[1].Time) {
			want = append(want, gen.ID)
		}
	}
	for _, r := range before.records(t) {
		if r.Event != ledger.Import || r.Facts["note"] != "interrupted" || r.Result != manifest.Accepted {
			t.Errorf("record %+v", r)
		}
		got = append(got, r.Transfer)
	}
	if !slices.Equal(got, want) {
		t.Errorf("records of %q were made good, want %q", got, want)
	}
	if answers := k.settle(t, dir); len(answers) != 2 {
		t.Errorf("%d receipts", len(answers))
	}
}

// watch has the kernel say what is done below a folder as it is now.
type watch struct {
	file    *os.File
	folders map[int32]string // by watch
	on      func(mask uint32, path string)
	done    sync.WaitGroup
}

// newWatch calls on, from one goroutine, for what is done with the files in any
// of the folders, and below them.
func newWatch(t testing.TB, mask uint32, on func(mask uint32, path string), folders ...string) *watch {
	t.Helper()
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	must(t, err)
	w := &watch{file: os.NewFile(uintptr(fd), "inotify"), folders: make(map[int32]string), on: on}
	for _, root := range folders {
		must(t, filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
			if err != nil || !e.IsDir() {
				return err
			}
			wd, err := unix.InotifyAddWatch(fd, path, mask)
			w.folders[int32(wd)] = path
			return err
		}))
	}
	w.done.Go(w.run)
	return w
}

func (w *watch) run() {
	buf := make([]byte, 64<<10)
	for {
		n, err := w.file.Read(buf)
		if err != nil { // the deadline
			return
		}
		for rest := buf[:n]; len(rest) > 0; {
			wd := int32(binary.NativeEndian.Uint32(rest))
			mask := binary.NativeEndian.Uint32(rest[4:])
			end := 16 + int(binary.NativeEndian.Uint32(rest[12:]))
			if name := string(bytes.TrimRight(rest[16:end], "\x00")); name != "" {
				w.on(mask, filepath.Join(w.folders[wd], name))
			}
			rest = rest[end:]
		}
	}
}

// end stops watching, once all that was done until now was told.
func (w *watch) end(t testing.TB) {
	t.Helper()
	for {
		n, err := unix.IoctlGetInt(int(w.file.Fd()), unix.TIOCINQ)
		must(t, err)
		if n == 0 {
			break
		}
		time.Sleep(time.Millisecond)
	}
	must(t, w.file.SetReadDeadline(time.Unix(1, 0)))
	w.done.Wait()
	must(t, w.file.Close())
}

// Each object is opened once, by the kernel's count, in whatever way the drive is
// taken in; parts pass through memory or through staging.
func TestEachObjectIsReadOnce(t *testing.T) {
	k := newKiosk(t, "k1")
	g := newGate(t, k)
	dir := t.TempDir()
	bag := k.send(t, night(t, "first"), dir)
	for _, c := range []struct {
		name   string
		verify bool
		memory int64
	}{{"verify", true, 0}, {"verify in memory", true, 64 << 20}, {"import", false, 0}, {"already accepted", false, 0}, {"already accepted, in memory", false, 64 << 20}} {
		t.Run(c.name, func(t *testing.T) {
			opened := make(map[string]int)
			w := newWatch(t, unix.IN_OPEN, func(_ uint32, path string) { opened[path]++ }, filepath.Join(dir, manifest.Root))
			in := g.inbound(t, dir)
			in.VerifyOnly, in.PartMemory = c.verify, c.memory
			outcomes, err := transfer.Import(t.Context(), in)
			must(t, err)
			w.end(t)
			if r := outcomes[0].Refusal; r != nil {
				t.Fatal(r)
			}
			for name := range contents(t, filepath.Join(dir, manifest.Root)) {
				path := filepath.Join(dir, manifest.Root, name)
				if strings.HasPrefix(name, "receipts/") {
					continue // the gate writes it and reads it back
				}
				if opened[path] != 1 {
					t.Errorf("%s was opened %d times", name, opened[path])
				}
			}
		})
	}
	same(t, "the bag in the vault", contents(t, filepath.Join(dir, manifest.Transfers, bag.ID())), contents(t, g.vault.Bag(bag.ID())))
}

// A drive that shows other bytes from the second look on gets in with what it
// showed at the first, and with nothing else.
func TestOtherBytesAtASecondRead(t *testing.T) {
	k := newKiosk(t, "k1")
	g := newGate(t, k)
	dir := t.TempDir()
	bag := k.send(t, night(t, "first"), dir)
	good := contents(t, filepath.Join(dir, manifest.Transfers, bag.ID()))
	changed := make(map[string]bool)
	w := newWatch(t, unix.IN_CLOSE_NOWRITE, func(mask uint32, path string) {
		if mask&unix.IN_ISDIR == 0 {
			changed[path] = true
			_ = os.WriteFile(path, []byte("something else"), 0o644)
		}
	}, filepath.Join(dir, manifest.Transfers))
	outcomes, err := transfer.Import(t.Context(), g.inbound(t, dir))
	must(t, err)
	w.end(t)
	if r := outcomes[0].Refusal; r != nil {
		t.Fatal(r)
	}
	if len(changed) != len(good) {
		t.Errorf("%d of %d files changed after they were read", len(changed), len(good))
	}
	same(t, "the bag in the vault", good, contents(t, g.vault.Bag(bag.ID())))
}

// An import that is stopped leaves nothing behind.
func TestStoppedImport(t *testing.T) {
	k := newKiosk(t, "k1")
	g := newGate(t, k)
	dir := t.TempDir()
	k.send(t, night(t, "first"), dir)
	ctx, stop := withCancel(t)
	in := g.scanning(t, dir)
	in.Watcher.Progress = func(transfer.Progress) { stop() }
	if _, err := transfer.Import(ctx, in); err != ctx.Err() || err == nil {
		t.Errorf("stopped import: %v", err)
	}
	if left, err := os.ReadDir(g.path("vault/staging")); err != nil || len(left) > 0 || len(generations(t, g)) > 0 || len(g.records(t)) > 0 {
		t.Errorf("left behind: %v, %v, generations %v, records %v", left, err, generations(t, g), g.records(t))
	}
	g.accept(t, dir)
}

package outbox

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"sekisho/transfer/durable"
	"sekisho/transfer/manifest"
)

// step is one thing that happened to a name in the outbox.
type step struct {
	path string // relative to the outbox
	what uint32 // unix.IN_CREATE, IN_MOVED_TO, IN_DELETE
}

// record has the kernel tell what work does in the folders, in its order.
func record(t *testing.T, root string, folders []string, work func()) []step {
	t.Helper()
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	watches := make(map[int32]string)
	for _, dir := range folders {
		wd, err := unix.InotifyAddWatch(fd, filepath.Join(root, dir), unix.IN_CREATE|unix.IN_MOVED_TO|unix.IN_DELETE)
		if err != nil {
			t.Fatal(err)
		}
		watches[int32(wd)] = dir
	}
	work()
	var steps []step
	buf := make([]byte, 1<<20)
	for {
		n, err := unix.Read(fd, buf)
		if errors.Is(err, unix.EAGAIN) {
			return steps
		}
		if err != nil {
			t.Fatal(err)
		}
		for b := buf[:n]; len(b) > 0; {
			wd, mask := int32(binary.NativeEndian.Uint32(b)), binary.NativeEndian.Uint32(b[4:])
			length := binary.NativeEndian.Uint32(b[12:])
			name := string(bytes.TrimRight(b[16:16+length], "\x00"))
			if mask&unix.IN_Q_OVERFLOW != 0 {
				t.Fatal("the kernel lost count")
			}
			steps = append(steps, step{filepath.Join(watches[wd], name), mask & (unix.IN_CREATE | unix.IN_MOVED_TO | unix.IN_DELETE)})
			b = b[16+length:]
		}
	}
}

// crash makes in dir the outbox as it was after the first n steps: what had its
// name is whole, for it was flushed before; what had not is half written.
func crash(t *testing.T, dir string, base, final map[string][]byte, steps []step) {
	t.Helper()
	state := maps.Clone(base)
	for _, s := range steps {
		whole, ok := final[strings.TrimSuffix(s.path, durable.Suffix)]
		switch {
		case s.what == unix.IN_DELETE:
			delete(state, s.path)
		case !ok:
			t.Fatalf("%s is not there at the end", s.path)
		case s.what == unix.IN_CREATE:
			state[s.path] = whole[:len(whole)/2]
		default:
			delete(state, s.path+durable.Suffix)
			state[s.path] = whole
		}
	}
	for path, data := range state {
		path = filepath.Join(dir, path)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, data, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
}

func snapshot(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	state := make(map[string][]byte)
	for _, name := range names(t, dir) {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		state[name] = data
	}
	return state
}

// resume does what a restarted kiosk does: go on with the draft, or begin anew,
// skipping what the journal has.
func resume(t *testing.T, o *Outbox, k *keys, files []file) (b *Bag, skipped int) {
	t.Helper()
	if all, err := o.Bags(); err != nil {
		t.Fatal(err)
	} else if len(all) > 0 {
		return all[0], len(files)
	}
	d, err := o.Resume(testPlan(partSize), k.to(t)...)
	if err == nil && d == nil {
		d, err = o.Begin(testPlan(partSize), k.to(t)...)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	err = d.Lines(func(l *Line) error {
		if f := files[skipped]; l.Entry.Path != f.entry.Path || l.Origin != f.origin || (l.Rule != "") != (f.entry.Verdict == manifest.Exempt) {
			return fmt.Errorf("line %d is %+v", skipped, l)
		}
		skipped++
		return nil
	})
	if err == nil {
		err = add(d, files[skipped:])
	}
	if err != nil {
		t.Fatal(err)
	}
	if b, err = finish(d, files, ""); err != nil {
		t.Fatal(err)
	}
	return b, skipped
}

// A crash after every single step of a preparation, then a restart: the bag is
// the one of an uninterrupted preparation, and nothing else is left.
func TestCrashAfterEveryStep(t *testing.T) {
	k, files, dir := newKeys(t), night(), t.TempDir()
	o := openOutbox(t, dir)
	d, err := o.Begin(testPlan(partSize), k.to(t)...)
	if err != nil {
		t.Fatal(err)
	}
	id := d.Plan.Transfer
	if err := durable.Mkdir(d.quarantine(), 0o700); err != nil { // or it could not be watched
		t.Fatal(err)
	}
	base := snapshot(t, dir)
	var bag *Bag
	bags := filepath.Join("bags", id)
	folders := []string{bags, bags + "/bag", bags + "/bag/data", bags + "/journal", "quarantine/" + id}
	steps := record(t, dir, folders, func() {
		if err := add(d, files); err != nil {
			t.Fatal(err)
		}
		if bag, err = finish(d, files, ""); err != nil {
			t.Fatal(err)
		}
	})
	want, final := k.open(t, bag), snapshot(t, dir)
	parts := len(bag.Statement.Sizes.Parts)
	if least := 4*parts + 2*len(manifest.TagFiles); len(steps) < least {
		t.Fatalf("%d steps were recorded, there must be at least %d", len(steps), least)
	}

	resumed := make(map[int]int) // how often the journal had that many lines
	for n := range len(steps) + 1 {
		after := "nothing"
		if n > 0 {
			after = steps[n-1].path
		}
		t.Run(fmt.Sprintf("%02d %s", n, after), func(t *testing.T) {
			dir := t.TempDir()
			for _, folder := range folders {
				if err := os.MkdirAll(filepath.Join(dir, folder), 0o700); err != nil {
					t.Fatal(err)
				}
			}
			crash(t, dir, base, final, steps[:n])
			b, skipped := resume(t, openOutbox(t, dir), k, files)
			resumed[skipped]++
			same(t, k.open(t, b), want)
			clean(t, dir, b)
		})
	}
	// Were a restart to begin anew each time, the above would hold as well.
	if len(resumed) < 5 || resumed[len(files)] < len(manifest.TagFiles) {
		t.Errorf("restarts went on after %v lines", resumed)
	}
}

// same says that two bags hold the same, whatever they are called.
func same(t *testing.T, got, want *opened) {
	t.Helper()
	if !slices.EqualFunc(got.entries, want.entries, func(a, b manifest.Entry) bool {
		return a.Path == b.Path && a.Part == b.Part && a.Offset == b.Offset && a.Verdict == b.Verdict && (a.SHA256 == nil) == (b.SHA256 == nil) &&
			(a.SHA256 == nil || *a.SHA256 == *b.SHA256) && a.Size == b.Size && a.ModTime.Equal(b.ModTime) && slices.Equal(a.Findings, b.Findings)
	}) {
		t.Error("the index differs")
	}
	if !slices.Equal(got.parts, want.parts) {
		t.Error("the tar stream differs")
	}
	if got.sums != want.sums {
		t.Error("the checksum list differs")
	}
	if !maps.Equal(got.quarantine, want.quarantine) {
		t.Errorf("the quarantine holds %q, want %q", slices.Collect(maps.Keys(got.quarantine)), slices.Collect(maps.Keys(want.quarantine)))
	}
}

// clean says that the outbox holds the bag b and nothing besides.
func clean(t *testing.T, dir string, b *Bag) {
	t.Helper()
	bag := []string{"tagmanifest-sha256.txt"}
	bag = append(bag, manifest.TagFiles...)
	bag = append(bag, manifest.PartNames(len(b.Statement.Sizes.Parts))...)
	slices.Sort(bag)
	if got := slices.Sorted(slices.Values(names(t, b.Dir()))); !slices.Equal(got, bag) {
		t.Errorf("the bag holds %q, want %q", got, bag)
	}
	for _, name := range names(t, dir) {
		first, rest, _ := strings.Cut(name, "/")
		id, _, _ := strings.Cut(rest, "/")
		switch {
		case strings.HasSuffix(name, durable.Suffix):
			t.Errorf("a leftover: %s", name)
		case (first == "bags" || first == "quarantine") && id != b.ID():
			t.Errorf("of another transfer: %s", name)
		}
	}
	if entries, err := os.ReadDir(filepath.Join(dir, "bags")); err != nil || len(entries) != 1 {
		t.Errorf("%d bags, %v", len(entries), err)
	}
	if entries, err := os.ReadDir(filepath.Join(dir, "quarantine")); err != nil || len(entries) != 1 {
		t.Errorf("%d quarantines, %v", len(entries), err)
	}
}

// draftOf leaves a draft with its first parts on disk.
func draftOf(t *testing.T, o *Outbox, k *keys, files []file) *Draft {
	t.Helper()
	d, err := o.Begin(testPlan(partSize), k.to(t)...)
	if err == nil {
		err = errors.Join(add(d, files), d.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// A draft is gone on with only as it was left and under the plan it was made.
func TestResumeOnlyTheSame(t *testing.T) {
	for name, change := range map[string]func(*Plan){
		"policy":      func(p *Plan) { p.Policy[0]++ },
		"definitions": func(p *Plan) { p.Definitions[0]++ },
		"keys":        func(p *Plan) { p.GateKeys[0]++ },
		"part size":   func(p *Plan) { p.PartSize++ },
		"kiosk":       func(p *Plan) { p.Kiosk = "k2" },
	} {
		t.Run("other "+name, func(t *testing.T) {
			k, dir := newKeys(t), t.TempDir()
			o := openOutbox(t, dir)
			draftOf(t, o, k, night())
			p := testPlan(partSize)
			change(&p)
			if d, err := o.Resume(p, k.to(t)...); d != nil || err != nil {
				t.Fatalf("gone on with: %v", err)
			}
			gone(t, dir)
		})
	}
	for name, damage := range map[string]func(o *Outbox, d *Draft) error{
		"part cut": func(_ *Outbox, d *Draft) error { return os.Truncate(d.path("bag", manifest.PartName(1)), 100) },
		"part lost": func(_ *Outbox, d *Draft) error {
			return os.Remove(d.path("bag", manifest.PartName(2)))
		},
		"journal cut":     func(_ *Outbox, d *Draft) error { return os.Truncate(d.path("journal", segmentName(2)), 300) },
		"journal altered": func(_ *Outbox, d *Draft) error { return flip(d.path("journal", segmentName(1))) },
		"journal swapped": func(_ *Outbox, d *Draft) error {
			return os.Rename(d.path("journal", segmentName(2)), d.path("journal", segmentName(1)))
		},
		"plan damaged": func(_ *Outbox, d *Draft) error { return os.Truncate(d.path("draft.json"), 20) },
		"plan missing": func(_ *Outbox, d *Draft) error { return os.Remove(d.path("draft.json")) },
	} {
		t.Run(name, func(t *testing.T) {
			k, dir := newKeys(t), t.TempDir()
			o := openOutbox(t, dir)
			if err := damage(o, draftOf(t, o, k, night())); err != nil {
				t.Fatal(err)
			}
			if d, err := openOutbox(t, dir).Resume(testPlan(partSize), k.to(t)...); d != nil || err != nil {
				t.Fatalf("gone on with: %v", err)
			}
			gone(t, dir)
		})
	}
}

func flip(path string) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	data[len(data)-1] ^= 1
	return os.WriteFile(path, data, 0o600)
}

// gone says that no bag, draft or quarantine is left.
func gone(t *testing.T, dir string) {
	t.Helper()
	for _, sub := range []string{"bags", "quarantine"} {
		if left := names(t, filepath.Join(dir, sub)); len(left) > 0 {
			t.Errorf("left in %s: %q", sub, left)
		}
	}
}

// The draft of another workflow or source is not touched, nor is a second one
// of the same kept.
func TestResumeOneOfMany(t *testing.T) {
	k, dir := newKeys(t), t.TempDir()
	o := openOutbox(t, dir)
	done := prepare(t, o, k, night(), "")
	first, second := draftOf(t, o, k, night()), draftOf(t, o, k, night())
	other := testPlan(partSize)
	other.Source = "/mnt/other"
	if d, err := o.Resume(other, k.to(t)...); d != nil || err != nil {
		t.Fatal(d, err)
	}
	d, err := o.Resume(testPlan(partSize), k.to(t)...)
	if err != nil || d == nil || d.Plan != first.Plan {
		t.Fatalf("went on with %+v, %v", d, err)
	}
	if _, err := os.Lstat(second.path()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a second draft of the same source is left: %v", err)
	}
	if err := d.Discard(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(d.quarantine()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a discarded draft's quarantine is left: %v", err)
	}
	k.open(t, done)
}

// A source that has other files than the journal is found out, at the latest
// when the bag would be finished.
func TestDraftOfAnotherSource(t *testing.T) {
	k, files, dir := newKeys(t), night(), t.TempDir()
	o := openOutbox(t, dir)
	draftOf(t, o, k, files)
	d, err := o.Resume(testPlan(partSize), k.to(t)...)
	if err != nil || d == nil {
		t.Fatal(d, err)
	}
	if _, err := finish(d, files, ""); !errors.Is(err, ErrChanged) {
		t.Errorf("finished although the rest of the source is missing: %v", err)
	}

	// All parts are there, but not the bag.
	whole := prepare(t, o, k, files, "")
	if err := os.Remove(o.path(whole.ID(), "ready.json")); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(d.Discard()); err != nil {
		t.Fatal(err)
	}
	if d, err = o.Resume(testPlan(partSize), k.to(t)...); err != nil || d == nil {
		t.Fatal(d, err)
	}
	if err := add(d, []file{ofSize("長い文書2.pdf", manifest.Clean, 5)}); !errors.Is(err, ErrChanged) {
		t.Errorf("a file was added after the end of the tar stream: %v", err)
	}
}

// What cannot be packed is an error, and the draft is as good as before.
func TestFailingContent(t *testing.T) {
	k, files := newKeys(t), night()
	o := openOutbox(t, t.TempDir())
	d, err := o.Begin(testPlan(partSize), k.to(t)...)
	if err != nil {
		t.Fatal(err)
	}
	at := slices.IndexFunc(files, func(f file) bool { return f.entry.Path == "large" })
	if err := add(d, files[:at]); err != nil {
		t.Fatal(err)
	}
	short := files[at]
	short.content = short.content[:2*partSize]
	if err := errors.Join(add(d, []file{short}), d.Close()); err == nil {
		t.Fatal("a file was packed with less than its size")
	}
	b, skipped := resume(t, o, k, files)
	if skipped == 0 || skipped > at {
		t.Errorf("went on after %d entries, the damaged one is %d", skipped, at)
	}
	same(t, k.open(t, b), k.open(t, prepare(t, openOutbox(t, t.TempDir()), k, files, "")))
}

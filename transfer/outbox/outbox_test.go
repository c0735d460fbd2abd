package outbox

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sekisho/transfer/manifest"
)

// What GNU tar makes of the joined parts is what the source was.
func TestPartsAreOneTarStream(t *testing.T) {
	k, files := newKeys(t), night()
	b := prepare(t, openOutbox(t, t.TempDir()), k, files, "")
	x := k.open(t, b)

	dir := t.TempDir()
	cmd := exec.Command("tar", "-x", "-C", dir)
	cmd.Stdin = strings.NewReader(strings.Join(x.parts, ""))
	if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
		t.Fatalf("tar: %v: %s", err, out)
	}
	var want []string
	for _, f := range files {
		path := filepath.Join(dir, string(f.entry.Path))
		st, err := os.Lstat(path)
		switch carried := f.entry.Type == manifest.Folder || f.entry.Verdict == manifest.Clean || f.entry.Verdict == manifest.Exempt; {
		case !carried && err == nil:
			t.Errorf("%q was carried", f.entry.Path)
		case !carried:
			continue
		case err != nil:
			t.Error(err)
			continue
		}
		if !st.ModTime().Equal(modTime) {
			t.Errorf("%q: time %v, want %v", f.entry.Path, st.ModTime(), modTime)
		}
		if f.entry.Type == manifest.File {
			want = append(want, string(f.entry.Path))
			if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, f.content) {
				t.Errorf("%q has other content: %v", f.entry.Path, err)
			}
		}
	}
	slices.Sort(want)
	if got := names(t, dir); !slices.Equal(slices.Sorted(slices.Values(got)), want) {
		t.Errorf("tar gave %q, want %q", got, want)
	}

	cmd = exec.Command("sha256sum", "--check", "--strict", "--quiet")
	cmd.Dir, cmd.Stdin = dir, strings.NewReader(x.sums)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("sha256sum on the encrypted list: %v: %s", err, out)
	}
	for _, list := range []string{manifest.Manifest, manifest.TagManifest} {
		cmd := exec.Command("sha256sum", "--check", "--strict", "--quiet", list)
		cmd.Dir = b.Dir()
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("sha256sum on %s: %v: %s", list, err, out)
		}
	}
}

// The index and where it says that things are.
func TestPartsBeginAtHeaders(t *testing.T) {
	k, files := newKeys(t), night()
	b := prepare(t, openOutbox(t, t.TempDir()), k, files, "")
	x := k.open(t, b)
	if len(x.entries) != len(files) {
		t.Fatalf("%d entries, want %d", len(x.entries), len(files))
	}
	begun := make(map[int]bool)
	runsOn := 0
	for i, e := range x.entries {
		f := files[i]
		if e.Path != f.entry.Path || e.Verdict != f.entry.Verdict || len(e.Findings) != len(f.entry.Findings) {
			t.Errorf("entry %d is %v, want %v", i, e, f.entry)
		}
		if !e.Carried() {
			continue
		}
		header, err := manifest.Header(&e)
		if err != nil {
			t.Fatal(err)
		}
		rest := x.parts[e.Part-1][e.Offset:]
		if !strings.HasPrefix(rest, string(header)) {
			t.Errorf("%q: its header is not at %d in part %d", e.Path, e.Offset, e.Part)
			continue
		}
		begun[e.Part] = begun[e.Part] || e.Offset == 0
		if e.Size > int64(len(rest)-len(header)) {
			runsOn++
			// The parts in between are all its own, and the last one ends with it.
			content := strings.Join(x.parts[e.Part-1:], "")[e.Offset+int64(len(header)):]
			if content[:e.Size] != string(f.content) {
				t.Errorf("%q does not run on into the next parts", e.Path)
			}
		}
	}
	if runsOn != 1 || len(x.parts) < 6 {
		t.Errorf("%d files run on over %d parts; the night was made for one over six", runsOn, len(x.parts))
	}
	for i, p := range x.parts {
		n := i + 1
		if len(p) > partSize+2*manifest.Block+4096 {
			t.Errorf("part %d has %d bytes of at most %d", n, len(p), partSize)
		}
		if !begun[n] && !(x.entries[slices.IndexFunc(x.entries, func(e manifest.Entry) bool { return e.Path == "large" })].Part < n) {
			t.Errorf("part %d begins inside something", n)
		}
	}
}

// What is left out is kept, encrypted, as a tar for each part.
func TestQuarantine(t *testing.T) {
	k, files := newKeys(t), night()
	b := prepare(t, openOutbox(t, t.TempDir()), k, files, "")
	dir := t.TempDir()
	for name, tar := range k.open(t, b).quarantine {
		cmd := exec.Command("tar", "-x", "-C", dir)
		cmd.Stdin = strings.NewReader(tar + string(manifest.Trailer))
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("tar on %s: %v: %s", name, err, out)
		}
	}
	var want []string
	for _, f := range files {
		if f.content == nil || f.entry.Verdict == manifest.Clean || f.entry.Verdict == manifest.Exempt {
			continue
		}
		want = append(want, string(f.entry.Path))
		if got, err := os.ReadFile(filepath.Join(dir, string(f.entry.Path))); err != nil || !bytes.Equal(got, f.content) {
			t.Errorf("%q is not kept as it was: %v", f.entry.Path, err)
		}
	}
	slices.Sort(want)
	if got := names(t, dir); !slices.Equal(got, want) || len(want) == 0 {
		t.Errorf("kept %q, want %q", got, want)
	}
	if got := prepare(t, openOutbox(t, t.TempDir()), k, files[:2], "").Quarantine(); got != "" {
		t.Errorf("a quarantine of nothing: %q", got)
	}
}

// Nothing in clear is on disk: no name, no content, at no time.
func TestNothingInClearOnDisk(t *testing.T) {
	k, files, dir := newKeys(t), night(), t.TempDir()
	o := openOutbox(t, dir)
	d, err := o.Begin(testPlan(partSize), k.to(t)...)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	search := func(when string) {
		for _, name := range names(t, dir) {
			data, err := os.ReadFile(filepath.Join(dir, name))
			if errors.Is(err, fs.ErrNotExist) {
				continue // given its name meanwhile
			}
			if err != nil {
				t.Fatal(err)
			}
			if bytes.Contains(data, []byte(patient)) || strings.Contains(name, patient) {
				t.Errorf("%s, %s holds a patient's number", when, name)
			}
		}
	}
	if !bytes.Contains(files[2].content, []byte(patient)) && !bytes.Contains(files[1].content, []byte(patient)) {
		t.Fatal("there is nothing to be found")
	}
	for i, f := range files {
		if err := add(d, files[i:i+1]); err != nil {
			t.Fatal(err)
		}
		search("after " + string(f.entry.Path))
	}
	if _, err := finish(d, files, ""); err != nil {
		t.Fatal(err)
	}
	search("at the end")
	err = filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err == nil && info.Mode().Perm()&0o077 != 0 && path != dir {
			t.Errorf("%s is open to others: %v", path, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func TestWaitingDueHeld(t *testing.T) {
	k, files := newKeys(t), night()
	o := openOutbox(t, t.TempDir())
	waiting := func() string {
		t.Helper()
		b, err := o.Waiting(testPlan(partSize))
		if err != nil {
			t.Fatal(err)
		}
		if b == nil {
			return ""
		}
		return b.ID()
	}
	if got := waiting(); got != "" {
		t.Errorf("%s waits in an empty outbox", got)
	}
	held := prepare(t, o, k, files, "TooManyLeftOut")
	if again, err := o.Bag(held.ID()); err != nil || again.Held != "TooManyLeftOut" || again.Due() {
		t.Errorf("a held bag waits for a drive: %+v, %v", again, err)
	}
	if got := waiting(); got != held.ID() { // for IT: a retry finds it again
		t.Errorf("%s waits, want the held bag", got)
	}
	if err := held.Drop(); err != nil {
		t.Fatal(err)
	}
	if again, err := o.Bag(held.ID()); err != nil || !again.Dropped || waiting() != "" {
		t.Errorf("a dropped bag waits: %+v, %v", again, err)
	}
	if _, err := os.Stat(held.Dir()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a dropped bag takes room: %v", err)
	}
	first, second := prepare(t, o, k, files, ""), prepare(t, o, k, files, "")
	if got := waiting(); got != second.ID() || !first.Due() {
		t.Errorf("%s waits, want the newest, %s", got, second.ID())
	}
	other := testPlan(partSize)
	other.Definitions = sha256.Sum256([]byte("newer"))
	if b, err := o.Waiting(other); err != nil || b != nil {
		t.Errorf("a bag made under other definitions waits: %v, %v", b, err)
	}

	w := Written{Counter: 7, Drive: strings.Repeat("ab", 16), Staff: "s1", Time: time.Now().UTC().Truncate(time.Second)}
	if err := second.AddWrite(w); err != nil {
		t.Fatal(err)
	}
	if err := second.AddWrite(Written{Counter: 12, Drive: w.Drive, Time: w.Time}); err != nil {
		t.Fatal(err)
	}
	again, err := o.Bag(second.ID())
	if err != nil || again.Due() || len(again.Written) != 2 || again.Written[0] != w || again.Written[1].Counter != 12 {
		t.Errorf("written twice, read back as %+v, %v", again, err)
	}
	if got := waiting(); got != first.ID() {
		t.Errorf("%s waits, want %s", got, first.ID())
	}
	if all, err := o.Bags(); err != nil || len(all) != 3 || all[0].ID() != held.ID() || all[2].ID() != second.ID() {
		t.Errorf("the outbox lists %v, %v", all, err)
	}
	for _, id := range []string{"", ".", "..", "20261122T2140Z-k1-000042", first.ID() + "/../" + first.ID()} {
		if b, err := o.Bag(id); !errors.Is(err, fs.ErrNotExist) || b != nil {
			t.Errorf("bag %q: %v, %v", id, b, err)
		}
	}
}

// A bag that was given up, and one that cannot be written, wait for nothing.
func TestDroppedAndDamaged(t *testing.T) {
	k, files := newKeys(t), night()
	o := openOutbox(t, t.TempDir())
	held, damaged := prepare(t, o, k, files, "Detected"), prepare(t, o, k, files, "")
	for range 2 { // twice is no error
		if err := errors.Join(held.Drop(), damaged.SetDamaged()); err != nil {
			t.Fatal(err)
		}
	}
	if b, err := o.Waiting(testPlan(partSize)); err != nil || b != nil {
		t.Errorf("%v waits, %v", b, err)
	}
	again, err := o.Bag(held.ID())
	if err != nil || !again.Dropped || again.Due() || again.Quarantine() == "" {
		t.Errorf("given up: %+v, %v", again, err)
	}
	if left := names(t, o.path(held.ID())); !slices.Equal(left, []string{"draft.json", "dropped", "ready.json"}) {
		t.Errorf("of what was given up there is left %q", left)
	}
	if again, err = o.Bag(damaged.ID()); err != nil || !again.Damaged || again.Due() {
		t.Errorf("damaged: %+v, %v", again, err)
	}
	k.open(t, damaged)
}

func TestSettleFreesTheDisk(t *testing.T) {
	k, files, dir := newKeys(t), night(), t.TempDir()
	o := openOutbox(t, dir)
	b, other := prepare(t, o, k, files, ""), prepare(t, o, k, files[:2], "")
	if found, err := o.Find(b.Statement.Payload); err != nil || found == nil || found.ID() != b.ID() {
		t.Errorf("found %v, %v", found, err)
	}
	if found, err := o.Find(manifest.Hash{1}); err != nil || found != nil {
		t.Errorf("found %v, %v for an unknown payload", found, err)
	}
	before := names(t, filepath.Join(dir, "quarantine"))
	for range 2 { // twice is no error
		if err := b.Settle([]byte("receipt\n")); err != nil {
			t.Fatal(err)
		}
	}
	again, err := o.Bag(b.ID())
	if err != nil || !again.Settled || again.Due() {
		t.Fatalf("after its receipt: %+v, %v", again, err)
	}
	if got := names(t, o.path(b.ID())); !slices.Equal(got, []string{"draft.json", "ready.json", "receipt.dsse.json"}) {
		t.Errorf("what is left: %q", got)
	}
	if after := names(t, filepath.Join(dir, "quarantine")); !slices.Equal(after, before) || len(after) == 0 {
		t.Errorf("the quarantine had %q and has %q", before, after)
	}
	if len(k.open(t, other).entries) != 2 {
		t.Error("another bag was touched")
	}
}

// A transfer's number is never given out again, whatever became of it.
func TestNumbersAreNotReused(t *testing.T) {
	k, dir := newKeys(t), t.TempDir()
	seen := make(map[int64]bool)
	for i := range 4 {
		o := openOutbox(t, dir) // a new start each time
		d, err := o.Begin(testPlan(partSize), k.to(t)...)
		if err != nil {
			t.Fatal(err)
		}
		if seen[d.Plan.Sequence] || d.Plan.Sequence < 1 || !manifest.ValidID(d.Plan.Transfer) {
			t.Errorf("number %d in %s again", d.Plan.Sequence, d.Plan.Transfer)
		}
		seen[d.Plan.Sequence] = true
		if i%2 == 0 {
			err = d.Discard()
		} else {
			err = d.Close()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, text := range []string{"", "x", "7 8", "99999999999999999999"} {
		if err := os.WriteFile(filepath.Join(dir, "number"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if n, err := openOutbox(t, dir).Next(); err == nil {
			t.Errorf("after a file with %q the next number is %d", text, n)
		}
	}
}

// Without its key an outbox with bags is not taken for a new one.
func TestMissingKey(t *testing.T) {
	dir := t.TempDir()
	b := prepare(t, openOutbox(t, dir), newKeys(t), night(), "")
	if err := os.Remove(filepath.Join(dir, "key")); err != nil {
		t.Fatal(err)
	}
	if o, err := Open(dir); !errors.Is(err, fs.ErrNotExist) || o != nil {
		t.Errorf("opened: %v", err)
	}
	if left := names(t, dir); slices.Contains(left, "key") || len(names(t, b.Dir())) == 0 {
		t.Errorf("there is %q", left)
	}
}

func TestDamagedKeyIsNotShown(t *testing.T) {
	dir := t.TempDir()
	openOutbox(t, dir)
	path := filepath.Join(dir, "key")
	key, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	st, err := os.Stat(path)
	if err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("the key's permissions: %v, %v", st.Mode(), err)
	}
	for name, damaged := range map[string][]byte{
		"a character changed": bytes.Replace(key, []byte("1"), []byte("!"), 1),
		"cut":                 key[:len(key)-10],
		"two of them":         append(bytes.Clone(key), key...),
		"empty":               nil,
	} {
		if err := os.WriteFile(path, damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		o, err := Open(dir)
		if err == nil || o != nil {
			t.Errorf("%s: opened", name)
			continue
		}
		secret := strings.TrimSpace(string(key))
		for i := 16; i+8 <= len(secret); i += 8 {
			if strings.Contains(err.Error(), secret[i:i+8]) {
				t.Errorf("%s: the error tells the key: %v", name, err)
			}
		}
	}
}

func TestChain(t *testing.T) {
	dir := t.TempDir()
	o := openOutbox(t, dir)
	if c, err := o.Chain(); err != nil || *c != (Chain{}) {
		t.Errorf("a chain of nothing: %+v, %v", c, err)
	}
	previous := manifest.Hash{7}
	want := Chain{Counter: 41, Previous: &previous, Pending: &Pending{Transfer: "t", Drive: "d", Counter: 42, Statement: []byte("s\n")}}
	if err := o.SetChain(&want); err != nil {
		t.Fatal(err)
	}
	got, err := openOutbox(t, dir).Chain()
	if err != nil || got.Counter != 41 || *got.Previous != previous || got.Pending.Counter != 42 || string(got.Pending.Statement) != "s\n" {
		t.Errorf("read back %+v, %v", got, err)
	}
	// A damaged one is not taken for the beginning of a new one.
	if err := os.WriteFile(filepath.Join(dir, "chain.json"), []byte(`{"counter":`), 0o600); err != nil {
		t.Fatal(err)
	}
	if c, err := o.Chain(); err == nil {
		t.Errorf("a damaged chain reads as %+v", c)
	}
}

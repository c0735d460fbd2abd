package transfer_test

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"filippo.io/age"
	"golang.org/x/sys/unix"

	"sekisho/assets"
	"sekisho/scan"
	"sekisho/transfer"
	"sekisho/transfer/manifest"
	"sekisho/transfer/outbox"
	"sekisho/transfer/source"
)

// packed is what a bag says of one path, and the bytes it carries of it.
type packed struct {
	manifest.Entry
	content string
}

// unpacked opens a bag of the outbox as the hospital would with its recovery
// key and archive/tar.
func unpacked(t testing.TB, g *gate, bag *outbox.Bag) map[string]packed {
	t.Helper()
	dir, id := bag.Dir(), bag.ID()
	r, err := manifest.NewIndexReader(bytes.NewReader(decrypted(t, g, filepath.Join(dir, manifest.Index))), id)
	must(t, err)
	all := make(map[string]packed)
	for {
		e, err := r.Next()
		if err == io.EOF {
			break
		}
		must(t, err)
		all[string(e.Path)] = packed{Entry: *e}
	}
	var stream bytes.Buffer
	parts, err := filepath.Glob(filepath.Join(dir, manifest.Data, "*.age"))
	must(t, err)
	for _, part := range parts {
		stream.Write(decrypted(t, g, part))
	}
	for name, content := range untar(t, &stream) {
		e, ok := all[strings.TrimSuffix(name, "/")]
		if !ok || !e.Carried() {
			t.Errorf("%q is carried and the index does not say so", name)
		}
		e.content = content
		all[strings.TrimSuffix(name, "/")] = e
	}
	return all
}

func untar(t testing.TB, stream io.Reader) map[string]string {
	t.Helper()
	files := make(map[string]string)
	for x := tar.NewReader(stream); ; {
		h, err := x.Next()
		if err == io.EOF {
			return files
		}
		must(t, err)
		content, err := io.ReadAll(x)
		must(t, err)
		files[h.Name] = string(content)
	}
}

func decrypted(t testing.TB, g *gate, path string) []byte {
	t.Helper()
	f, err := os.Open(path)
	must(t, err)
	defer f.Close()
	r, err := age.Decrypt(f, g.recovery)
	must(t, err)
	data, err := io.ReadAll(r)
	must(t, err)
	return data
}

// quarantined is what was left out of a bag and kept, by path.
func quarantined(t testing.TB, g *gate, bag *outbox.Bag) map[string]string {
	t.Helper()
	kept := make(map[string]string)
	parts, err := filepath.Glob(filepath.Join(bag.Quarantine(), "*.tar.age"))
	must(t, err)
	for _, part := range parts {
		maps.Copy(kept, untar(t, bytes.NewReader(append(decrypted(t, g, part), manifest.Trailer...))))
	}
	return kept
}

// finding is the first finding of an entry, or "".
func (p packed) finding() string {
	if len(p.Findings) == 0 {
		return ""
	}
	return p.Findings[0].Engine + ":" + p.Findings[0].Name
}

// tree lists what is below dir: kind, time and content of everything.
func tree(t testing.TB, dir string) map[string]string {
	t.Helper()
	all := make(map[string]string)
	must(t, filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		content := ""
		if info.Mode().IsRegular() {
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			content = fmt.Sprintf("%x", sha256.Sum256(data))
		}
		all[rel] = fmt.Sprintf("%v %s %s", info.Mode().Type(), info.ModTime().UTC().Format(time.RFC3339Nano), content)
		return nil
	}))
	return all
}

func sameTree(t testing.TB, got, want map[string]string) {
	t.Helper()
	for path, state := range want {
		if got[path] != state {
			t.Errorf("%q is %q, want %q", path, got[path], state)
		}
	}
	for path := range got {
		if _, ok := want[path]; !ok {
			t.Errorf("%q should not be there", path)
		}
	}
}

// refused prepares with p, which must end without a bag and for that reason.
func refused(t testing.TB, p transfer.Preparation, want transfer.Reason) {
	t.Helper()
	bag, err := transfer.Prepare(t.Context(), p)
	var r *transfer.Refusal
	if !errors.As(err, &r) || r.Reason != want || bag != nil {
		t.Errorf("prepared %v, %v; want %s", bag, err, want)
	}
}

func TestPrepareCarriesEverything(t *testing.T) {
	k := newKiosk(t, "k1")
	g := newGate(t, k)
	src := night(t, "one")
	var last transfer.Progress
	seen := make(map[string]string)
	p := k.preparation(t, src)
	p.Watcher = transfer.Watcher{
		Progress: func(p transfer.Progress) { last = p },
		File:     func(f transfer.File) { seen[string(f.Path)] = f.Verdict },
	}
	bag, err := transfer.Prepare(t.Context(), p)
	must(t, err)
	got := unpacked(t, g, bag)
	want := tree(t, src)
	if len(got) != len(want) {
		t.Errorf("%d entries, want %d", len(got), len(want))
	}
	files := 0
	for path := range want {
		st, err := os.Stat(filepath.Join(src, path))
		must(t, err)
		e := got[path]
		if !e.Carried() || !e.ModTime.Equal(st.ModTime()) {
			t.Errorf("%q: %+v", path, e.Entry)
		}
		if st.Mode().IsRegular() {
			files++
			data, err := os.ReadFile(filepath.Join(src, path))
			must(t, err)
			if e.content != string(data) || seen[path] != manifest.Clean {
				t.Errorf("%q has other content, or is %q", path, seen[path])
			}
		}
	}
	if last.Files != int64(files) || last.TotalFiles != last.Files || last.Bytes != last.TotalBytes || len(seen) != files {
		t.Errorf("the last progress of %d files, %d told, is %+v", files, len(seen), last)
	}
	st := bag.Statement
	if st.Partial || st.Count(manifest.Clean).Files != int64(files) || len(st.Sizes.Parts) < 4 || len(st.Engines) != 2 || !st.Demonstration() {
		t.Errorf("the statement says %+v", st)
	}
}

func TestPrepareSourceMissingOrEmpty(t *testing.T) {
	k := newKiosk(t, "k1")
	newGate(t, k)
	refused(t, k.preparation(t, t.TempDir()), transfer.SourceEmpty)
	refused(t, k.preparation(t, export(t, map[string]string{"a/b/c/": "", "d/": ""})), transfer.SourceEmpty)

	// One that is taken away is no empty one.
	src := night(t, "gone")
	p := k.preparation(t, src)
	must(t, os.RemoveAll(src))
	refused(t, p, transfer.SourceFailed)

	if bags, err := k.outbox.Bags(); err != nil || len(bags) != 0 {
		t.Errorf("%d bags, %v", len(bags), err)
	}
}

// A folder that cannot be listed to its end is no smaller one.
func TestPrepareSourceFails(t *testing.T) {
	k := newKiosk(t, "k1")
	newGate(t, k)
	src := export(t, map[string]string{"a/1": "1", "b/2": "2"})
	tree, err := source.OpenFolder(src, source.Options{MaxNames: 1})
	must(t, err)
	defer tree.Close()
	p := k.preparation(t, src)
	p.Tree = tree
	refused(t, p, transfer.SourceFailed)
}

// Every name that a filesystem takes goes to the vault and back as it is.
func TestHostileNames(t *testing.T) {
	k := newKiosk(t, "k1")
	g := newGate(t, k)
	names := []string{
		"カルテ/が.txt", "カルテ/か\u3099.txt", // NFC and NFD
		"CASE.txt", "case.txt", "Case.TXT",
		"evil\u202Etxt.exe", "zero\u200Bwidth", "\u2066isolate", "\ufeffbom",
		"\x8a\xb3\x8e\xd2/\x83J\x83\x8b\x83e.dat", "\xff\xfe", "half\xe3\x81", // Shift_JIS, no UTF-8
		"line\nbreak", "carriage\rreturn", "tab\there", "bell\a", "escape\x1b[31m", "del\x7f", "back\\slash", `C:\con`,
		"quote\"'`", "$(reboot)", "-rf", "--", "~", "*", "?", "[a]", "a=b", "100%", "%2e%2e", "{}", ";", "&", "|", "<>", "#",
		"CON", "aux.txt", "NUL", "COM1", "LPT9.log", "trailing.", "trailing ", " leading", ".hidden", "...", ". .", "a..b",
		strings.Repeat("n", 255), strings.Repeat("長", 85), strings.Repeat("d/", 60) + "deep",
		"name.part", "SEKISHO/drive.json", "data/000001.age", "journal", "PaxHeaders.0/x", "GlobalHead.0",
	}
	files := make(map[string]string)
	for i, name := range names {
		files[name] = fmt.Sprintf("content %d", i)
	}
	src := export(t, files)
	for i, at := range []time.Time{
		time.Date(1601, 1, 2, 0, 0, 0, 0, time.UTC), time.Date(1969, 12, 31, 23, 59, 59, 999_999_999, time.UTC), time.Unix(0, 0),
		time.Date(2026, 2, 28, 23, 59, 59, 123_456_789, time.UTC), time.Date(2400, 1, 1, 0, 0, 0, 1, time.UTC),
	} {
		must(t, os.Chtimes(filepath.Join(src, names[i]), at, at))
	}
	bag := k.prepare(t, src)
	if bag.Statement.Partial {
		for path, e := range unpacked(t, g, bag) {
			if !e.Carried() {
				t.Errorf("%q was left out: %v", path, e.Findings)
			}
		}
	}
	drive := t.TempDir()
	k.write(t, drive, bag)
	o := g.accept(t, drive)
	sameTree(t, tree(t, g.restore(t, o[0].Generation)), tree(t, src))
}

// What is no file is listed as what it is and stays behind.
func TestNotFiles(t *testing.T) {
	k := newKiosk(t, "k1")
	g := newGate(t, k)
	src := export(t, map[string]string{"in/real.txt": "real", "in/twin.txt": "", "z.txt": "last"})
	outside := export(t, map[string]string{"secret.txt": "not to be carried"})
	at := func(name string) string { return filepath.Join(src, name) }
	must(t, os.Remove(at("in/twin.txt")))
	must(t, os.Link(at("in/real.txt"), at("in/twin.txt")))
	must(t, os.Symlink(filepath.Join(outside, "secret.txt"), at("link-out")))
	must(t, os.Symlink("in/real.txt", at("link-in")))
	must(t, os.Symlink(outside, at("link-folder")))
	must(t, os.Symlink("loop", at("loop")))
	must(t, os.Symlink("missing", at("dangling")))
	must(t, unix.Mkfifo(at("pipe"), 0o666))
	must(t, unix.Mknod(at("socket"), unix.S_IFSOCK|0o666, 0))
	must(t, unix.Mknod(at("zero"), unix.S_IFCHR|0o666, int(unix.Mkdev(1, 5))))
	must(t, unix.Mknod(at("disk"), unix.S_IFBLK|0o666, int(unix.Mkdev(7, 99))))

	bag := k.prepare(t, src)
	got := unpacked(t, g, bag)
	for path, kind := range map[string]string{
		"link-out": "symlink", "link-in": "symlink", "link-folder": "symlink", "loop": "symlink", "dangling": "symlink",
		"pipe": "fifo", "socket": "socket", "zero": "device", "disk": "device",
	} {
		e, ok := got[path]
		if !ok || e.Type != manifest.Other || e.Verdict != manifest.Unscannable || e.finding() != "source:NotAFile."+kind || e.Carried() {
			t.Errorf("%q: %+v", path, e.Entry)
		}
		delete(got, path)
	}
	for path, content := range map[string]string{"in": "", "in/real.txt": "real", "in/twin.txt": "real", "z.txt": "last"} {
		if e := got[path]; !e.Carried() || e.content != content {
			t.Errorf("%q: %+v, %q", path, e.Entry, e.content)
		}
		delete(got, path)
	}
	if len(got) > 0 {
		t.Errorf("also listed: %v", slices.Collect(maps.Keys(got)))
	}
	if kept := quarantined(t, g, bag); len(kept) > 0 {
		t.Errorf("kept of what has no content: %v", kept)
	}
	if !bag.Statement.Partial || bag.Statement.Count(manifest.Unscannable).Files != 9 {
		t.Errorf("the statement counts %+v", bag.Statement.Counts)
	}
}

// Nobody knows how many files lie behind a mount: the night waits for IT, and
// goes when it is away.
func TestMountInTheSource(t *testing.T) {
	k := newKiosk(t, "k1")
	g := newGate(t, k)
	src := export(t, map[string]string{"a": "a", "mounted/": "", "z": "z"})
	mounted := filepath.Join(src, "mounted")
	must(t, unix.Mount("none", mounted, "tmpfs", 0, "size=1m"))
	must(t, os.WriteFile(filepath.Join(mounted, "file"), []byte("of another filesystem"), 0o644))
	bag, err := transfer.Prepare(t.Context(), k.preparation(t, src))
	must(t, unix.Unmount(mounted, unix.MNT_DETACH))
	var r *transfer.Refusal
	if !errors.As(err, &r) || r.Reason != transfer.FolderUnread || bag == nil {
		t.Fatalf("prepared %v, %v", bag, err)
	}
	if e := unpacked(t, g, bag)["mounted"]; e.Type != manifest.Other || e.finding() != "source:NotAFile.mount" || e.Carried() {
		t.Errorf("it is %+v", e.Entry)
	}
	if e, ok := unpacked(t, g, bag)["mounted/file"]; ok {
		t.Errorf("what is behind it is %+v", e.Entry)
	}
	if e := unpacked(t, g, k.prepare(t, src))["mounted"]; e.Type != manifest.Folder || !e.Carried() {
		t.Errorf("without the mount it is %+v", e.Entry)
	}
}

// A held bag is not made again as long as its source is the same, and its place
// is taken by the next one that may go.
func TestHeldBagIsSuperseded(t *testing.T) {
	k := newKiosk(t, "k1")
	newGate(t, k)
	src := export(t, map[string]string{"a": eicar})
	var held *outbox.Bag
	for range 2 {
		bag, err := transfer.Prepare(t.Context(), k.preparation(t, src))
		var r *transfer.Refusal
		if !errors.As(err, &r) || r.Reason != transfer.Detected || bag == nil {
			t.Fatalf("prepared %v, %v", bag, err)
		}
		if held != nil && bag.ID() != held.ID() {
			t.Errorf("made again as %s", bag.ID())
		}
		held = bag
	}
	must(t, os.WriteFile(filepath.Join(src, "a"), []byte("clean"), 0o644))
	bag := k.prepare(t, src)
	if _, err := os.Lstat(held.Dir()); !errors.Is(err, os.ErrNotExist) || !reopened(t, k, held).Dropped {
		t.Errorf("the held bag still takes room: %v", err)
	}
	if due := due(t, k); len(due) != 1 || due[0].ID() != bag.ID() {
		t.Errorf("due is %+v", due)
	}
}

// opened waits until this process has the file open: the walk is ahead of the
// reading.
func opened(t testing.TB, path string) {
	t.Helper()
	want, err := filepath.EvalSymlinks(path)
	must(t, err)
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		fds, err := filepath.Glob("/proc/self/fd/*")
		must(t, err)
		for _, fd := range fds {
			if target, err := os.Readlink(fd); err == nil && target == want {
				return
			}
		}
	}
	t.Fatalf("%s was not opened", path)
}

// A file that does not stand still is left out, and named so.
func TestChangingFiles(t *testing.T) {
	appendTo := func(path, text string) error {
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
		if err != nil {
			return err
		}
		_, err = f.WriteString(text)
		return errors.Join(err, f.Close())
	}
	for name, change := range map[string]func(path string) error{
		"grows":   func(path string) error { return appendTo(path, "more") },
		"shrinks": func(path string) error { return os.Truncate(path, 10) },
		"empties": func(path string) error { return os.Truncate(path, 0) },
		"changes": func(path string) error { return os.WriteFile(path, bytes.Repeat([]byte("y"), 1000), 0o644) },
		"changes, with its time put back": func(path string) error {
			st, err := os.Stat(path)
			return errors.Join(err, os.WriteFile(path, bytes.Repeat([]byte("y"), 1000), 0o644), os.Chtimes(path, st.ModTime(), st.ModTime()))
		},
	} {
		t.Run(name, func(t *testing.T) {
			k := newKiosk(t, "k1")
			g := newGate(t, k)
			// The first file takes all the memory there is, so the second one is
			// open but not read when the first is packed.
			const memory = 1 << 20
			var err error
			k.spool, err = scan.NewSpool(scan.SpoolOptions{Dir: k.dir, Memory: memory, Largest: memory})
			must(t, err)
			src := export(t, map[string]string{"1-first": text("x", memory), "2-moving": strings.Repeat("x", 1000), "3-last": "still"})
			moving := filepath.Join(src, "2-moving")
			p := k.preparation(t, src)
			p.Watcher.File = func(f transfer.File) {
				if f.Path == "1-first" {
					opened(t, moving)
					must(t, change(moving))
				}
			}
			bag, err := transfer.Prepare(t.Context(), p)
			must(t, err)
			got := unpacked(t, g, bag)
			if e := got["2-moving"]; e.Verdict != manifest.Unscannable || e.finding() != "source:ChangedWhileRead" || e.Carried() {
				t.Errorf("it is %+v", e.Entry)
			}
			for _, path := range []string{"1-first", "3-last"} {
				if e := got[path]; !e.Carried() || e.Verdict != manifest.Clean {
					t.Errorf("%s is %+v", path, e.Entry)
				}
			}
			if !bag.Statement.Partial || bag.Held != "" {
				t.Errorf("partial %v, held %q", bag.Statement.Partial, bag.Held)
			}

			// Another night, standing still, it goes along.
			again := k.prepare(t, src)
			if e := unpacked(t, g, again)["2-moving"]; again.ID() == bag.ID() || !e.Carried() {
				t.Errorf("afterwards it is %+v", e.Entry)
			}
		})
	}
}

// zipped is an archive with one file in it.
func zipped(t testing.TB, name, content string) string {
	t.Helper()
	var buf bytes.Buffer
	z := zip.NewWriter(&buf)
	w, err := z.Create(name)
	must(t, err)
	_, err = w.Write([]byte(content))
	must(t, errors.Join(err, z.Close()))
	return buf.String()
}

// What an engine detects is left out, kept encrypted, listed, and nothing else is.
func TestDetectedIsLeftOutAndKept(t *testing.T) {
	k := newKiosk(t, "k1")
	k.policy = scan.Policy{HoldPercent: 100}
	g := newGate(t, k)
	bad := map[string]string{
		"eicar.com": eicar, "zipped.zip": zipped(t, "in.com", eicar),
		"nested.zip": zipped(t, "outer.zip", zipped(t, "inner.zip", zipped(t, "in.com", eicar))),
		"twice.com":  eicar,
	}
	files := map[string]string{"clean.txt": "clean", "clean.zip": zipped(t, "in.txt", "clean")}
	maps.Copy(files, bad)
	src := export(t, files)
	bag := k.prepare(t, src)
	got := unpacked(t, g, bag)
	for path := range files {
		e := got[path]
		sum := manifest.Hash(sha256.Sum256([]byte(files[path])))
		if e.SHA256 == nil || *e.SHA256 != sum {
			t.Errorf("%s: no digest, or another", path)
		}
		if _, isBad := bad[path]; isBad != (e.Verdict == manifest.Detected) || isBad == e.Carried() || isBad == (e.finding() == "") {
			t.Errorf("%s: %+v", path, e.Entry)
		}
	}
	if kept := quarantined(t, g, bag); !maps.Equal(kept, bad) {
		t.Errorf("kept %v", slices.Collect(maps.Keys(kept)))
	}
	drive := t.TempDir()
	k.write(t, drive, bag)
	outcomes, err := transfer.Import(t.Context(), g.scanning(t, drive))
	must(t, err)
	if len(outcomes) != 1 || outcomes[0].Refusal != nil {
		t.Fatalf("the gate says %+v", outcomes)
	}
	back := tree(t, g.restore(t, outcomes[0].Generation))
	for path := range files {
		if _, isBad := bad[path]; isBad == (back[path] != "") {
			t.Errorf("%s at the gate: %q", path, back[path])
		}
	}
}

// Which night goes, with what is left out of it, and which waits for IT.
func TestPolicyDecides(t *testing.T) {
	k := newKiosk(t, "k1")
	newGate(t, k)
	for name, c := range map[string]struct {
		good, bad int
		policy    scan.Policy
		held      transfer.Reason
	}{
		"all clean":                       {5, 0, scan.Policy{}, ""},
		"all clean, strict":               {5, 0, scan.Policy{Strict: true}, ""},
		"all clean, a set":                {5, 0, scan.Policy{Kind: scan.Set}, ""},
		"one of two":                      {1, 1, scan.Policy{}, ""},
		"two of ten, below the floor":     {8, 2, scan.Policy{}, ""},
		"three of ten":                    {7, 3, scan.Policy{}, transfer.TooManyLeftOut},
		"three of 300: one percent":       {297, 3, scan.Policy{}, ""},
		"four of 300: more":               {296, 4, scan.Policy{}, transfer.TooManyLeftOut},
		"20 of any number":                {10, 20, scan.Policy{HoldPercent: 100}, ""},
		"21":                              {10, 21, scan.Policy{HoldPercent: 100}, transfer.TooManyLeftOut},
		"one, strict":                     {9, 1, scan.Policy{Strict: true}, transfer.Detected},
		"one of a set":                    {9, 1, scan.Policy{Kind: scan.Set}, transfer.Detected},
		"all of them":                     {0, 2, scan.Policy{HoldPercent: 100}, transfer.Detected},
		"more than its own limit":         {20, 2, scan.Policy{HoldFiles: 1}, transfer.TooManyLeftOut},
		"a link, strict":                  {9, -1, scan.Policy{Strict: true}, transfer.Unscannable},
		"a link in a set":                 {9, -1, scan.Policy{Kind: scan.Set}, transfer.Unscannable},
		"nothing but a link":              {0, -1, scan.Policy{}, transfer.Unscannable},
		"a link beside independent files": {9, -1, scan.Policy{}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			files := make(map[string]string)
			for i := range c.good {
				files[fmt.Sprintf("good%03d", i)] = fmt.Sprint(i)
			}
			for i := range c.bad {
				files[fmt.Sprintf("bad%03d", i)] = eicar
			}
			src := export(t, files)
			if c.bad < 0 {
				must(t, os.Symlink("x", filepath.Join(src, "link")))
			}
			k.policy = c.policy
			bag, err := transfer.Prepare(t.Context(), k.preparation(t, src))
			var r *transfer.Refusal
			if bag == nil || c.held == "" && err != nil || c.held != "" && (!errors.As(err, &r) || r.Reason != c.held) {
				t.Fatalf("%v, %v; want %q", bag, err, c.held)
			}
			if bag.Held != string(c.held) || bag.Due() != (c.held == "") || bag.Statement.Partial != (c.bad != 0) {
				t.Errorf("held %q, due %v, partial %v", bag.Held, bag.Due(), bag.Statement.Partial)
			}
			if c.held == "" {
				return
			}
			drive := t.TempDir()
			err = transfer.Write(t.Context(), k.writing(t, drive), bag)
			if !errors.As(err, &r) || r.Reason != c.held {
				t.Errorf("writing a held bag: %v", err)
			}
			if left := tree(t, drive); len(left) > 0 {
				t.Errorf("on the drive is %v", left)
			}
		})
	}
}

// An exemption is used, counted, and sealed in the details.
func TestExemption(t *testing.T) {
	k := newKiosk(t, "k1")
	g := newGate(t, k)
	sum := sha256.Sum256([]byte(eicar))
	until := time.Now().Add(24 * time.Hour)
	k.policy = scan.Policy{Strict: true, Exempt: []scan.Exemption{
		{SHA256: hex.EncodeToString(sum[:]), Until: until, By: "it-01", Reason: "test file of the scanner"},
		{SHA256: strings.Repeat("0", 64), Until: until, By: "it-02", Reason: "another"},
	}}
	src := export(t, map[string]string{"a.com": eicar, "b.com": eicar, "clean": "clean"})
	bag := k.prepare(t, src)
	st := bag.Statement
	if st.Partial || st.Count(manifest.Exempt).Files != 2 || st.Count(manifest.Clean).Files != 1 {
		t.Errorf("the statement counts %+v", st.Counts)
	}
	for _, path := range []string{"a.com", "b.com"} {
		if e := unpacked(t, g, bag)[path]; e.Verdict != manifest.Exempt || e.content != eicar || e.finding() == "" {
			t.Errorf("%s: %+v", path, e.Entry)
		}
	}
	d, err := manifest.ParseDetails(bytes.NewReader(decrypted(t, g, filepath.Join(bag.Dir(), manifest.DetailsFile))), bag.ID())
	must(t, err)
	if len(d.Exemptions) != 1 || d.Exemptions[0].Files != 2 || !strings.Contains(d.Exemptions[0].Rule, "it-01") || !strings.Contains(d.Exemptions[0].Rule, "test file of the scanner") {
		t.Errorf("the details list %+v", d.Exemptions)
	}
	if len(d.Definitions) == 0 || d.Source != src || d.Workflow != "export" {
		t.Errorf("the details are %+v", d)
	}
	// The gate does not take a kiosk's word for a detection: it needs the same
	// exemption itself.
	drive := t.TempDir()
	k.write(t, drive, bag)
	in := g.scanning(t, drive)
	refusedAs(t, refusalOf(transfer.Import(t.Context(), in)), transfer.Detected)
	in.Policy = k.policy
	outcomes, err := transfer.Import(t.Context(), in)
	must(t, err)
	if len(outcomes) != 1 || outcomes[0].Refusal != nil {
		t.Errorf("the gate says %+v", outcomes)
	}

	k.policy.Exempt[0].Until = time.Now().Add(-time.Second)
	_, err = transfer.Prepare(t.Context(), k.preparation(t, export(t, map[string]string{"a.com": eicar, "clean": "clean"})))
	var r *transfer.Refusal
	if !errors.As(err, &r) || r.Reason != transfer.Detected {
		t.Errorf("an exemption that has run out: %v", err)
	}
}

// scanner starts engines of the test's own.
func scanner(t testing.TB, clamd scan.ClamdConfig) *scan.Scanner {
	t.Helper()
	s, err := scan.New(t.Context(), scan.Config{Clamd: clamd, Workers: 2, Builtin: assets.Rules, Log: quiet()})
	must(t, err)
	t.Cleanup(func() { must(t, s.Close()) })
	return s
}

// Definitions that are too old hold the workflow before anything is read.
func TestStaleDefinitions(t *testing.T) {
	k := newKiosk(t, "k1")
	newGate(t, k)
	hdb := filepath.Join(t.TempDir(), "hospital.hdb")
	must(t, os.WriteFile(hdb, []byte(strings.Repeat("0", 31)+"1:17:Hospital.Test\n"), 0o644))
	made := time.Now().Add(-8 * 24 * time.Hour)
	must(t, os.Chtimes(hdb, made, made))
	p := k.preparation(t, night(t, "stale"))
	p.Scanner = scanner(t, scan.ClamdConfig{Private: true, Daemons: 1, Unpack: 64 << 20, Definitions: []string{hdb}})
	p.HoldAge = 7 * 24 * time.Hour
	refused(t, p, transfer.StaleDefinitions)
	p.HoldAge = 9 * 24 * time.Hour
	bag, err := transfer.Prepare(t.Context(), p)
	must(t, err)
	if e := bag.Statement.Engines[0]; e.Demonstration || !e.Newest.Equal(made.UTC().Truncate(time.Nanosecond)) {
		t.Errorf("the statement says %+v", e)
	}
}

// children of this process that run the program name.
func childrenNamed(t testing.TB, name string) (pids []int) {
	t.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	must(t, err)
	for _, path := range stats {
		data, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		var pid, parent int
		var state string
		comm := data[bytes.IndexByte(data, '(')+1 : bytes.LastIndexByte(data, ')')]
		if _, err := fmt.Sscan(string(data), &pid); err != nil {
			continue
		}
		if _, err := fmt.Sscan(string(data[bytes.LastIndexByte(data, ')')+1:]), &state, &parent); err == nil && parent == os.Getpid() && string(comm) == name && state != "Z" {
			pids = append(pids, pid)
		}
	}
	return pids
}

// clamdSockets are the sockets of our daemons but those that were there before.
func clamdSockets(t testing.TB, before []int) (sockets []string) {
	t.Helper()
	for _, pid := range childrenNamed(t, "clamd") {
		if slices.Contains(before, pid) {
			continue
		}
		command, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		must(t, err)
		args := strings.Split(strings.TrimSuffix(string(command), "\x00"), "\x00") // clamd -c FILE.conf
		sockets = append(sockets, strings.TrimSuffix(args[len(args)-1], "conf")+"sock")
	}
	return sockets
}

// An engine that dies in the middle of a night is started again, and what it
// was asked is asked again.
func TestEngineDies(t *testing.T) {
	k := newKiosk(t, "k1")
	g := newGate(t, k)
	files := map[string]string{"eicar0": eicar, "eicar9": eicar}
	for i := range 60 {
		files[fmt.Sprintf("file%02d", i)] = text(fmt.Sprint(i), 20<<10)
	}
	p := k.preparation(t, export(t, files))
	killed := 0
	p.Watcher.File = func(f transfer.File) {
		if strings.HasPrefix(string(f.Path), "file") && strings.HasSuffix(string(f.Path), "5") {
			for _, pid := range childrenNamed(t, "clamd") {
				must(t, unix.Kill(pid, unix.SIGKILL))
				killed++
			}
		}
	}
	bag, err := transfer.Prepare(t.Context(), p)
	must(t, err)
	if killed == 0 {
		t.Error("no clamd was there to be killed")
	}
	for path, e := range unpacked(t, g, bag) {
		if bad := files[path] == eicar; bad != (e.Verdict == manifest.Detected) || bad == e.Carried() {
			t.Errorf("%s is %+v", path, e.Entry)
		}
	}
}

// Without an engine there is no verdict and no bag, whatever was read before.
func TestEnginesGone(t *testing.T) {
	k := newKiosk(t, "k1")
	newGate(t, k)
	before := childrenNamed(t, "clamd")
	scanner(t, scan.ClamdConfig{Private: true, Daemons: 1, Unpack: 64 << 20})
	sockets := clamdSockets(t, before)
	daemons := childrenNamed(t, "clamd")
	// The first file takes all the memory there is: the second one is read when
	// the first was packed.
	const memory = 1 << 20
	var err error
	k.spool, err = scan.NewSpool(scan.SpoolOptions{Dir: k.dir, Memory: memory, Largest: memory})
	must(t, err)
	src := export(t, map[string]string{"1-first": text("x", memory), "2-second": "x", "3-third": "x"})
	p := k.preparation(t, src)
	p.Scanner = scanner(t, scan.ClamdConfig{Sockets: sockets})
	p.HoldAge = math.MaxInt64 // such a daemon does not say how old its definitions are
	p.Watcher.File = func(f transfer.File) {
		if f.Path != "1-first" {
			t.Errorf("%q has a verdict without an engine: %s", f.Path, f.Verdict)
		}
		for _, pid := range daemons {
			if !slices.Contains(before, pid) { // only its own scanner would start it again
				must(t, unix.Kill(pid, unix.SIGKILL))
			}
		}
	}
	refused(t, p, transfer.EngineFailed)
	if bags, err := k.outbox.Bags(); err != nil || len(bags) > 0 {
		t.Errorf("%d bags, %v", len(bags), err)
	}
	k.prepare(t, src)
}

// What the kiosk's account may not read is left out and named, or held. The
// tests run as root, who may read everything: here the kiosk is nobody.
func TestUnreadable(t *testing.T) {
	const nobody = 65534
	top := t.TempDir()
	must(t, os.Chmod(filepath.Dir(top), 0o755))
	g := newGate(t)
	k := &kiosk{name: "k1", dir: filepath.Join(top, "kiosk"), keys: g.keys}
	must(t, os.Mkdir(k.dir, 0o700))
	keyFile(t, k.path("ledger.key"))
	keys, err := g.keys.Marshal()
	must(t, err)
	must(t, os.WriteFile(k.path("keys.json"), keys, 0o600))
	for _, path := range []string{k.dir, k.path("ledger.key"), k.path("keys.json")} {
		must(t, os.Chown(path, nobody, nobody))
	}
	files := map[string]string{"locked/inside": "x", "secret": "x"}
	for i := range 3 {
		files[fmt.Sprint("open", i)] = "x"
	}
	src := filepath.Join(top, "export")
	must(t, os.Rename(export(t, files), src))
	must(t, errors.Join(os.Chmod(filepath.Join(src, "secret"), 0o600), os.Chmod(filepath.Join(src, "locked"), 0o700)))

	prepare := func() ([]byte, error) {
		cmd := exec.Command("/proc/self/exe", "kiosk-prepare", k.dir, k.path("keys.json"), src)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
		cmd.Dir, cmd.Env = "/", []string{"TMPDIR=" + k.dir, "PATH=" + os.Getenv("PATH")}
		return cmd.CombinedOutput()
	}
	// A folder that cannot be read may hold anything.
	if out, err := prepare(); err == nil || !bytes.Contains(out, []byte(transfer.FolderUnread)) {
		t.Errorf("with a locked folder: %v: %s", err, out)
	}
	must(t, os.RemoveAll(filepath.Join(src, "locked")))
	if out, err := prepare(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	k.outbox, err = outbox.Open(k.path("outbox"))
	must(t, err)
	bags := due(t, k)
	if len(bags) != 1 || !bags[0].Statement.Partial {
		t.Fatalf("made %+v", bags)
	}
	got := unpacked(t, g, bags[0])
	if e := got["secret"]; e.Type != manifest.File || e.Verdict != manifest.Unscannable || e.finding() != "source:Unreadable" || e.Carried() {
		t.Errorf("it is %+v", e.Entry)
	}
	if len(got) != 4 || got["open2"].content != "x" {
		t.Errorf("%d entries", len(got))
	}
}

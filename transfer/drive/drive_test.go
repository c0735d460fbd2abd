package drive

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestOpen(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{filepath.Join(dir, "missing"), file, ""} {
		if d, err := Open(path); !errors.Is(err, ErrNone) || d != nil {
			t.Errorf("opening %q: %v, %v", path, d, err)
		}
	}
	d := open(t, dir)
	if err := d.Present(); err != nil || d.Path() != dir {
		t.Errorf("%q: %v", d.Path(), err)
	}
}

// No link on the drive leads anywhere: not to read, not to write, not to delete.
func TestLinksAreNotFollowed(t *testing.T) {
	objects, _ := bag()
	for _, at := range []string{"T", "T/t1", "T/t1/data", "T/t1/data/000002.age", "T/t1/data/000002.age.part"} {
		for _, target := range []string{"outside", "inside"} {
			t.Run(strings.ReplaceAll(at, "/", "-")+" "+target, func(t *testing.T) {
				dir := t.TempDir()
				trap := filepath.Join(t.TempDir(), "trap")
				if target == "inside" {
					trap = filepath.Join(dir, "trap")
				}
				kept := map[string][]byte{"t1/data/000002.age": []byte("kept"), "data/000002.age": []byte("kept"), "000002.age": []byte("kept"), "x/y/z": nil}
				for name, data := range kept {
					if err := errors.Join(os.MkdirAll(filepath.Join(trap, filepath.Dir(name)), 0o755), os.WriteFile(filepath.Join(trap, name), data, 0o600)); err != nil {
						t.Fatal(err)
					}
				}
				if strings.Contains(at, "000002") {
					trap = filepath.Join(trap, "000002.age")
				}
				place := filepath.Join(dir, at)
				link := trap
				if target == "inside" {
					var err error
					if link, err = filepath.Rel(filepath.Dir(place), trap); err != nil {
						t.Fatal(err)
					}
				}
				if err := errors.Join(os.MkdirAll(filepath.Dir(place), 0o755), os.Symlink(link, place)); err != nil {
					t.Fatal(err)
				}
				d := open(t, dir)
				name := "T/t1/data/000002.age"
				if !strings.HasSuffix(at, ".part") {
					if data, err := d.ReadFile(name, 100); !errors.Is(err, ErrKind) {
						t.Errorf("read %q through the link, %v", data, err)
					}
				}
				if names, err := d.List("T/t1/data", 10); !strings.Contains(at, "000002") && err == nil {
					t.Errorf("listed %v through the link", names)
				}
				if used := d.Used("T/t1"); used != 0 {
					t.Errorf("counted %d bytes through the link", used)
				}
				err := d.Copy(context.Background(), objects[1:3], noProgress)
				if own := strings.Contains(at, "000002"); own && err != nil {
					t.Errorf("a link in an object's place is not replaced: %v", err)
				} else if !own && err == nil {
					t.Error("wrote through the link")
				}
				if own := strings.Contains(at, "000002"); own {
					if st, err := os.Lstat(filepath.Join(dir, name)); err != nil || !st.Mode().IsRegular() {
						t.Errorf("there is %v, %v", st, err)
					}
				}
				// Deleting takes the link, and nothing behind it.
				if err := d.Remove("T"); err != nil {
					t.Errorf("removing: %v", err)
				}
				if _, err := os.Lstat(filepath.Join(dir, "T")); !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("it is still there: %v", err)
				}
				if strings.Contains(at, "000002") {
					trap = filepath.Dir(trap)
				}
				holds(t, trap, kept)
			})
		}
	}
}

// A filesystem that is mounted on the drive is not the drive.
func TestMountsAreNotCrossed(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "T/t1"), 0o755); err != nil {
		t.Fatal(err)
	}
	run(t, "mount", "-t", "tmpfs", "none", filepath.Join(dir, "T/t1"))
	t.Cleanup(func() { run(t, "umount", filepath.Join(dir, "T/t1")) })
	if err := os.WriteFile(filepath.Join(dir, "T/t1/file"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	d := open(t, dir)
	if data, err := d.ReadFile("T/t1/file", 10); !errors.Is(err, ErrKind) {
		t.Errorf("read %q, %v", data, err)
	}
	if err := d.Put("T/t1/new", []byte("x")); err == nil {
		t.Error("written")
	}
	if err := d.Remove("T"); err == nil {
		t.Error("removed")
	}
	holds(t, filepath.Join(dir, "T/t1"), map[string][]byte{"file": []byte("x")})
}

// What is no file is never waited for, and replaced where an object goes.
func TestNotAFile(t *testing.T) {
	name := "T/t1/data/000002.age"
	for kind, make := range map[string]func(path string) error{
		"pipe":   func(path string) error { return unix.Mkfifo(path, 0o600) },
		"device": func(path string) error { return unix.Mknod(path, unix.S_IFCHR|0o600, int(unix.Mkdev(1, 5))) },
		"folder": func(path string) error { return os.MkdirAll(filepath.Join(path, "deeper"), 0o755) },
		"socket": func(path string) error { return unix.Mknod(path, unix.S_IFSOCK|0o600, 0) },
	} {
		t.Run(kind, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, name)
			if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), make(path)); err != nil {
				t.Fatal(err)
			}
			d := open(t, dir)
			done := time.AfterFunc(20*time.Second, func() { panic("waiting for a " + kind) })
			defer done.Stop()
			if data, err := d.ReadFile(name, 100); !errors.Is(err, ErrKind) {
				t.Errorf("read %q, %v", data, err)
			}
			list, err := d.List("T/t1/data", 1)
			if err != nil || len(list) != 1 || list[0].File || list[0].Folder != (kind == "folder") {
				t.Errorf("listed as %+v, %v", list, err)
			}
			objects, content := bag()
			copyAll(t, d, objects)
			holds(t, filepath.Join(dir, "T"), trimmed(content))
		})
	}
	dir := t.TempDir()
	if err := unix.Mkfifo(filepath.Join(dir, "T"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := open(t, dir).Mkdir("T/t1"); err == nil {
		t.Error("a folder was made in a pipe")
	}
}

func TestListAndRead(t *testing.T) {
	// Without the feature a folder does not say what its names are.
	for _, features := range []string{"^has_journal", "^has_journal,^filetype"} {
		t.Run(features, func(t *testing.T) {
			s := newStick(t, 8<<20, features)
			d := open(t, s.dir)
			for i := range 5 {
				if err := d.Put(fmt.Sprintf("T/%d", i), []byte(strings.Repeat("x", i))); err != nil {
					t.Fatal(err)
				}
			}
			if err := d.Mkdir("T/sub"); err != nil {
				t.Fatal(err)
			}
			got, err := d.List("T", 6)
			slices.SortFunc(got, func(a, b Name) int { return strings.Compare(a.Name, b.Name) })
			want := []Name{{"0", false, true}, {"1", false, true}, {"2", false, true}, {"3", false, true}, {"4", false, true}, {"sub", true, false}}
			if err != nil || !slices.Equal(got, want) {
				t.Errorf("listed %v, %v", got, err)
			}
			if got, err := d.List("T", 5); !errors.Is(err, ErrTooLarge) || got != nil {
				t.Errorf("six names where five may be: %v, %v", got, err)
			}
			if got, err := d.List("U", 5); !errors.Is(err, fs.ErrNotExist) || got != nil {
				t.Errorf("a missing folder lists as %v, %v", got, err)
			}
			if got := d.Used("T"); got != 0+1+2+3+4 {
				t.Errorf("%d bytes are used", got)
			}
			if got, err := d.ReadFile("T/4", 4); err != nil || string(got) != "xxxx" {
				t.Errorf("read %q, %v", got, err)
			}
			if got, err := d.ReadFile("T/4", 3); !errors.Is(err, ErrTooLarge) || got != nil {
				t.Errorf("four bytes where three may be: %q, %v", got, err)
			}
			for range 2 { // nothing there is no error
				if err := d.Remove("T"); err != nil {
					t.Errorf("removing: %v", err)
				}
			}
			if _, err := os.Lstat(filepath.Join(s.dir, "T")); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("it is still there: %v", err)
			}
		})
	}
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "T/t/data/deep/deeper"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := open(t, dir).Remove("T/t"); err != nil {
		t.Errorf("three levels: %v", err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "T/t/data/deep/deeper/deepest"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := open(t, dir).Remove("T/t"); err == nil {
		t.Error("removed what lies deeper than a bag")
	}
}

// A damaged filesystem.
func TestUnreadable(t *testing.T) {
	s := newStick(t, 4<<20, "^has_journal")
	o, _ := object("T/one", 5000)
	before, err := Open(s.dir)
	if err == nil {
		err = errors.Join(before.Copy(context.Background(), []Object{o}, noProgress), before.Close(), unix.Unmount(s.dir, 0))
	}
	if err != nil {
		t.Fatal(err)
	}
	run(t, "debugfs", "-w", "-R", "set_inode_field /T/one block[0] 1", s.loop)
	run(t, "mount", "-t", "ext4", s.loop, s.dir)
	d := open(t, s.dir)
	if data, err := d.ReadFile("T/one", 5000); !errors.Is(err, ErrUnreadable) || errors.Is(err, ErrGone) {
		t.Errorf("read %d bytes, %v", len(data), err)
	}
	if err := d.Copy(context.Background(), []Object{o}, noProgress); err == nil {
		t.Error("an object that cannot be read counts as written")
	}
}

// Names that lead out of the drive.
func TestBeneath(t *testing.T) {
	dir := t.TempDir()
	inner := filepath.Join(dir, "drive")
	if err := errors.Join(os.MkdirAll(filepath.Join(inner, "T"), 0o755), os.WriteFile(filepath.Join(dir, "outside"), []byte("x"), 0o600)); err != nil {
		t.Fatal(err)
	}
	d := open(t, inner)
	for _, name := range []string{"../outside", "T/../../outside", filepath.Join(dir, "outside"), "..", "/"} {
		if data, err := d.ReadFile(name, 10); err == nil {
			t.Errorf("read %q at %q", data, name)
		}
		if err := d.Put(name, []byte("y")); err == nil {
			t.Errorf("wrote to %q", name)
		}
		if err := d.Remove(name); err == nil {
			t.Errorf("removed %q", name)
		}
	}
	if data, err := os.ReadFile(filepath.Join(dir, "outside")); err != nil || string(data) != "x" {
		t.Errorf("outside is %q, %v", data, err)
	}
}

func TestID(t *testing.T) {
	dir := t.TempDir()
	d := open(t, dir)
	if id, err := d.ID("S/drive.json"); !errors.Is(err, ErrNotPrepared) || id != "" {
		t.Errorf("a drive as it was bought: %q, %v", id, err)
	}
	first, err := d.Prepare("S/drive.json")
	if err != nil {
		t.Fatal(err)
	}
	if id, err := open(t, dir).ID("S/drive.json"); err != nil || id != first || len(first) != 32 {
		t.Errorf("read %q, %v, want %q", id, err, first)
	}
	if second, err := open(t, t.TempDir()).Prepare("S/drive.json"); err != nil || second == first {
		t.Errorf("two drives have the id %q, %v", second, err)
	}
	path := filepath.Join(dir, "S/drive.json")
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"empty":          "",
		"no line feed":   strings.TrimSuffix(string(good), "\n"),
		"more":           string(good) + "\n",
		"other format":   strings.Replace(string(good), "/1", "/2", 1),
		"other key":      strings.Replace(string(good), `"id"`, `"ID"`, 1),
		"space":          strings.Replace(string(good), ",", ", ", 1),
		"capitals":       strings.Replace(string(good), first, strings.ToUpper("ab"+first[2:]), 1),
		"short":          strings.Replace(string(good), first, first[2:], 1),
		"long":           strings.Replace(string(good), first, "00"+first, 1),
		"no hexadecimal": strings.Replace(string(good), first, "g"+first[1:], 1),
		"a path":         strings.Replace(string(good), first, "../"+first[3:], 1),
		"escaped":        strings.Replace(string(good), first, `\u0061`+first[1:], 1),
		"an added key":   strings.Replace(string(good), "}", `,"x":1}`, 1),
		"large":          strings.Repeat(" ", 300) + string(good),
	} {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if id, err := d.ID("S/drive.json"); !errors.Is(err, ErrNotPrepared) || id != "" {
			t.Errorf("%s: %q, %v", name, id, err)
		}
	}
	if id, err := d.Prepare("S/drive.json"); err != nil || id == first {
		t.Errorf("prepared anew as %q, %v", id, err)
	}
}

func TestSame(t *testing.T) {
	top := t.TempDir()
	p := func(name string) string { return filepath.Join(top, name) }
	for _, dir := range []string{"drive/in/deep", "drive2", "other", "bound", "export/sub"} {
		if err := os.MkdirAll(p(dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(p("drive/in"), p("link")); err != nil {
		t.Fatal(err)
	}
	run(t, "mount", "--bind", p("drive"), p("bound"))
	t.Cleanup(func() { run(t, "umount", p("bound")) })
	d := open(t, p("drive"))
	for path, want := range map[string]bool{
		"drive": true, "drive/": true, "drive/in/deep": true, ".": true, "link": true, "link/deep": true,
		"bound": true, "bound/in": true, "drive2": false, "other": false, "drive/../drive2": false, "export/sub": false,
	} {
		if got, err := d.Same(p(path)); err != nil || got != want {
			t.Errorf("%s: %v, %v", path, got, err)
		}
	}
	if same, err := d.Same(p("missing")); !errors.Is(err, fs.ErrNotExist) || same {
		t.Errorf("a missing folder: %v, %v", same, err)
	}
}

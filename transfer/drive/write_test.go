package drive

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"
)

func TestCopy(t *testing.T) {
	for name, dir := range map[string]string{"a folder": t.TempDir(), "a filesystem": newStick(t, 24<<20, "^has_journal").dir} {
		t.Run(name, func(t *testing.T) {
			d := open(t, dir)
			objects, content := bag()
			var total, written, checked int64
			for _, o := range objects {
				total += o.Size
			}
			for range 2 { // the second finds everything there
				var w, c atomic.Int64
				if err := d.Copy(context.Background(), objects, func(a, b int64) { w.Add(a); c.Add(b) }); err != nil {
					t.Fatal(err)
				}
				if written, checked = w.Load(), c.Load(); written != total || checked != total {
					t.Errorf("progress told of %d bytes written and %d checked, of %d", written, checked, total)
				}
			}
			holds(t, filepath.Join(dir, "T"), trimmed(content))
			if got := d.Used("T/t1"); got != total {
				t.Errorf("%d bytes are used, want %d", got, total)
			}
			if got := d.Used("T/other"); got != 0 {
				t.Errorf("%d bytes are used by nothing", got)
			}
		})
	}
}

// trimmed gives the content by its name below T.
func trimmed(content map[string][]byte) map[string][]byte {
	below := make(map[string][]byte)
	for name, data := range content {
		below[strings.TrimPrefix(name, "T/")] = data
	}
	return below
}

// What is there with the right bytes is not written again.
func TestCopyLeavesFinishedObjects(t *testing.T) {
	dir := t.TempDir()
	d := open(t, dir)
	objects, content := bag()
	copyAll(t, d, objects[:2])
	status := func(o Object) (st unix.Stat_t) {
		t.Helper()
		if err := unix.Stat(filepath.Join(dir, o.Name), &st); err != nil {
			t.Fatal(err)
		}
		return st
	}
	before := []unix.Stat_t{status(objects[0]), status(objects[1])}
	opened := 0
	resumed := make([]Object, len(objects))
	for i, o := range objects {
		resumed[i] = o
		resumed[i].Open = func() (io.ReadCloser, error) {
			opened++
			return o.Open()
		}
	}
	// What a pulled drive leaves: an unfinished object, and another in its place.
	third := filepath.Join(dir, objects[2].Name)
	if err := errors.Join(os.WriteFile(third+".part", []byte("half"), 0o644), os.WriteFile(third, []byte("another"), 0o644)); err != nil {
		t.Fatal(err)
	}
	copyAll(t, d, resumed)
	holds(t, filepath.Join(dir, "T"), trimmed(content))
	for i, was := range before {
		if is := status(objects[i]); is.Ino != was.Ino || is.Mtim != was.Mtim || is.Ctim != was.Ctim {
			t.Errorf("%s was written again", objects[i].Name)
		}
	}
	if opened != len(objects)-2 {
		t.Errorf("%d objects were read again, want %d", opened, len(objects)-2)
	}
}

// Reading back asks the medium, not the kernel's memory.
func TestReadBackAsksTheMedium(t *testing.T) {
	const chunk = 4 << 20 // of reading back
	s := newStick(t, 40<<20, "^has_journal")
	d := open(t, s.dir)
	o, data := object("T/large", 3*chunk)
	marker := data[2*chunk+100 : 2*chunk+150]
	var cached []byte // what the kernel's memory holds, once the medium has other bytes
	err := d.Copy(context.Background(), []Object{o}, func(_, checked int64) {
		if checked == 0 || cached != nil {
			return
		}
		path := filepath.Join(s.dir, "T/large.part")
		if _, err := os.ReadFile(path); err != nil {
			t.Error(err)
		}
		s.alter(t, string(marker))
		var err error
		if cached, err = os.ReadFile(path); err != nil {
			t.Error(err)
		}
	})
	if !errors.Is(err, ErrReadBack) {
		t.Errorf("the medium was altered between write and read: %v", err)
	}
	if !bytes.Equal(cached, data) {
		t.Error("the kernel's memory holds the altered bytes too, so this proves nothing")
	}
	if _, err := os.Lstat(filepath.Join(s.dir, "T/large")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it has its name all the same: %v", err)
	}

	// The next attempt is written anew and holds.
	copyAll(t, d, []Object{o})
	// An object that is there is checked on the medium as well, and replaced.
	s.alter(t, string(marker))
	copyAll(t, d, []Object{o})
	sum, size, err := d.readBack(context.Background(), "T/large", o.Size, func(int64) {})
	if err != nil || sum != o.SHA256 || size != o.Size {
		t.Errorf("read back %d bytes, %v", size, err)
	}
}

func TestFull(t *testing.T) {
	s := newStick(t, 2<<20, "^has_journal")
	d := open(t, s.dir)
	objects, content := bag()
	small, large := objects[1:3], objects[:1]
	copyAll(t, d, small)
	if err := d.Copy(context.Background(), large, noProgress); !errors.Is(err, ErrFull) || errors.Is(err, ErrGone) {
		t.Errorf("5 MiB onto 2: %v", err)
	}
	if _, err := os.Lstat(filepath.Join(s.dir, large[0].Name)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it has its name all the same: %v", err)
	}
	// With room again it goes on, with what is there left as it is.
	if free, err := d.Free(); err != nil || free > 2<<20 {
		t.Errorf("%d bytes free, %v", free, err)
	}
	if err := d.Remove("T/t1/data/000001.age.part"); err != nil {
		t.Fatal(err)
	}
	copyAll(t, d, small)
	holds(t, filepath.Join(s.dir, "T/t1/data"), map[string][]byte{
		"000002.age": content["T/t1/data/000002.age"], "000003.age": content["T/t1/data/000003.age"],
	})
	// No name fits either.
	many := newStick(t, 1<<20, "^has_journal,^resize_inode")
	d = open(t, many.dir)
	var err error
	for i := 0; err == nil && i < 10_000; i++ {
		err = d.Mkdir("T/" + strings.Repeat("n", 1+i/250) + string(rune('a'+i%250)))
	}
	if !errors.Is(err, ErrFull) {
		t.Errorf("folders without end: %v", err)
	}
}

func TestReadOnly(t *testing.T) {
	s := newStick(t, 4<<20, "^has_journal")
	d := open(t, s.dir)
	objects, content := bag()
	copyAll(t, d, objects[1:3])
	run(t, "mount", "-o", "remount,ro", s.dir)
	for name, err := range map[string]error{
		"Copy":    d.Copy(context.Background(), objects[3:], noProgress),
		"Put":     d.Put("T/id", []byte("x")),
		"Mkdir":   d.Mkdir("U"),
		"Remove":  d.Remove("T/t1"),
		"Prepare": func() error { _, err := d.Prepare("T/id.json"); return err }(),
	} {
		if !errors.Is(err, ErrReadOnly) || errors.Is(err, ErrGone) {
			t.Errorf("%s: %v", name, err)
		}
	}
	copyAll(t, d, objects[1:3]) // what is there needs no writing
	if got, err := d.ReadFile(objects[1].Name, 1<<20); err != nil || !bytes.Equal(got, content[objects[1].Name]) {
		t.Errorf("reading: %v", err)
	}
	run(t, "mount", "-o", "remount,rw", s.dir)
	run(t, "chattr", "+i", filepath.Join(s.dir, "T"))
	if err := d.Put("T/id", []byte("x")); !errors.Is(err, ErrReadOnly) {
		t.Errorf("into a folder that may not be written: %v", err)
	}
	run(t, "chattr", "-i", filepath.Join(s.dir, "T"))
}

// A drive that is pulled while it is written.
func TestGone(t *testing.T) {
	for name, pull := range map[string]func(t *testing.T, s *stick) error{
		"renamed":  func(_ *testing.T, s *stick) error { return os.Rename(s.dir, s.dir+"-away") },
		"deleted":  func(_ *testing.T, s *stick) error { return os.RemoveAll(s.dir) },
		"replaced": func(_ *testing.T, s *stick) error { return errors.Join(os.RemoveAll(s.dir), os.Mkdir(s.dir, 0o755)) },
		"unmounted": func(t *testing.T, s *stick) error {
			return unix.Unmount(s.dir, unix.MNT_DETACH)
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := &stick{dir: filepath.Join(t.TempDir(), "stick")}
			if name == "unmounted" {
				s = newStick(t, 24<<20, "^has_journal")
			} else if err := os.Mkdir(s.dir, 0o755); err != nil {
				t.Fatal(err)
			}
			d := open(t, s.dir)
			objects, _ := bag()
			opened := objects[2].Open
			objects[2].Open = func() (io.ReadCloser, error) {
				if err := pull(t, s); err != nil {
					t.Error(err)
				}
				return opened()
			}
			err := d.Copy(context.Background(), objects, noProgress)
			if !errors.Is(err, ErrGone) {
				t.Errorf("pulled: %v", err)
			}
			if err := d.Present(); !errors.Is(err, ErrGone) {
				t.Errorf("it counts as present: %v", err)
			}
		})
	}
}

// The copy in the outbox is not what was prepared.
func TestAlteredSource(t *testing.T) {
	o, data := object("T/one", 10_000)
	for name, content := range map[string][]byte{
		"shorter": data[:9_999], "longer": append(bytes.Clone(data), 0), "altered": append([]byte("!"), data[1:]...), "empty": nil,
	} {
		dir := t.TempDir()
		other := objectOf(o.Name, content)
		other.Size, other.SHA256 = o.Size, o.SHA256
		if err := open(t, dir).Copy(context.Background(), []Object{other}, noProgress); !errors.Is(err, ErrSource) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := os.Lstat(filepath.Join(dir, "T/one")); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: it is on the drive: %v", name, err)
		}
	}
	missing := o
	missing.Open = func() (io.ReadCloser, error) { return os.Open(filepath.Join(t.TempDir(), "missing")) }
	if err := open(t, t.TempDir()).Copy(context.Background(), []Object{missing}, noProgress); !errors.Is(err, ErrSource) {
		t.Errorf("missing: %v", err)
	}
	unreadable := o
	unreadable.Open = func() (io.ReadCloser, error) { return os.Open(t.TempDir()) } // EISDIR at the first read
	if err := open(t, t.TempDir()).Copy(context.Background(), []Object{unreadable}, noProgress); !errors.Is(err, ErrSource) {
		t.Errorf("unreadable: %v", err)
	}
}

func TestCopyStops(t *testing.T) {
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(context.Background())
	objects, _ := bag()
	opened := objects[2].Open
	objects[2].Open = func() (io.ReadCloser, error) {
		cancel()
		return opened()
	}
	if err := open(t, dir).Copy(ctx, objects, noProgress); !errors.Is(err, context.Canceled) {
		t.Errorf("stopped with %v", err)
	}
	if _, err := os.Lstat(filepath.Join(dir, objects[2].Name)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it has its name all the same: %v", err)
	}
	objects[2].Open = opened
	copyAll(t, open(t, dir), objects)
}

package drive

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func run(t testing.TB, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v: %s", name, strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// stick is a filesystem of its own on a file, as a drive is one on a medium.
type stick struct {
	image string // the medium
	loop  string
	dir   string // where it is mounted
}

// newStick makes an ext4 filesystem of size bytes with the features and mounts it.
func newStick(t testing.TB, size int64, features string) *stick {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("this test mounts filesystems: run it as root")
	}
	s := &stick{image: filepath.Join(t.TempDir(), "image"), dir: t.TempDir()}
	if err := errors.Join(os.WriteFile(s.image, nil, 0o600), os.Truncate(s.image, size)); err != nil {
		t.Fatal(err)
	}
	run(t, "mkfs.ext4", "-q", "-m", "0", "-O", features, s.image)
	s.loop = run(t, "losetup", "--find", "--show", s.image)
	t.Cleanup(func() { run(t, "losetup", "--detach", s.loop) })
	run(t, "mount", "-t", "ext4", s.loop, s.dir)
	t.Cleanup(func() {
		// The test may have pulled it already.
		if err := unix.Unmount(s.dir, unix.MNT_DETACH); err != nil && !errors.Is(err, unix.EINVAL) {
			t.Error(err)
		}
	})
	return s
}

// alter changes the medium below the filesystem, where text is.
func (s *stick) alter(t testing.TB, text string) {
	t.Helper()
	data, err := os.ReadFile(s.image)
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.Index(data, []byte(text))
	if at < 0 {
		t.Fatal("what was flushed is not on the medium")
	}
	f, err := os.OpenFile(s.image, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.WriteAt([]byte{data[at] ^ 1}, int64(at))
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		t.Fatal(err)
	}
}

func open(t testing.TB, dir string) *Drive {
	t.Helper()
	d, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

// object is one of size bytes that follow from its name.
func object(name string, size int) (Object, []byte) {
	data := make([]byte, size)
	rng := rand.New(rand.NewPCG(uint64(size), uint64(len(name))))
	for i := range data {
		data[i] = byte(rng.Uint32())
	}
	copy(data, name)
	return objectOf(name, data), data
}

func objectOf(name string, data []byte) Object {
	return Object{Name: name, Size: int64(len(data)), SHA256: sha256.Sum256(data), Open: func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(data)), nil
	}}
}

func noProgress(int64, int64) {}

// bag is a few objects in the folders of a bag.
func bag() (objects []Object, content map[string][]byte) {
	content = make(map[string][]byte)
	for _, o := range []struct {
		name string
		size int
	}{
		{"T/t1/data/000001.age", 5<<20 + 77}, {"T/t1/data/000002.age", 8192}, {"T/t1/data/000003.age", 1},
		{"T/t1/manifest", 0}, {"T/t1/tags", 300},
	} {
		made, data := object(o.name, o.size)
		objects, content[o.name] = append(objects, made), data
	}
	return objects, content
}

func copyAll(t testing.TB, d *Drive, objects []Object) {
	t.Helper()
	if err := d.Copy(context.Background(), objects, noProgress); err != nil {
		t.Fatal(err)
	}
}

// holds says that dir holds exactly these files with this content.
func holds(t testing.TB, dir string, content map[string][]byte) {
	t.Helper()
	seen := 0
	err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		want, ok := content[name]
		if !ok || !e.Type().IsRegular() {
			t.Errorf("it holds %q, %v", name, e.Type())
			return nil
		}
		seen++
		got, err := os.ReadFile(path)
		if err == nil && !bytes.Equal(got, want) {
			t.Errorf("%q has %d other bytes", name, len(got))
		}
		return err
	})
	if err != nil || seen != len(content) {
		t.Errorf("%d of %d files are there, %v", seen, len(content), err)
	}
}

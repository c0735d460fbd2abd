package durable

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// TestMain lets the test binary be started again as a process that writes, or
// holds a lock, until it is killed.
func TestMain(m *testing.M) {
	if dir := os.Getenv("DURABLE_TEST_HOLD"); dir != "" {
		if err := hold(dir); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println("ready")
		select {}
	}
	os.Exit(m.Run())
}

func hold(dir string) error {
	if _, err := Acquire(dir); err != nil {
		return err
	}
	f, err := Create(filepath.Join(dir, "file"), 0o644)
	if err != nil {
		return err
	}
	_, err = f.WriteString("half of it")
	return err
}

// start starts a process that holds dir and has a file half written there.
func start(t *testing.T, dir string) *exec.Cmd {
	t.Helper()
	c := exec.Command(os.Args[0])
	c.Env = append(os.Environ(), "DURABLE_TEST_HOLD="+dir)
	out, err := c.StdoutPipe()
	must(t, err)
	must(t, c.Start())
	t.Cleanup(func() { c.Process.Kill(); c.Wait() })
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		t.Fatal(line, err)
	}
	return c
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func want(t *testing.T, path, content string, perm fs.FileMode) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil || string(b) != content {
		t.Errorf("%q, %v, want %q", b, err, content)
		return
	}
	if st, err := os.Stat(path); err != nil || st.Mode().Perm() != perm {
		t.Errorf("%v, %v, want %v", st.Mode(), err, perm)
	}
}

// names are those in dir, in order.
func names(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	must(t, err)
	var l []string
	for _, e := range entries {
		l = append(l, e.Name())
	}
	return strings.Join(l, " ")
}

func TestCreateCommitClose(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	f, err := Create(path, 0o600)
	must(t, err)
	_, err = f.WriteString("content")
	must(t, err)
	if names(t, dir) != "file.part" {
		t.Error(names(t, dir))
	}
	must(t, f.Commit())
	want(t, path, "content", 0o600)
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	if err := f.Commit(); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("second Commit: %v", err)
	}
	if _, err := Create(path, 0o600); !errors.Is(err, fs.ErrExist) {
		t.Errorf("Create over a file: %v", err)
	}
	if err := WriteNew(path, nil, 0o600); !errors.Is(err, fs.ErrExist) {
		t.Errorf("WriteNew over a file: %v", err)
	}

	f, err = Create(filepath.Join(dir, "abandoned"), 0o600)
	must(t, err)
	must(t, f.Close())
	must(t, f.Close())

	// The name is taken between Create and Commit.
	f, err = Create(filepath.Join(dir, "taken"), 0o600)
	must(t, err)
	must(t, WriteNew(filepath.Join(dir, "taken.other"), []byte("first"), 0o640))
	must(t, os.Rename(filepath.Join(dir, "taken.other"), filepath.Join(dir, "taken")))
	if err := f.Commit(); !errors.Is(err, fs.ErrExist) {
		t.Errorf("Commit over a file: %v", err)
	}
	want(t, filepath.Join(dir, "taken"), "first", 0o640)
	must(t, Clean(dir))
	if names(t, dir) != "file taken" {
		t.Error(names(t, dir))
	}
}

// TestLeftover kills a writer, and goes on where it was.
func TestLeftover(t *testing.T) {
	dir := t.TempDir()
	c := start(t, dir)
	must(t, c.Process.Kill())
	c.Wait()
	if names(t, dir) != "file.part lock" {
		t.Fatal(names(t, dir))
	}
	// The leftover has other permissions and other links: neither is inherited.
	part := filepath.Join(dir, "file.part")
	must(t, os.Link(part, filepath.Join(dir, "link")))
	must(t, WriteNew(filepath.Join(dir, "file"), []byte("new"), 0o600))
	want(t, filepath.Join(dir, "file"), "new", 0o600)
	want(t, filepath.Join(dir, "link"), "half of it", 0o644)

	// A leftover that points elsewhere is replaced, not followed.
	must(t, os.Symlink("link", part))
	must(t, Replace(filepath.Join(dir, "file"), []byte("newer"), 0o600))
	want(t, filepath.Join(dir, "file"), "newer", 0o600)
	want(t, filepath.Join(dir, "link"), "half of it", 0o644)

	must(t, os.WriteFile(part, nil, 0o600))
	must(t, os.MkdirAll(filepath.Join(dir, "folder.part/inner"), 0o700))
	must(t, Clean(dir))
	if names(t, dir) != "file link lock" {
		t.Error(names(t, dir))
	}
	if err := Clean(filepath.Join(dir, "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

func TestReplace(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	a, b := bytes.Repeat([]byte("a"), 100_000), bytes.Repeat([]byte("b"), 50_000)
	must(t, Replace(path, a, 0o600))
	done := make(chan struct{})
	var reader sync.WaitGroup
	reader.Go(func() {
		for {
			got, err := os.ReadFile(path)
			if err != nil || !bytes.Equal(got, a) && !bytes.Equal(got, b) {
				t.Errorf("read a mixture of %d bytes, %v", len(got), err)
			}
			select {
			case <-done:
				return
			default:
			}
		}
	})
	for range 20 {
		must(t, Replace(path, b, 0o600))
		must(t, Replace(path, a, 0o600))
	}
	close(done)
	reader.Wait()
	if names(t, filepath.Dir(path)) != "file" {
		t.Error(names(t, filepath.Dir(path)))
	}
}

// TestFull: a full filesystem loses nothing that was there, and keeps nothing
// that was not finished.
func TestFull(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("none", dir, "tmpfs", 0, "size=64k"); err != nil {
		t.Fatalf("mounting (this test needs root): %v", err)
	}
	t.Cleanup(func() { must(t, unix.Unmount(dir, unix.MNT_DETACH)) })
	path := filepath.Join(dir, "file")
	must(t, WriteNew(path, []byte("old"), 0o600))
	large := make([]byte, 128<<10)
	if err := Replace(path, large, 0o600); !errors.Is(err, unix.ENOSPC) {
		t.Errorf("Replace: %v", err)
	}
	if err := WriteNew(filepath.Join(dir, "new"), large, 0o600); !errors.Is(err, unix.ENOSPC) {
		t.Errorf("WriteNew: %v", err)
	}
	want(t, path, "old", 0o600)
	if names(t, dir) != "file" {
		t.Error(names(t, dir))
	}
	must(t, WriteNew(filepath.Join(dir, "new"), large[:32<<10], 0o600))
}

func TestRename(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	must(t, os.MkdirAll(at("a/inner"), 0o700))
	must(t, os.Mkdir(at("b"), 0o700))
	must(t, Rename(at("a/inner"), at("b/inner")))
	must(t, os.Mkdir(at("a/inner"), 0o700))
	if err := Rename(at("a/inner"), at("b/inner")); !errors.Is(err, fs.ErrExist) {
		t.Errorf("onto a folder: %v", err)
	}
	must(t, os.Symlink("nowhere", at("link")))
	if err := Rename(at("a/inner"), at("link")); !errors.Is(err, fs.ErrExist) {
		t.Errorf("onto a dangling link: %v", err)
	}
	if err := Rename(at("none"), at("some")); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "none") {
		t.Error(err)
	}
}

func TestMkdirRemove(t *testing.T) {
	dir := t.TempDir()
	deep := filepath.Join(dir, "a/b/c")
	must(t, Mkdir(deep, 0o700))
	must(t, os.Chmod(deep, 0o750))
	must(t, Mkdir(deep, 0o700))
	if st, err := os.Stat(deep); err != nil || st.Mode().Perm() != 0o750 {
		t.Error(st.Mode(), err)
	}
	must(t, WriteNew(filepath.Join(deep, "file"), nil, 0o600))
	if err := Mkdir(filepath.Join(deep, "file"), 0o700); !errors.Is(err, unix.ENOTDIR) {
		t.Error(err)
	}
	if err := Mkdir(filepath.Join(deep, "file/x"), 0o700); !errors.Is(err, unix.ENOTDIR) {
		t.Error(err)
	}
	for range 2 { // nothing there is no error
		must(t, Remove(filepath.Join(dir, "a")))
		must(t, Remove(deep))
	}
	if names(t, dir) != "" {
		t.Error(names(t, dir))
	}
	if err := SyncDir(deep); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

func TestLock(t *testing.T) {
	dir := t.TempDir()
	c := start(t, dir)
	_, err := Acquire(dir)
	var held *HeldError
	if !errors.As(err, &held) || held.Dir != dir {
		t.Fatal(err)
	}
	holder := fmt.Sprintf("%d %s", c.Process.Pid, filepath.Base(os.Args[0]))
	if held.Holder != holder || !strings.Contains(err.Error(), holder) {
		t.Errorf("%q, want %q", err, holder)
	}
	if !strings.HasSuffix((&HeldError{Dir: dir}).Error(), "another process") {
		t.Error("an unknown holder is not said to be one")
	}
	must(t, c.Process.Kill())
	c.Wait()

	// However the holder ended, its lock ended with it.
	l, err := Acquire(dir)
	must(t, err)
	if _, err := Acquire(dir); !errors.As(err, &held) || !strings.HasPrefix(held.Holder, fmt.Sprint(os.Getpid())) {
		t.Errorf("second Acquire: %v", err)
	}
	must(t, l.Release())
	l, err = Acquire(dir)
	must(t, err)
	must(t, l.Release())
	if _, err := Acquire(filepath.Join(dir, "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

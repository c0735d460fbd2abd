package source

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestMain lets the test binary be started again as a user who may not read
// everything; it then prints what a walk of the named folder reports.
func TestMain(m *testing.M) {
	if dir := os.Getenv("SOURCE_TEST_WALK"); dir != "" {
		if err := printWalk(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func printWalk(dir string) error {
	tree, err := OpenFolder(dir, Options{})
	if err != nil {
		return err
	}
	report := map[string]string{}
	if err := tree.Walk(context.Background(), func(e Entry) error {
		report[e.Path] = fmt.Sprintf("%v %d %v", e.Kind, e.Size, e.Err)
		return nil
	}); err != nil {
		return err
	}
	total, err := tree.Count(context.Background(), nil)
	if err != nil {
		return err
	}
	report["total"] = fmt.Sprintf("%+v", total)
	return json.NewEncoder(os.Stdout).Encode(report)
}

func TestUnreadable(t *testing.T) {
	dir := t.TempDir()
	for d := dir; d != os.TempDir(); d = filepath.Dir(d) { // TempDir makes private folders
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write(t, filepath.Join(dir, "closed/file"), "x")
	write(t, filepath.Join(dir, "listed/file"), "x")
	write(t, filepath.Join(dir, "open/file"), "xx")
	write(t, filepath.Join(dir, "secret"), "xxx")
	for name, mode := range map[string]os.FileMode{"closed": 0o700, "listed": 0o744, "secret": 0o600} {
		if err := os.Chmod(filepath.Join(dir, name), mode); err != nil {
			t.Fatal(err)
		}
	}
	c := exec.Command("/proc/self/exe")
	c.Env = append(os.Environ(), "SOURCE_TEST_WALK="+dir)
	c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	c.Stderr = os.Stderr
	out, err := c.Output()
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]string
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"closed":      "folder 0 opening: permission denied",
		"listed":      "folder 0 <nil>",
		"listed/file": "file 0 opening: permission denied",
		"open":        "folder 0 <nil>",
		"open/file":   "file 2 <nil>",
		"secret":      "file 3 opening: permission denied",
		// Looking at secret is allowed, so only a walk finds it unreadable.
		"total": "{Files:2 Bytes:5 Folders:2 Left:0 Failed:2}",
	}
	for path, w := range want {
		if got[path] != w {
			t.Errorf("%q: %s, want %s", path, got[path], w)
		}
	}
	if len(got) != len(want) {
		t.Errorf("got %q", got)
	}
}

func TestMounts(t *testing.T) {
	dir := t.TempDir()
	other := t.TempDir()
	write(t, filepath.Join(dir, "a"), "")
	write(t, filepath.Join(dir, "bound"), "")
	write(t, filepath.Join(dir, "sub/below"), "")
	write(t, filepath.Join(other, "outside"), "")
	mount(t, other, filepath.Join(dir, "sub"), "", unix.MS_BIND)
	mount(t, filepath.Join(other, "outside"), filepath.Join(dir, "bound"), "", unix.MS_BIND)
	if err := os.Mkdir(filepath.Join(dir, "tmpfs"), 0o755); err != nil {
		t.Fatal(err)
	}
	mount(t, "none", filepath.Join(dir, "tmpfs"), "tmpfs", 0)

	tree := open(t, dir, Options{})
	all := walk(t, tree)
	if len(all) != 4 {
		t.Errorf("%d entries: %+v", len(all), all)
	}
	for _, name := range []string{"sub", "bound", "tmpfs"} {
		if s := find(t, all, name); s.Kind != Mount || s.Err != nil {
			t.Errorf("%q: %v, %v", name, s.Kind, s.Err)
		}
	}
	got, err := tree.Count(context.Background(), nil)
	if want := (Total{Files: 1, Left: 3}); err != nil || got != want {
		t.Errorf("Count = %+v, %v", got, err)
	}
	// A source may be a mount itself.
	if all := walk(t, open(t, filepath.Join(dir, "sub"), Options{})); len(all) != 1 || all[0].Path != "outside" {
		t.Errorf("%+v", all)
	}
}

func mount(t testing.TB, from, to, kind string, flags uintptr) {
	t.Helper()
	if err := unix.Mount(from, to, kind, flags, ""); err != nil {
		t.Fatalf("mounting (this test needs root): %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(to, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
}

func TestDeep(t *testing.T) {
	dir := t.TempDir()
	name := strings.Repeat("d", 40)
	const depth = 250 // longer than PATH_MAX
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		t.Fatal(err)
	}
	for range depth {
		if err := unix.Mkdirat(fd, name, 0o755); err != nil {
			t.Fatal(err)
		}
		next, err := unix.Openat(fd, name, unix.O_RDONLY|unix.O_DIRECTORY, 0)
		if err != nil {
			t.Fatal(err)
		}
		unix.Close(fd)
		fd = next
	}
	leaf, err := unix.Openat(fd, "leaf", unix.O_CREAT|unix.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	unix.Close(leaf)
	unix.Close(fd)

	all := walk(t, open(t, dir, Options{}))
	if last := all[len(all)-1]; len(all) != depth+1 || len(last.Path) != depth*41+4 || last.Err != nil {
		t.Errorf("%d entries, the last %d bytes long: %v", len(all), len(last.Path), last.Err)
	}
	all = walk(t, open(t, dir, Options{MaxDepth: 10}))
	if last := all[len(all)-1]; len(all) != 11 || last.Kind != Dir || !errors.Is(last.Err, ErrTooDeep) {
		t.Errorf("%d entries, the last %v: %v", len(all), last.Kind, last.Err)
	}
}

// TestSwapped changes what names stand for after their folder was listed: the
// walk stands still in the first callback, Ahead entries before them.
func TestSwapped(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	write(t, secret, "outside")
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	for i := range 10 {
		write(t, at(fmt.Sprint(i)), "x")
	}
	for _, name := range []string{"file>link", "file>fifo", "file>dir", "file>device", "file>gone", "file>new"} {
		write(t, at(name), "inside")
	}
	for _, name := range []string{"dir>link", "dir>file", "dir>gone"} {
		write(t, at(name+"/inner"), "inside")
	}
	swap := func() {
		for name, put := range map[string]func(path string) error{
			"file>link":   func(p string) error { return os.Symlink(secret, p) },
			"file>fifo":   func(p string) error { return unix.Mkfifo(p, 0o644) },
			"file>dir":    func(p string) error { return os.Mkdir(p, 0o755) },
			"file>device": func(p string) error { return unix.Mknod(p, unix.S_IFCHR|0o666, int(unix.Mkdev(1, 5))) },
			"file>gone":   func(string) error { return nil },
			"file>new":    func(p string) error { return os.WriteFile(p, []byte("other"), 0o644) },
			"dir>link":    func(p string) error { return os.Symlink(filepath.Dir(secret), p) },
			"dir>file":    func(p string) error { return os.WriteFile(p, nil, 0o644) },
			"dir>gone":    func(string) error { return nil },
		} {
			if err := errors.Join(os.RemoveAll(at(name)), put(at(name))); err != nil {
				t.Error(err)
			}
		}
	}
	got := map[string]Entry{}
	err := open(t, dir, Options{Ahead: 1}).Walk(context.Background(), func(e Entry) error {
		if len(got) == 0 {
			swap()
		}
		if e.File != nil {
			e.File.Close()
		}
		got[e.Path] = e
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]struct {
		kind Kind
		err  error
	}{
		"file>link": {Symlink, ErrSwapped}, "file>fifo": {Fifo, ErrSwapped}, "file>dir": {Dir, ErrSwapped},
		"file>device": {Device, ErrSwapped}, "file>gone": {File, os.ErrNotExist}, "file>new": {File, nil},
		"dir>link": {Symlink, ErrSwapped}, "dir>file": {File, ErrSwapped}, "dir>gone": {Dir, os.ErrNotExist},
	} {
		e, ok := got[name]
		if !ok || e.Kind != want.kind || !errors.Is(e.Err, want.err) {
			t.Errorf("%q: %v, %v, want %v, %v", name, e.Kind, e.Err, want.kind, want.err)
		}
		if e.Err != nil && (e.File != nil || strings.Contains(e.Err.Error(), name)) {
			t.Errorf("%q: %v with %v", name, e.File, e.Err)
		}
	}
	if len(got) != 19 {
		t.Errorf("%d entries", len(got))
	}
}

func TestChanged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	content := []byte("0123456789")
	for name, c := range map[string]struct {
		change func() error
		want   bool
	}{
		"nothing": {func() error { return nil }, false},
		"read":    {func() error { _, err := os.ReadFile(path); return err }, false},
		"grown":   {func() error { return os.WriteFile(path, append(content, 'x'), 0o644) }, true},
		"shrunk":  {func() error { return os.Truncate(path, 3) }, true},
		"mended": {func() error { // same size, content time set back
			st, err := os.Stat(path)
			return errors.Join(err, os.WriteFile(path, []byte("9876543210"), 0o644), os.Chtimes(path, st.ModTime(), st.ModTime()))
		}, true},
		"removed": {func() error { return os.Remove(path) }, true},
	} {
		write(t, path, string(content))
		tree := open(t, filepath.Dir(path), Options{})
		if err := tree.Walk(context.Background(), func(e Entry) error {
			defer e.File.Close()
			time.Sleep(20 * time.Millisecond) // past the clock tick of older kernels
			if err := c.change(); err != nil {
				return err
			}
			if got, err := Changed(e.ID, e.File); got != c.want || err != nil {
				t.Errorf("%s: %v, %v", name, got, err)
			}
			return nil
		}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	if _, err := Changed(Identity{}, f); err == nil {
		t.Error("a closed file has not changed")
	}
}

// TestLease: a file server holds a lease and gives it up when asked.
func TestLease(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "leased"), "x")
	f, err := os.OpenFile(filepath.Join(dir, "leased"), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := unix.FcntlInt(f.Fd(), unix.F_SETLEASE, unix.F_WRLCK); err != nil {
		t.Fatal(err)
	}
	given := make(chan struct{})
	go func() {
		defer close(given)
		time.Sleep(30 * time.Millisecond)
		if _, err := unix.FcntlInt(f.Fd(), unix.F_SETLEASE, unix.F_UNLCK); err != nil {
			t.Error(err)
		}
	}()
	all := walk(t, open(t, dir, Options{}))
	<-given
	if len(all) != 1 || all[0].content != "x" {
		t.Errorf("%+v", all)
	}
}

package source

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func open(t testing.TB, dir string, o Options) Tree {
	t.Helper()
	tree, err := OpenFolder(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := tree.Close(); err != nil {
			t.Error(err)
		}
	})
	return tree
}

// seen is an entry with the content its file had.
type seen struct {
	Entry
	content string
}

// walk walks dir, reads and closes every file, and checks what holds of every
// walk: order, and what an entry of each kind may have.
func walk(t testing.TB, tree Tree) []seen {
	t.Helper()
	var all []seen
	err := tree.Walk(context.Background(), func(e Entry) error {
		if n := len(all); n > 0 && Compare(all[n-1].Path, e.Path) >= 0 {
			t.Errorf("%q after %q", e.Path, all[n-1].Path)
		}
		s := seen{Entry: e}
		if (e.File != nil) != (e.Kind == File && e.Err == nil) {
			t.Errorf("%q: kind %v, file %v, error %v", e.Path, e.Kind, e.File, e.Err)
		}
		if e.File != nil {
			b, err := io.ReadAll(e.File)
			if err != nil {
				t.Error(err)
			}
			if changed, err := Changed(e.ID, e.File); changed || err != nil {
				t.Errorf("%q: changed %v, %v", e.Path, changed, err)
			}
			if err := e.File.Close(); err != nil {
				t.Error(err)
			}
			s.content = string(b)
			if int64(len(b)) != e.Size {
				t.Errorf("%q: %d bytes, size %d", e.Path, len(b), e.Size)
			}
		}
		all = append(all, s)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func write(t testing.TB, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func find(t testing.TB, all []seen, path string) seen {
	t.Helper()
	for _, s := range all {
		if s.Path == path {
			return s
		}
	}
	t.Fatalf("%q was not reported", path)
	panic("unreachable")
}

// hostileNames are the names of a day's export, and those that break programs.
var hostileNames = []string{
	"999/901/9999013/20111220/OML-11/9999013_20111220_OML-11_000000011000354_20111220103059000_01_1",
	"999/901/9999013/-/ADT-00/9999013_-_ADT-00_999999999999999_20111220103059000_-_1",
	"999/901/9999013/20111220/^経過記録(内科)^^11506-3^経過記録^LN/main_document.xml",
	"TR/2026/TR_20261122214000000_00001.DAT",
	"DICOMDIR", "RECEIPTC.UKE", "山田　太郎.pdf",
	"\x83\x65\x83\x58\x83\x67.txt", "\x83\x66\x83\x58\x83\x67.txt", // Shift_JIS
	"が.txt", "か\u3099.txt", // NFC and NFD
	"CASE", "case", "Case",
	"gnp\u202etxt.exe", "new\nline", "tab\there", "\x01", "\xff\xfe", " ", "-rf", "*", "\\",
	"CON", "nul.txt", "trailing. ", "a:stream",
	strings.Repeat("n", 255), strings.Repeat("あ", 85),
	"d/x", "d.x", "d-x", "d x", "d!/x", "...",
}

func TestWalkNames(t *testing.T) {
	dir := t.TempDir()
	want := map[string]string{}
	for i, name := range hostileNames {
		content := strings.Repeat("x", i)
		write(t, filepath.Join(dir, name), content)
		want[name] = content
	}
	if err := os.Mkdir(filepath.Join(dir, "empty"), 0o755); err != nil {
		t.Fatal(err)
	}
	old := time.Date(2011, 12, 20, 10, 30, 59, 123456789, time.UTC)
	if err := os.Chtimes(filepath.Join(dir, "empty"), old, old); err != nil {
		t.Fatal(err)
	}

	tree := open(t, dir, Options{})
	all := walk(t, tree)
	var total Total
	for _, s := range all {
		switch {
		case s.Err != nil:
			t.Errorf("%q: %v", s.Path, s.Err)
		case s.Kind == File:
			total.Files++
			total.Bytes += s.Size
			if content, ok := want[s.Path]; !ok || content != s.content {
				t.Errorf("%q: %d bytes, want %d", s.Path, len(s.content), len(content))
			}
			delete(want, s.Path)
		case s.Kind == Dir:
			total.Folders++
		default:
			t.Errorf("%q: %v", s.Path, s.Kind)
		}
	}
	if len(want) > 0 {
		t.Errorf("not reported: %q", want)
	}
	if e := find(t, all, "empty"); e.Kind != Dir || !e.ModTime.Equal(old) || e.Size != 0 {
		t.Errorf("empty folder: %+v", e.Entry)
	}
	var last [2]int64
	got, err := tree.Count(context.Background(), func(files, bytes int64) { last = [2]int64{files, bytes} })
	if err != nil || got != total || last != [2]int64{total.Files, total.Bytes} {
		t.Errorf("Count = %+v, %v, progress %v; the walk had %+v", got, err, last, total)
	}
}

func TestWalkKinds(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	write(t, at("file"), "content")
	must(os.Link(at("file"), at("hard")))
	must(os.Symlink("file", at("link")))
	must(os.Symlink("loop", at("loop")))
	must(os.Symlink("../../../../etc/passwd", at("escape")))
	must(os.Symlink("/", at("rootlink")))
	must(os.Symlink("nothing", at("dangling")))
	must(unix.Mkfifo(at("fifo"), 0o644))
	must(unix.Mknod(at("null"), unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))))
	must(unix.Mknod(at("block"), unix.S_IFBLK|0o666, int(unix.Mkdev(7, 0))))
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	must(err)
	defer unix.Close(fd)
	must(unix.Bind(fd, &unix.SockaddrUnix{Name: at("socket")}))
	f, err := os.Create(at("sparse"))
	must(err)
	must(f.Truncate(1 << 20))
	must(f.Close())

	tree := open(t, dir, Options{})
	all := walk(t, tree)
	for name, kind := range map[string]Kind{
		"file": File, "hard": File, "sparse": File, "link": Symlink, "loop": Symlink, "escape": Symlink,
		"rootlink": Symlink, "dangling": Symlink, "fifo": Fifo, "null": Device, "block": Device, "socket": Socket,
	} {
		if s := find(t, all, name); s.Kind != kind || s.Err != nil || s.ModTime.IsZero() {
			t.Errorf("%q: %v, error %v, want %v", name, s.Kind, s.Err, kind)
		} else if kind != File && s.Size != 0 {
			t.Errorf("%q: size %d", name, s.Size)
		}
	}
	file, hard, sparse := find(t, all, "file"), find(t, all, "hard"), find(t, all, "sparse")
	if file.ID != hard.ID || file.content != "content" || hard.content != "content" {
		t.Errorf("hard links: %+v, %+v", file, hard)
	}
	if !bytes.Equal([]byte(sparse.content), make([]byte, 1<<20)) {
		t.Error("sparse file is not zeros")
	}
	got, err := tree.Count(context.Background(), nil)
	if want := (Total{Files: 3, Bytes: 14 + 1<<20, Left: 9}); err != nil || got != want {
		t.Errorf("Count = %+v, %v, want %+v", got, err, want)
	}
}

func TestOpenFolder(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "file"), "")
	if err := os.Symlink(dir, filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]error{"": nil, "link": nil, "file": ErrNotFolder, "file/x": ErrNotFolder, "none": ErrMissing} {
		tree, err := OpenFolder(filepath.Join(dir, name), Options{})
		if !errors.Is(err, want) || (tree == nil) != (want != nil) {
			t.Errorf("%q: %v, %v, want %v", name, tree, err, want)
		}
		if tree != nil {
			tree.Close()
		}
	}
}

func TestWalkEnds(t *testing.T) {
	dir := t.TempDir()
	var names []string
	for i := range 200 {
		names = append(names, string(rune('A'+i%26))+strings.Repeat("x", i))
		write(t, filepath.Join(dir, names[i]), "x")
	}
	slices.Sort(names)
	before := descriptors(t)
	for _, ahead := range []int{-1, 1, 64} {
		tree := open(t, dir, Options{Ahead: ahead})
		stop := errors.New("stop")
		calls := 0
		err := tree.Walk(context.Background(), func(e Entry) error {
			e.File.Close()
			if calls++; e.Path == names[10] {
				return stop
			}
			return nil
		})
		if err != stop || calls != 11 {
			t.Errorf("%v after %d calls", err, calls)
		}
		ctx, cancel := context.WithCancel(context.Background())
		calls = 0
		err = tree.Walk(ctx, func(e Entry) error {
			e.File.Close()
			calls++
			cancel()
			return nil
		})
		if !errors.Is(err, context.Canceled) || calls != 1 {
			t.Errorf("%v after %d calls", err, calls)
		}
		if _, err := tree.Count(ctx, nil); !errors.Is(err, context.Canceled) {
			t.Errorf("Count: %v", err)
		}
	}
	if after := descriptors(t); after != before+3 { // the three trees
		t.Errorf("%d descriptors open, %d before", after, before)
	}
}

func descriptors(t *testing.T) int {
	t.Helper()
	l, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(l)
}

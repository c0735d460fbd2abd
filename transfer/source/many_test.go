package source

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// fill makes n empty files of 28-byte names in one folder of a tmpfs.
func fill(t testing.TB, n int) (dir string) {
	t.Helper()
	dir = t.TempDir()
	mount(t, "none", dir, "tmpfs", 0)
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	for i := range n {
		// Spread over the order, as a real listing is.
		if err := unix.Mknodat(fd, fmt.Sprintf("9999013_OML-11_%09d_%03d", i*7919%n, i%1000), unix.S_IFREG|0o644, 0); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestManyNames(t *testing.T) {
	const n = 200_000
	dir := fill(t, n)
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	var before, after runtime.MemStats
	buf := make([]byte, 1<<18)
	runtime.GC()
	runtime.ReadMemStats(&before)
	l, err := list(context.Background(), fd, n, buf)
	if err != nil {
		t.Fatal(err)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	runtime.KeepAlive(l)
	runtime.KeepAlive(buf)
	each := float64(after.HeapAlloc-before.HeapAlloc) / n
	t.Logf("%.1f bytes for a name of 28", each)
	// 28 + 7, a quarter of slack in the 4-byte references.
	if len(l.order) != n || each > 28+7+2 {
		t.Errorf("%d names at %.1f bytes", len(l.order), each)
	}

	// Count lists and visits as Walk does, without 200,000 opens.
	total, err := open(t, dir, Options{MaxNames: n}).Count(context.Background(), nil)
	if err != nil || total != (Total{Files: n}) {
		t.Errorf("%+v, %v", total, err)
	}
}

func TestTooManyNames(t *testing.T) {
	dir := t.TempDir()
	for i := range 11 {
		write(t, filepath.Join(dir, "患者", fmt.Sprint(i)), "")
	}
	ctx := context.Background()
	none := func(e Entry) error { e.close(); return nil }
	if err := open(t, dir, Options{MaxNames: 11}).Walk(ctx, none); err != nil {
		t.Error(err)
	}
	err := open(t, dir, Options{MaxNames: 10}).Walk(ctx, none)
	if !errors.Is(err, ErrTooMany) || !strings.Contains(err.Error(), `"患者"`) {
		t.Error(err)
	}
	if _, err := open(t, filepath.Join(dir, "患者"), Options{MaxNames: 10}).Count(ctx, nil); !errors.Is(err, ErrTooMany) {
		t.Error(err)
	}
}

// record is one getdents64 record.
func record(name string, typ byte) []byte {
	b := binary.NativeEndian.AppendUint16(make([]byte, 16), uint16(20+len(name)))
	return append(append(append(b, typ), name...), 0)
}

func FuzzListing(f *testing.F) {
	seed := append(record(".", unix.DT_DIR), record("名", unix.DT_REG)...)
	var l names
	if err := l.parse(seed); err != nil || len(l.order) != 1 {
		f.Fatal("stale seed", err)
	}
	f.Add(seed)
	f.Add(record("a/b", unix.DT_REG))
	f.Add(record("", unix.DT_REG))
	f.Add(record("long", unix.DT_REG)[:19])
	f.Fuzz(func(t *testing.T, b []byte) {
		var l names
		if l.parse(b) != nil {
			return
		}
		for _, ref := range l.order {
			if name, _ := l.at(ref); len(name) == 0 || strings.ContainsAny(string(name), "/\x00") || string(name) == ".." {
				t.Fatalf("accepted %q", name)
			}
		}
	})
}

func BenchmarkWalk(b *testing.B) {
	const n = 100_000
	dir := fill(b, n)
	tree := open(b, dir, Options{})
	for b.Loop() {
		if err := tree.Walk(context.Background(), func(e Entry) error { return e.File.Close() }); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/file")
}

func BenchmarkWalkTree(b *testing.B) {
	dir := b.TempDir()
	n := 0
	for i := range 100 {
		for j := range 10 {
			for k := range 5 {
				write(b, filepath.Join(dir, fmt.Sprintf("%03d/%03d/99990%02d/20111220/OML-11/%015d", i/10, i%10, j, k)), strings.Repeat("x", 1000))
				n++
			}
		}
	}
	tree := open(b, dir, Options{})
	for b.Loop() {
		if err := tree.Walk(context.Background(), func(e Entry) error {
			if e.File == nil {
				return e.Err
			}
			buf := make([]byte, 1024)
			if _, err := e.File.Read(buf); err != nil {
				return err
			}
			return e.File.Close()
		}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/file")
}

package manifest

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"
)

// writeMany writes an index of n files in folders of 1,000, as SS-MIX2 has them.
func writeMany(w io.Writer, n int) error {
	buf := bufio.NewWriterSize(w, 1<<16)
	x, err := NewIndexWriter(buf, transferID)
	if err != nil {
		return err
	}
	var offset int64
	place := func(e *Entry) error {
		e.Part, e.Offset = 1, offset
		offset += Block + e.Size + Padding(e.Size)
		return x.Write(e)
	}
	for i := range n {
		folder := fmt.Sprintf("%07d", i/1000)
		if i%1000 == 0 {
			if err := place(folderEntry(folder)); err != nil {
				return err
			}
		}
		e := fileEntry(fmt.Sprintf("%s/9990001_20261122_OML-11_%015d_20261122103059000_01_1", folder, i))
		e.ModTime = evening.Add(time.Duration(i) * time.Millisecond)
		if err := place(e); err != nil {
			return err
		}
	}
	return buf.Flush()
}

// TestManyEntries streams an index through a pipe, so that nothing but writer
// and reader can hold it, and asks what they hold.
func TestManyEntries(t *testing.T) {
	const n = 30_000
	pr, pw := io.Pipe()
	go func() { pw.CloseWithError(writeMany(pw, n)) }()
	runtime.GC()
	var before, now runtime.MemStats
	runtime.ReadMemStats(&before)
	r, err := NewIndexReader(pr, transferID)
	must(t, err)
	entries, highest := 0, uint64(0)
	for {
		_, err := r.Next()
		if err == io.EOF {
			break
		}
		must(t, err)
		if entries++; entries%5_000 == 0 {
			runtime.GC()
			runtime.ReadMemStats(&now)
			highest = max(highest, now.HeapAlloc)
		}
	}
	if entries != n+n/1000 {
		t.Errorf("%d entries", entries)
	}
	if grown := int64(highest) - int64(before.HeapAlloc); grown > 4<<20 {
		t.Errorf("reading holds %d bytes", grown)
	}
}

// BenchmarkIndex reports what a million entries cost to write and to read, and
// the most memory the process had from the system.
func BenchmarkIndex(b *testing.B) {
	const n = 1_000_000
	path := filepath.Join(b.TempDir(), "index")
	for b.Loop() {
		f, err := os.Create(path)
		must(b, err)
		start := time.Now()
		must(b, writeMany(f, n))
		wrote := time.Since(start)
		size, err := f.Seek(0, io.SeekEnd)
		must(b, err)
		_, err = f.Seek(0, io.SeekStart)
		must(b, err)
		start = time.Now()
		r, err := NewIndexReader(f, transferID)
		must(b, err)
		for err == nil {
			_, err = r.Next()
		}
		if err != io.EOF {
			b.Fatal(err)
		}
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		must(b, f.Close())
		b.SetBytes(size)
		b.ReportMetric(float64(size)/1e6, "MB")
		b.ReportMetric(wrote.Seconds(), "s-write")
		b.ReportMetric(time.Since(start).Seconds(), "s-read")
		b.ReportMetric(float64(m.Sys)/1e6, "MB-memory")
	}
}

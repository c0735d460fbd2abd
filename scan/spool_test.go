package scan

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"golang.org/x/sys/unix"
)

// Both ways of keeping content must be the same to every reader.
func TestBlob(t *testing.T) {
	spool := newTestSpool(t, SpoolOptions{Memory: 8 << 20, Largest: 2 << 20})
	for _, size := range []int{0, 1, headSize, chunkSize, 2 << 20, 2<<20 + 1, 3 << 20, 3<<20 + 77} {
		data := randomBytes(size)
		b := blobFrom(t, spool, int64(size), iotest.DataErrReader(iotest.HalfReader(bytes.NewReader(data))))
		if _, memory := b.Memory(); memory != (size <= 2<<20) {
			t.Errorf("%d bytes: in memory: %v", size, memory)
		}
		if b.Size() != int64(size) || b.SHA256() != sha256.Sum256(data) || !bytes.Equal(b.Head(), data[:min(size, headSize)]) {
			t.Errorf("%d bytes: size, hash or head is wrong", size)
		}
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				got, err := io.ReadAll(b.NewReader())
				if err != nil || !bytes.Equal(got, data) {
					t.Errorf("%d bytes: reading: %d bytes, %v", size, len(got), err)
				}
			})
		}
		wg.Wait()
		if size > 100 {
			part := make([]byte, 100)
			if _, err := b.ReadAt(part, int64(size)-100); err != nil || !bytes.Equal(part, data[size-100:]) {
				t.Errorf("%d bytes: the last hundred: %v", size, err)
			}
		}
		if n, err := b.ReadAt(make([]byte, 2), int64(size)); n != 0 || err != io.EOF {
			t.Errorf("%d bytes: behind the end: %d, %v", size, n, err)
		}
		if err := errors.Join(b.Close(), b.Close()); err != nil {
			t.Errorf("%d bytes: closing: %v", size, err)
		}
	}
}

func TestMemoryIsSealed(t *testing.T) {
	b := blobOf(t, newTestSpool(t, SpoolOptions{}), []byte("immutable"))
	f, _ := b.Memory()
	if _, err := f.WriteAt([]byte("M"), 0); !errors.Is(err, unix.EPERM) {
		t.Errorf("writing: %v", err)
	}
	if err := f.Truncate(3); !errors.Is(err, unix.EPERM) {
		t.Errorf("shrinking: %v", err)
	}
	if err := f.Truncate(30); !errors.Is(err, unix.EPERM) {
		t.Errorf("growing: %v", err)
	}
	if _, err := unix.FcntlInt(f.Fd(), unix.F_ADD_SEALS, 0); !errors.Is(err, unix.EPERM) {
		t.Errorf("changing seals: %v", err)
	}
	if _, err := unix.Mmap(int(f.Fd()), 0, 9, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED); err == nil {
		t.Error("mapped for writing")
	}
}

func TestSpoolFileHoldsNoPlaintext(t *testing.T) {
	dir := t.TempDir()
	spool := newTestSpool(t, SpoolOptions{Dir: dir, Memory: 4 << 20, Largest: 1})
	word := []byte("PATIENT^INVENTED^^^")
	b := blobOf(t, spool, bytes.Repeat(word, 100_000))
	if names, err := filepath.Glob(filepath.Join(dir, "*")); err != nil || len(names) != 0 {
		t.Errorf("the spool file has a name: %q %v", names, err)
	}
	disk, err := os.ReadFile(fmt.Sprintf("/proc/self/fd/%d", b.disk.file.Fd()))
	if err != nil || int64(len(disk)) < b.Size() {
		t.Fatalf("spool file: %d bytes, %v", len(disk), err)
	}
	if bytes.Contains(disk, word[:8]) {
		t.Error("plaintext on disk")
	}
}

func TestSpoolFileIsAuthenticated(t *testing.T) {
	spool := newTestSpool(t, SpoolOptions{Memory: 4 << 20, Largest: 1})
	data := randomBytes(2*chunkSize + 5)
	tamper := map[string]func(f *os.File) error{
		"a bit": func(f *os.File) error {
			one := make([]byte, 1)
			if _, err := f.ReadAt(one, chunkSize/2); err != nil {
				return err
			}
			one[0] ^= 1
			_, err := f.WriteAt(one, chunkSize/2)
			return err
		},
		"a chunk in another's place": func(f *os.File) error {
			chunk := make([]byte, chunkSize+16)
			if _, err := f.ReadAt(chunk, chunkSize+16); err != nil {
				return err
			}
			_, err := f.WriteAt(chunk, 0)
			return err
		},
		"the end": func(f *os.File) error { return f.Truncate(chunkSize) },
	}
	for what, change := range tamper {
		b := blobOf(t, spool, data)
		if err := change(b.disk.file); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadAll(b.NewReader()); err == nil {
			t.Errorf("%s was changed and nobody noticed", what)
		}
		if n, err := b.ReadAt(make([]byte, 10), 0); err == nil || n != 0 {
			t.Errorf("%s was changed and ReadAt gave %d bytes, %v", what, n, err)
		}
		b.Close()
	}
}

func TestFillRefusesChangedSize(t *testing.T) {
	broken := errors.New("broken source")
	for _, largest := range []int64{1 << 20, 1} {
		spool := newTestSpool(t, SpoolOptions{Memory: 1 << 20, Largest: largest})
		for _, c := range []struct {
			src  io.Reader
			want error
		}{
			{bytes.NewReader(make([]byte, 101)), ErrGrew},
			{bytes.NewReader(make([]byte, 99)), ErrShrank},
			{bytes.NewReader(nil), ErrShrank},
			{io.MultiReader(bytes.NewReader(make([]byte, 50)), iotest.ErrReader(broken)), broken},
			{io.MultiReader(bytes.NewReader(make([]byte, 100)), iotest.ErrReader(broken)), broken},
		} {
			room, err := spool.Reserve(t.Context(), 100)
			if err != nil {
				t.Fatal(err)
			}
			counted := &countingReader{r: c.src}
			if b, err := room.Fill(counted); !errors.Is(err, c.want) || b != nil {
				t.Errorf("want %v, got %v", c.want, err)
			}
			if counted.n > 101 {
				t.Errorf("%v: read %d bytes of a source that said 100", c.want, counted.n)
			}
			if _, err := room.Fill(c.src); err == nil {
				t.Error("filled twice")
			}
		}
		all, err := spool.Reserve(timeoutContext(t, time.Second), 1)
		if err != nil {
			t.Fatalf("room leaked: %v", err)
		}
		all.Release()
		all.Release()
	}
}

type countingReader struct {
	r io.Reader
	n int
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += n
	return n, err
}

func timeoutContext(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// A small reservation must not overtake a large one that waits: the ordered
// committer behind needs the large one first.
func TestReserveInOrder(t *testing.T) {
	spool := newTestSpool(t, SpoolOptions{Memory: 1 << 20})
	held, err := spool.Reserve(t.Context(), 600<<10)
	if err != nil {
		t.Fatal(err)
	}
	order := make(chan int64, 3)
	for _, size := range []int64{1 << 20, 1 << 10, 2 << 10} {
		go func() {
			if room, err := spool.Reserve(t.Context(), size); err == nil {
				order <- size
				room.Release()
			}
		}()
		time.Sleep(20 * time.Millisecond) // the calls are in this order
	}
	select {
	case size := <-order:
		t.Fatalf("%d bytes overtook", size)
	case <-time.After(50 * time.Millisecond):
	}
	held.Release()
	if first := <-order; first != 1<<20 {
		t.Errorf("%d bytes came first", first)
	}
	<-order
	<-order
	if _, err := spool.Reserve(t.Context(), -1); err == nil {
		t.Error("reserved a negative size")
	}
}

func TestReserveGivesUp(t *testing.T) {
	spool := newTestSpool(t, SpoolOptions{Memory: 1 << 20})
	held, err := spool.Reserve(t.Context(), 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	defer held.Release()
	if _, err := spool.Reserve(timeoutContext(t, 20*time.Millisecond), 1); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

// Content far larger than the memory flows through, because it takes only a
// window's room.
func TestLargeTakesAWindow(t *testing.T) {
	spool := newTestSpool(t, SpoolOptions{Memory: 1 << 20, Largest: 64 << 10})
	b := blobFrom(t, spool, 9<<20, io.LimitReader(zeros{}, 9<<20))
	if b.Size() != 9<<20 {
		t.Fatal(b.Size())
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestNewSpoolRefuses(t *testing.T) {
	for _, o := range []SpoolOptions{
		{Dir: filepath.Join(t.TempDir(), "missing")},
		{Dir: t.TempDir(), Memory: 1},
		{Dir: t.TempDir(), Memory: 1 << 20, Largest: 2 << 20},
	} {
		if _, err := NewSpool(o); err == nil {
			t.Errorf("%+v was accepted", o)
		}
	}
}

// /dev/full's file system cannot be had everywhere, the error it gives can:
// a file size limit is no full disk, ENOSPC is.
func TestSpoolFull(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	c, err := newChunkFile(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	c.file.Close()
	c.file = full
	defer c.Close()
	if err := c.append(make([]byte, chunkSize)); !errors.Is(err, ErrSpoolFull) {
		t.Errorf("got %v", err)
	}
}

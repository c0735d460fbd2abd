package durable

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// directBlock is what is written at a time past the page cache, in bytes.
const directBlock = 1 << 20

// Writer writes a file from its beginning past the page cache, in the background:
// large files that are not read again soon cost half the time so. Where the
// filesystem cannot do that, it writes through the cache. It is not safe for
// concurrent use.
type Writer struct {
	f    *os.File
	mem  []byte      // page-aligned, as the kernel demands
	cur  []byte      // the block being filled
	n    int         // bytes of it
	full chan []byte // to the writing goroutine
	free chan []byte // back from it
	done chan struct{}
	err  error // of the writing goroutine, valid once done is closed
}

// depth is how many blocks are under way at a time.
const depth = 3

func directMemory() ([]byte, chan []byte, error) {
	mem, err := unix.Mmap(-1, 0, depth*directBlock, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return nil, nil, fmt.Errorf("memory for direct input and output: %w", err)
	}
	free := make(chan []byte, depth)
	for i := range depth {
		free <- mem[i*directBlock : (i+1)*directBlock]
	}
	return mem, free, nil
}

// NewWriter takes over writing to f, which must be empty, until Close. Neither
// puts the file on disk nor closes it.
func NewWriter(f *os.File) (*Writer, error) {
	mem, free, err := directMemory()
	if err != nil {
		return nil, err
	}
	w := &Writer{f: f, mem: mem, free: free, full: make(chan []byte, depth), done: make(chan struct{})}
	w.cur = <-w.free
	go w.drain(setDirect(f, true) == nil)
	return w, nil
}

func (w *Writer) drain(direct bool) {
	defer close(w.done)
	for b := range w.full {
		if direct && len(b) < directBlock { // the tail, whose length no device block has
			direct = false
			w.err = setDirect(w.f, false)
		}
		if w.err == nil {
			_, w.err = w.f.Write(b)
		}
		if direct && errors.Is(w.err, unix.EINVAL) { // this filesystem only says so now
			direct = false
			if w.err = setDirect(w.f, false); w.err == nil {
				_, w.err = w.f.Write(b)
			}
		}
		if w.err != nil {
			return
		}
		w.free <- b[:directBlock]
	}
	if direct {
		w.err = setDirect(w.f, false)
	}
}

// Write implements io.Writer. An error may be that of an earlier Write.
func (w *Writer) Write(p []byte) (int, error) {
	total := len(p)
	for len(p) > 0 {
		if w.n == len(w.cur) {
			if w.n > 0 {
				w.full <- w.cur
				w.cur, w.n = nil, 0
			}
			select {
			case w.cur = <-w.free:
			case <-w.done: // only an error ends it before Close
				return total - len(p), w.err
			}
		}
		k := copy(w.cur[w.n:], p)
		w.n += k
		p = p[k:]
	}
	return total, nil
}

// Close writes what is left, and frees the writer's memory. Closing twice is no
// error.
func (w *Writer) Close() error {
	if w.mem == nil {
		return nil
	}
	if w.n > 0 {
		w.full <- w.cur[:w.n]
	}
	close(w.full)
	<-w.done
	err := errors.Join(w.err, unix.Munmap(w.mem))
	w.mem = nil
	return err
}

func setDirect(f *os.File, on bool) error {
	flags, err := unix.FcntlInt(f.Fd(), unix.F_GETFL, 0)
	if err != nil {
		return err
	}
	flags &^= unix.O_DIRECT
	if on {
		flags |= unix.O_DIRECT
	}
	_, err = unix.FcntlInt(f.Fd(), unix.F_SETFL, flags)
	return err
}

// Reader reads a file from its beginning past the page cache, one block ahead.
// It is not safe for concurrent use.
type Reader struct {
	f      *os.File
	blocks chan block // filled
	free   chan []byte
	mem    []byte
	cur    []byte // what is left of the block in use
	used   []byte // that block whole
	err    error
	stop   chan struct{}
	done   chan struct{}
}

type block struct {
	data []byte
	buf  []byte
	err  error
}

// NewReader takes over reading f. Close frees memory and closes f.
func NewReader(f *os.File) (*Reader, error) {
	mem, free, err := directMemory()
	if err != nil {
		return nil, err
	}
	if setDirect(f, true) != nil { // through the cache then, which is asked to let go
		_ = unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)
	}
	r := &Reader{f: f, mem: mem, blocks: make(chan block, depth), free: free, stop: make(chan struct{}), done: make(chan struct{})}
	go r.fill()
	return r, nil
}

func (r *Reader) fill() {
	defer close(r.done)
	defer close(r.blocks)
	for {
		var buf []byte
		select {
		case buf = <-r.free:
		case <-r.stop:
			return
		}
		n, err := r.f.Read(buf)
		if errors.Is(err, unix.EINVAL) { // no O_DIRECT here after all
			if err = setDirect(r.f, false); err == nil {
				_ = unix.Fadvise(int(r.f.Fd()), 0, 0, unix.FADV_DONTNEED)
				n, err = r.f.Read(buf)
			}
		}
		if err == nil && n%4096 != 0 {
			// The end: the next read would be at no block's beginning.
			_ = setDirect(r.f, false)
		}
		r.blocks <- block{buf[:n], buf, err}
		if err != nil {
			return
		}
	}
}

// Read implements io.Reader.
func (r *Reader) Read(p []byte) (int, error) {
	for len(r.cur) == 0 {
		if r.err != nil {
			return 0, r.err
		}
		if r.used != nil {
			r.free <- r.used
			r.used = nil
		}
		b, ok := <-r.blocks
		if !ok {
			return 0, io.ErrClosedPipe
		}
		r.cur, r.used, r.err = b.data, b.buf, b.err
	}
	n := copy(p, r.cur)
	r.cur = r.cur[n:]
	return n, nil
}

// Close ends reading and closes the file.
func (r *Reader) Close() error {
	close(r.stop)
	<-r.done
	return errors.Join(unix.Munmap(r.mem), r.f.Close())
}

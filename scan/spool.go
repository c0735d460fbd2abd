package scan

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"sync"

	"golang.org/x/sync/semaphore"
)

var (
	// ErrGrew means the source held more than the size reserved: it is being
	// written to. The file is reported as changed and tried again another night.
	ErrGrew = errors.New("content grew while it was read")
	// ErrShrank means the source ended before the size reserved; as ErrGrew.
	ErrShrank = errors.New("content shrank while it was read")
	// ErrSpoolFull means the disk of the spool folder has no room for the
	// content of large files. The operator frees space or moves the folder.
	ErrSpoolFull = errors.New("spool folder is full")
)

// SpoolOptions says where and how much content may be held at a time.
type SpoolOptions struct {
	Dir     string // folder for large files, encrypted and unlinked; empty: os.TempDir()
	Memory  int64  // bytes held in memory files in total; 0: 256 MiB
	Largest int64  // bytes of the largest file held in memory; 0: 64 MiB; at most Memory
}

// Spool hands out room for content that has been read once. It bounds memory,
// not disk: a full disk shows as ErrSpoolFull. Safe for concurrent use.
type Spool struct {
	opts SpoolOptions
	room *semaphore.Weighted
}

// windowRoom is what a large blob may need in memory while engines look at it
// through windows, in bytes.
const windowRoom = clamdWindows*clamdWindow + yaraWindow

// NewSpool checks that the folder can hold spool files.
func NewSpool(o SpoolOptions) (*Spool, error) {
	if o.Dir == "" {
		o.Dir = os.TempDir()
	}
	if o.Memory == 0 {
		o.Memory = 256 << 20
	}
	if o.Largest == 0 {
		o.Largest = min(64<<20, o.Memory)
	}
	if o.Memory < 1<<20 || o.Largest < 0 || o.Largest > o.Memory {
		return nil, fmt.Errorf("spool: memory %d, largest %d: want at least 1 MiB of memory and largest within it", o.Memory, o.Largest)
	}
	f, err := createUnlinked(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("spool: %w", full(err))
	}
	if err := f.Close(); err != nil {
		return nil, fmt.Errorf("spool: %w", err)
	}
	return &Spool{opts: o, room: semaphore.NewWeighted(o.Memory)}, nil
}

// Reserve waits for room for size bytes. Room is given in the order of the
// calls, whatever the sizes: a pipeline that reserves in order and commits in
// order cannot deadlock, because the oldest reservation always holds its room.
// The caller ends a Room by Fill or Release.
func (s *Spool) Reserve(ctx context.Context, size int64) (*Room, error) {
	if size < 0 {
		return nil, fmt.Errorf("reserving room for %d bytes", size)
	}
	cost := max(size, 1)
	if size > s.opts.Largest {
		cost = min(windowRoom, s.opts.Memory)
	}
	if err := s.room.Acquire(ctx, cost); err != nil {
		return nil, fmt.Errorf("waiting for room: %w", err)
	}
	return &Room{spool: s, size: size, release: sync.OnceFunc(func() { s.room.Release(cost) })}, nil
}

// Room is space for one blob of a size known beforehand.
type Room struct {
	spool   *Spool
	size    int64
	release func()
	used    bool
}

// Release gives the room back. It does nothing after Fill: then the blob, or
// its failure, has taken the room over.
func (r *Room) Release() {
	if !r.used {
		r.used = true
		r.release()
	}
}

// fillBuffers holds *[]byte of chunkSize.
var fillBuffers = sync.Pool{New: func() any {
	b := make([]byte, chunkSize)
	return &b
}}

// Fill reads src to its end, exactly once, and returns its content, immutable
// from then on. It reads at most one byte more than was reserved. On any error
// (ErrGrew, ErrShrank, ErrSpoolFull, or src's own) nothing is kept and the
// room is free again.
func (r *Room) Fill(src io.Reader) (*Blob, error) {
	if r.used {
		return nil, errors.New("filling a room a second time")
	}
	r.used = true
	b, err := r.fill(src)
	if err != nil {
		r.release()
		return nil, err
	}
	return b, nil
}

func (r *Room) fill(src io.Reader) (_ *Blob, err error) {
	b := &Blob{size: r.size, release: r.release}
	if r.size > r.spool.opts.Largest {
		b.disk, err = newChunkFile(r.spool.opts.Dir)
	} else {
		b.memory, err = newMemfd("blob")
	}
	if err != nil {
		return nil, err
	}
	sum := sha256.New()
	if err = r.copy(b, sum, src); err == nil && b.memory != nil {
		err = sealMemfd(b.memory)
	}
	if err != nil {
		return nil, errors.Join(err, b.closeFile())
	}
	sum.Sum(b.sum[:0])
	return b, nil
}

// copy moves src into b chunk by chunk and insists on the reserved size.
func (r *Room) copy(b *Blob, sum hash.Hash, src io.Reader) error {
	buf := fillBuffers.Get().(*[]byte)
	defer fillBuffers.Put(buf)
	limited := io.LimitReader(src, r.size+1)
	var got int64
	for {
		n, err := io.ReadFull(limited, *buf)
		part := (*buf)[:n]
		if got += int64(n); got > r.size {
			return ErrGrew
		}
		sum.Write(part)
		b.head = append(b.head, part[:min(n, headSize-len(b.head))]...)
		if n > 0 {
			if werr := b.write(part); werr != nil {
				return werr
			}
		}
		switch err {
		case nil:
		case io.EOF, io.ErrUnexpectedEOF:
			if got < r.size {
				return ErrShrank
			}
			return nil
		default:
			return fmt.Errorf("reading the source: %w", err)
		}
	}
}

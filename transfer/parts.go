package transfer

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"os"
	"path"
	"path/filepath"

	"golang.org/x/sys/unix"

	"sekisho/transfer/durable"
	"sekisho/transfer/manifest"
)

// parts takes the parts of a delivery from the drive, one after the other, each
// once. A part that fits its memory is decrypted from the very bytes that were
// hashed; a larger one from its copy in staging.
type parts struct {
	*delivery
	keep   bool // a copy in staging
	memory []byte
	free   chan []byte // pieces of memory
	ready  chan staged
}

// staged is a part whose hash held.
type staged struct {
	mem []byte // its ciphertext; nil when it lies in staging only
	buf []byte // what to give back
}

// ahead parts are in memory at a time: one is taken while one is decrypted.
const partsAhead = 2

// newParts sets aside memory for the largest part, at most d.PartMemory for all.
func (d *delivery) newParts(keep bool) (*parts, error) {
	p := &parts{delivery: d, keep: keep, free: make(chan []byte, partsAhead), ready: make(chan staged, partsAhead-1)}
	var largest int64
	for _, n := range d.statement.Sizes.Parts {
		if n <= d.PartMemory/partsAhead {
			largest = max(largest, n)
		}
	}
	if largest == 0 {
		for range partsAhead {
			p.free <- nil
		}
		return p, nil
	}
	largest++ // one byte more than stated shows that there is more
	var err error
	if p.memory, err = unix.Mmap(-1, 0, int(largest)*partsAhead, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE); err != nil {
		return nil, err
	}
	for i := range partsAhead {
		p.free <- p.memory[int64(i)*largest : int64(i+1)*largest]
	}
	return p, nil
}

func (p *parts) close() error {
	if p.memory == nil {
		return nil
	}
	return unix.Munmap(p.memory)
}

// take takes all parts and hands each on. Who waits for a part that does not
// come is woken by ctx, which ends only after the reason is known.
func (p *parts) take(ctx context.Context) error {
	for i := range p.parts {
		var s staged
		select {
		case s.buf = <-p.free:
		case <-ctx.Done():
			return ctx.Err()
		}
		if err := p.one(ctx, i+1, &s); err != nil {
			return err
		}
		select {
		case p.ready <- s:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// one reads part n, at most its stated size and one byte, and checks its hash.
func (p *parts) one(ctx context.Context, n int, s *staged) (err error) {
	name, size := manifest.PartName(n), p.statement.Sizes.Parts[n-1]
	if size < int64(len(s.buf)) {
		s.mem = s.buf[:0]
	}
	src, err := p.Drive.OpenLarge(path.Join(p.folder, name))
	if err != nil {
		return unavailable(name, err)
	}
	defer src.Close()
	var out io.WriteCloser // nil when nothing is kept and memory has it
	if s.mem == nil || p.keep {
		file, err := p.staging.Create(name)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, file.Close()) }()
		if out, err = durable.NewWriter(file); err != nil {
			return err
		}
		defer out.Close()
	}
	hash := sha256.New()
	chunk := make([]byte, 1<<20)
	var got int64
	for got <= size {
		if err := ctx.Err(); err != nil {
			return err
		}
		if s.mem != nil {
			chunk = s.buf[got:min(got+1<<20, size+1)]
		}
		k, rerr := src.Read(chunk[:min(int64(len(chunk)), size+1-got)])
		hash.Write(chunk[:k])
		got += int64(k)
		if out != nil {
			if _, err := out.Write(chunk[:k]); err != nil {
				return err
			}
		}
		if rerr == io.EOF {
			break
		}
		if rerr != nil {
			return unavailable(name, rerr)
		}
	}
	if got != size || manifest.Hash(hash.Sum(nil)) != p.delivery.parts[n-1] {
		return refusef(Altered, name, "it is not what was sealed")
	}
	if s.mem != nil {
		s.mem = s.buf[:size]
	}
	if out != nil {
		return out.Close()
	}
	return nil
}

// discard lets the next part go unread.
func (p *parts) discard(ctx context.Context, n int) error {
	select {
	case s := <-p.ready:
		p.free <- s.buf
		if s.mem != nil {
			return nil
		}
		return os.Remove(filepath.Join(p.staging.Bag(), manifest.PartName(n)))
	case <-ctx.Done():
		return ctx.Err()
	}
}

// open decrypts the next part, which must be part n.
func (p *parts) open(ctx context.Context, n int) (io.ReadCloser, error) {
	var s staged
	select {
	case s = <-p.ready: // n: both sides go in order
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	var src io.ReadCloser
	if s.mem != nil {
		src = io.NopCloser(bytes.NewReader(s.mem))
	} else {
		name := filepath.Join(p.staging.Bag(), manifest.PartName(n))
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		if src, err = durable.NewReader(f); err != nil {
			return nil, errors.Join(err, f.Close())
		}
		if !p.keep {
			if err := os.Remove(name); err != nil {
				return nil, errors.Join(err, src.Close())
			}
		}
	}
	plain, err := p.Identity.decrypt(src, manifest.PartName(n))
	if err != nil {
		return nil, errors.Join(err, src.Close())
	}
	return &opened{plain, func() error {
		err := src.Close()
		p.free <- s.buf
		return err
	}}, nil
}

type opened struct {
	io.Reader
	close func() error
}

func (o *opened) Close() error { return o.close() }

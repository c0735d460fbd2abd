package drive

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"sekisho/transfer/durable"
)

// suffix marks an object that is not complete; nothing reads it.
const suffix = ".part"

// Object is something to write.
type Object struct {
	Name   string // on the drive
	Size   int64  // bytes
	SHA256 [32]byte
	Open   func() (io.ReadCloser, error)
}

// Progress is told the bytes written and, later, read back since the last call,
// from two goroutines at a time.
type Progress func(written, checked int64)

// Copy writes the objects in order. When it returns nil, each was flushed, read
// back from the medium with the kernel's cache bypassed, compared with its
// digest, given its name, and that name flushed. Objects that are already there
// with the right bytes are read back and left alone, so an interrupted Copy
// goes on where it stopped. Reading back runs one object behind writing.
//
// A drive that returns what it was sent and stores something else cannot be
// found out here; the seal comes later and the gate checks everything.
func (d *Drive) Copy(ctx context.Context, objects []Object, progress Progress) error {
	g, ctx := errgroup.WithContext(ctx)
	written := make(chan Object, 1)
	g.Go(func() error {
		defer close(written)
		for _, o := range objects {
			if err := d.Present(); err != nil {
				return err
			}
			there, err := d.has(ctx, o, progress)
			if err != nil {
				return err
			}
			if there {
				continue
			}
			if err := d.write(ctx, o, progress); err != nil {
				return err
			}
			select {
			case written <- o:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	})
	g.Go(func() error {
		for o := range written {
			sum, size, err := d.readBack(ctx, o.Name+suffix, o.Size, func(n int64) { progress(0, n) })
			if err != nil {
				return err
			}
			if sum != o.SHA256 || size != o.Size {
				return fmt.Errorf("%q: %w", o.Name, ErrReadBack)
			}
			if err := d.name(o.Name); err != nil {
				return err
			}
		}
		return nil
	})
	return g.Wait()
}

// Put writes a small object in the same way, replacing one of that name.
func (d *Drive) Put(name string, data []byte) error {
	sum := sha256.Sum256(data)
	o := Object{Name: name, Size: int64(len(data)), SHA256: sum, Open: func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(data)), nil
	}}
	return d.Copy(context.Background(), []Object{o}, func(int64, int64) {})
}

// has says whether o is already on the drive, by its bytes.
func (d *Drive) has(ctx context.Context, o Object, progress Progress) (bool, error) {
	var n int64
	sum, size, err := d.readBack(ctx, o.Name, o.Size, func(k int64) { n += k })
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if ctx.Err() != nil {
		return false, ctx.Err()
	}
	if err == nil && sum == o.SHA256 && size == o.Size {
		progress(n, n)
		return true, nil
	}
	// Something else by that name, or unreadable: written again.
	if err := d.Present(); err != nil {
		return false, err
	}
	return false, d.Remove(o.Name)
}

// write copies o to its temporary name and flushes it.
func (d *Drive) write(ctx context.Context, o Object, progress Progress) (err error) {
	if err := d.Mkdir(path.Dir(o.Name)); err != nil {
		return err
	}
	src, err := o.Open()
	if err != nil {
		return fmt.Errorf("opening %q in the outbox: %w: %w", o.Name, ErrSource, err)
	}
	defer src.Close()
	name := o.Name + suffix
	if err := d.unlink(name); err != nil {
		return err
	}
	f, err := d.open(name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL, 0o644)
	if err != nil {
		return d.explain("writing", o.Name, err)
	}
	defer func() {
		if cerr := f.Close(); err == nil && cerr != nil {
			err = d.explain("writing", o.Name, cerr)
		}
	}()
	out, err := durable.NewWriter(f)
	if err != nil {
		return err
	}
	defer out.Close()
	hash := sha256.New()
	buf := make([]byte, 1<<20)
	var size int64
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, rerr := io.ReadFull(src, buf)
		hash.Write(buf[:n])
		if _, err := out.Write(buf[:n]); err != nil {
			return d.explain("writing", o.Name, err)
		}
		size += int64(n)
		progress(int64(n), 0)
		if rerr == io.EOF || rerr == io.ErrUnexpectedEOF {
			break
		}
		if rerr != nil {
			return fmt.Errorf("reading %q in the outbox: %w: %w", o.Name, ErrSource, rerr)
		}
	}
	if err := out.Close(); err != nil {
		return d.explain("writing", o.Name, err)
	}
	if size != o.Size || [32]byte(hash.Sum(nil)) != o.SHA256 {
		return fmt.Errorf("%q: %w", o.Name, ErrSource)
	}
	if err := f.Sync(); err != nil { // never retried: the pages may be gone
		return d.explain("writing", o.Name, err)
	}
	return nil
}

// ErrSource: the copy in the outbox is no longer what was prepared, or cannot be
// read. IT looks at the kiosk's disk; the transfer is prepared again.
var ErrSource = errors.New("the prepared copy is damaged on the kiosk's disk")

// name gives a checked object its name and flushes the folder.
func (d *Drive) name(name string) error {
	dir, err := d.open(path.Dir(name), unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return d.explain("writing", name, err)
	}
	defer dir.Close()
	base := path.Base(name)
	if err := unix.Renameat(int(dir.Fd()), base+suffix, int(dir.Fd()), base); err != nil {
		return d.explain("writing", name, err)
	}
	return d.flush(dir, name)
}

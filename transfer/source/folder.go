package source

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// Options bound what a walk may use. The zero value means the defaults.
type Options struct {
	// MaxNames is the most names one folder may hold. Memory is used for the
	// names of the folders between the root and the current entry: their
	// length plus 7 bytes each. Default 5,000,000; at most 16,000,000.
	MaxNames int
	// MaxDepth is how many folders may lie inside one another. Each holds one
	// file descriptor while it is walked. Default 1000.
	MaxDepth int
	// Ahead is how many entries Walk opens before fn wants them, so that small
	// files are on their way into memory. Each holds one file descriptor.
	// Default 64; negative means none.
	Ahead int
}

func (o Options) withDefaults() Options {
	if o.MaxNames <= 0 {
		o.MaxNames = 5_000_000
	}
	o.MaxNames = min(o.MaxNames, 16_000_000) // what names.order can address at 255 bytes each
	if o.MaxDepth <= 0 {
		o.MaxDepth = 1000
	}
	if o.Ahead == 0 {
		o.Ahead = 64
	}
	o.Ahead = max(o.Ahead, 0)
	return o
}

// folder is a Tree on a local filesystem.
type folder struct {
	root int
	opt  Options
}

// OpenFolder opens the folder at path, or fails with ErrMissing, ErrNotFolder
// or the system's error. Links in path itself are followed: the operator wrote
// them. The folder may be renamed while it is open; the tree stays the same.
func OpenFolder(path string, o Options) (Tree, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	switch {
	case errors.Is(err, unix.ENOENT):
		return nil, fmt.Errorf("opening %q: %w", path, ErrMissing)
	case errors.Is(err, unix.ENOTDIR):
		return nil, fmt.Errorf("opening %q: %w", path, ErrNotFolder)
	case err != nil:
		return nil, fmt.Errorf("opening %q: %w", path, err)
	}
	return &folder{root: fd, opt: o.withDefaults()}, nil
}

func (t *folder) Close() error { return unix.Close(t.root) }

func (t *folder) Count(ctx context.Context, progress func(files, bytes int64)) (Total, error) {
	var sum Total
	seen := 0
	err := t.each(ctx, false, func(e Entry) error {
		switch {
		case e.Err != nil:
			sum.Failed++
		case e.Kind == File:
			sum.Files++
			sum.Bytes += e.Size
		case e.Kind == Dir:
			sum.Folders++
		default:
			sum.Left++
		}
		if seen++; progress != nil && seen%1024 == 0 {
			progress(sum.Files, sum.Bytes)
		}
		return nil
	})
	if err != nil {
		return Total{}, err
	}
	if progress != nil {
		progress(sum.Files, sum.Bytes)
	}
	return sum, nil
}

func (t *folder) Walk(ctx context.Context, fn func(Entry) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ahead := make(chan Entry, t.opt.Ahead)
	end := make(chan error, 1)
	go func() {
		defer close(ahead)
		end <- t.each(ctx, true, func(e Entry) error {
			select {
			case ahead <- e:
				return nil
			case <-ctx.Done():
				e.close()
				return ctx.Err()
			}
		})
	}()
	var err error
	for e := range ahead {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil { // only emptying what was opened ahead
			e.close()
			continue
		}
		if err = fn(e); err != nil {
			cancel()
		}
	}
	if werr := <-end; err == nil {
		err = werr
	}
	return err
}

func (e Entry) close() {
	if e.File != nil {
		e.File.Close()
	}
}

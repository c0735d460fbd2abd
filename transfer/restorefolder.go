package transfer

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"sekisho/transfer/manifest"
	"sekisho/transfer/vault"
)

// emptyFolder opens dir, making it when it is absent.
func emptyFolder(dir string) (*os.Root, error) {
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return nil, err
	}
	names, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	if len(names) > 0 {
		return nil, fmt.Errorf("%q: %w", dir, ErrNotEmpty)
	}
	return os.OpenRoot(dir)
}

func enough(dir string, need int64) error {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return err
	}
	if free := int64(st.Bavail) * st.Bsize; need > free {
		return refusef(NoSpace, dir, "%d bytes are needed and %d are free", need, free)
	}
	return nil
}

// folder writes the entries of an index below a root.
type folder struct {
	root    *os.Root
	ctx     context.Context
	watcher Watcher
	total   *vault.Generation
	open    []manifest.Entry // folders whose times are still to be set, outermost first
	files   int64
	bytes   int64
}

func (f *folder) each(e *manifest.Entry, content io.Reader) (sum manifest.Hash, err error) {
	if err := f.ctx.Err(); err != nil {
		return sum, err
	}
	if err := f.leave(e.Path.Parent()); err != nil {
		return sum, err
	}
	switch {
	case e.Type == manifest.Folder:
		f.open = append(f.open, *e)
		return sum, f.root.Mkdir(string(e.Path), 0o755)
	case content != nil:
		if sum, err = f.write(e, content); err != nil {
			return sum, err
		}
		f.files++
		f.bytes += e.Size
		f.watcher.progress(Progress{Phase: PhaseRestore, Transfer: f.total.Transfer,
			Files: f.files, TotalFiles: f.total.Files, Bytes: f.bytes, TotalBytes: f.total.Bytes})
	}
	return sum, nil
}

func (f *folder) write(e *manifest.Entry, content io.Reader) (sum manifest.Hash, err error) {
	file, err := f.root.OpenFile(string(e.Path), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return sum, err
	}
	hash := sha256.New()
	_, err = io.Copy(io.MultiWriter(file, hash), content)
	if err == nil {
		err = setTime(file, e.ModTime)
	}
	return manifest.Hash(hash.Sum(nil)), errors.Join(err, file.Close())
}

// setTime gives an open file or folder its time. os.Chtimes knows only the
// years 1678 to 2262, and a file of Windows may say 1601.
func setTime(f *os.File, t time.Time) error {
	ts := unix.NsecToTimespec(int64(t.Nanosecond()))
	ts.Sec = t.Unix()
	if err := unix.UtimesNanoAt(int(f.Fd()), "", []unix.Timespec{ts, ts}, unix.AT_EMPTY_PATH); err != nil {
		return &os.PathError{Op: "setting the time of", Path: f.Name(), Err: err}
	}
	return nil
}

// leave sets the times of the folders that the walk has left for good: nothing
// is written into them any more.
func (f *folder) leave(parent manifest.Path) error {
	for len(f.open) > 0 {
		last := &f.open[len(f.open)-1]
		if last.Path == parent {
			return nil
		}
		dir, err := f.root.Open(string(last.Path))
		if err != nil {
			return err
		}
		if err := errors.Join(setTime(dir, last.ModTime), dir.Close()); err != nil {
			return err
		}
		f.open = f.open[:len(f.open)-1]
	}
	return nil
}

// finish sets the last times and puts everything on disk.
func (f *folder) finish() error {
	if err := f.leave(""); err != nil {
		return err
	}
	dir, err := f.root.Open(".")
	if err != nil {
		return err
	}
	defer dir.Close()
	if err := unix.Syncfs(int(dir.Fd())); err != nil {
		return fmt.Errorf("flushing the restored files: %w", err)
	}
	return nil
}

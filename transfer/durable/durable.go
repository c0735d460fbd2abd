// Package durable writes files and folders that are on disk when the call returns.
//
// A call that returns nil has survived a power cut, as far as the drive keeps
// its word on flush. A call that returns an error has left either nothing or a
// name ending in ".part", which Clean removes. A failed fsync is never retried:
// the kernel may have dropped the pages and would report success the next time.
//
// It is not a database: it knows whole files, their names and their folders.
package durable

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// Suffix marks a file that is being written. It is never read, only removed.
const Suffix = ".part"

// File is a file under its temporary name until Commit gives it its own.
// It is not safe for concurrent use.
type File struct {
	*os.File
	path string
	done bool
}

// Create opens path+Suffix for writing with permissions perm (before umask),
// replacing a leftover of an earlier attempt. path itself must not exist.
func Create(path string, perm fs.FileMode) (*File, error) {
	if _, err := os.Lstat(path); err == nil {
		return nil, fmt.Errorf("creating %q: %w", path, fs.ErrExist)
	}
	f, err := createPart(path+Suffix, perm)
	if err != nil {
		return nil, err
	}
	return &File{File: f, path: path}, nil
}

// createPart makes a file of its own: what an earlier attempt left is removed,
// not reused, for it may have other permissions or another name.
func createPart(part string, perm fs.FileMode) (*os.File, error) {
	if err := os.Remove(part); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return os.OpenFile(part, os.O_RDWR|os.O_CREATE|os.O_EXCL, perm)
}

// Commit flushes the file, gives it its name, which must still be free, and
// flushes the folder: write → fsync → close → renameat2(NOREPLACE) → fsync(dir).
//
// BUG: when the last fsync fails the file stands under its name although a
// power cut may still undo that; the caller is told and must not rely on it.
func (f *File) Commit() error {
	if f.done {
		return fs.ErrClosed
	}
	f.done = true
	if err := f.Sync(); err != nil {
		return errors.Join(err, f.File.Close(), os.Remove(f.path+Suffix))
	}
	if err := f.File.Close(); err != nil {
		return errors.Join(err, os.Remove(f.path+Suffix))
	}
	return Rename(f.path+Suffix, f.path)
}

// Close abandons the file when it was not committed, and does nothing otherwise.
func (f *File) Close() error {
	if f.done {
		return nil
	}
	f.done = true
	return errors.Join(f.File.Close(), os.Remove(f.path+Suffix))
}

// WriteNew writes a file that must not exist yet.
func WriteNew(path string, data []byte, perm fs.FileMode) error {
	f, err := Create(path, perm)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.Write(data); err != nil {
		return err
	}
	return f.Commit()
}

// Replace writes a file, taking the place of an older one of that name in one
// step: a reader sees the old bytes or the new, never a mixture.
func Replace(path string, data []byte, perm fs.FileMode) (err error) {
	part := path + Suffix
	f, err := createPart(part, perm)
	if err != nil {
		return err
	}
	if _, err = f.Write(data); err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(part, path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(part))
	}
	return SyncDir(filepath.Dir(path))
}

// Rename gives from the name to, which must be free, and flushes both folders.
// On a filesystem without renameat2(NOREPLACE), such as exfat-fuse, the name is
// checked first; one writer at a time is then the caller's duty.
func Rename(from, to string) error {
	err := unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, to, unix.RENAME_NOREPLACE)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EOPNOTSUPP) {
		switch _, serr := os.Lstat(to); {
		case serr == nil:
			err = unix.EEXIST
		case errors.Is(serr, fs.ErrNotExist):
			err = unix.Rename(from, to)
		default: // not known to be free
			err = serr
		}
	}
	if err != nil {
		return &os.LinkError{Op: "rename", Old: from, New: to, Err: err}
	}
	if filepath.Dir(from) != filepath.Dir(to) {
		if err := SyncDir(filepath.Dir(from)); err != nil {
			return err
		}
	}
	return SyncDir(filepath.Dir(to))
}

// Mkdir makes path and its missing parents, each flushed into its own parent.
// A folder that is already there is left as it is.
func Mkdir(path string, perm fs.FileMode) error {
	if st, err := os.Stat(path); err == nil {
		if !st.IsDir() {
			return fmt.Errorf("making %q: %w", path, unix.ENOTDIR)
		}
		return nil
	}
	parent := filepath.Dir(path)
	if parent != path {
		if err := Mkdir(parent, perm); err != nil {
			return err
		}
	}
	if err := os.Mkdir(path, perm); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return SyncDir(parent)
}

// Remove deletes path, a folder with all it holds, and flushes the parent.
// Nothing there is no error.
func Remove(path string) error {
	if err := os.RemoveAll(path); err != nil {
		return err
	}
	err := SyncDir(filepath.Dir(path))
	if errors.Is(err, fs.ErrNotExist) { // not even the folder
		return nil
	}
	return err
}

// Clean removes what interrupted writers left in dir, files and folders whose
// names end in Suffix, and flushes it. No writer may be at work there.
func Clean(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), Suffix) {
			if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
				return err
			}
		}
	}
	return SyncDir(dir)
}

// SyncDir flushes a folder's names.
func SyncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	err = d.Sync()
	// Some FUSE filesystems cannot flush a folder and say so; they write
	// names through. Any other failure counts.
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.ENOTSUP) {
		err = nil
	}
	return errors.Join(err, d.Close())
}

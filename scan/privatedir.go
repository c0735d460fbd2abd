package scan

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// privateDir is a folder for one run. Its lock tells it from a leftover.
type privateDir struct {
	path string
	lock *os.File
}

const privatePrefix = "sekisho-clamd-"

// newPrivateDir makes a folder in parent that only owner can enter, and
// removes those of runs that were killed. It gets its name only when it is
// locked, so that another program starting now leaves it alone.
func newPrivateDir(parent string, owner *syscall.Credential) (*privateDir, error) {
	sweep(parent)
	path, err := os.MkdirTemp(parent, ".sekisho-*")
	if err != nil {
		return nil, fmt.Errorf("clamd: %w", err)
	}
	lock, err := os.Open(path)
	if err == nil {
		err = unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	}
	if err == nil && owner != nil {
		err = os.Chown(path, int(owner.Uid), int(owner.Gid))
	}
	named := filepath.Join(parent, privatePrefix+strings.TrimPrefix(filepath.Base(path), ".sekisho-"))
	if err == nil {
		err = os.Rename(path, named)
	}
	if err != nil {
		lock.Close()
		return nil, errors.Join(fmt.Errorf("clamd: %w", err), os.RemoveAll(path))
	}
	return &privateDir{path: named, lock: lock}, nil
}

// sweep removes what nobody holds any more. What cannot be removed is
// another's, and no harm.
func sweep(parent string) {
	left, _ := filepath.Glob(filepath.Join(parent, privatePrefix+"*"))
	for _, path := range left {
		f, err := os.OpenFile(path, os.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
		if err != nil {
			continue
		}
		if unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil {
			_ = os.RemoveAll(path)
		}
		f.Close()
	}
}

// sub makes a folder inside, with perm, for owner.
func (d *privateDir) sub(name string, perm os.FileMode, owner *syscall.Credential) (string, error) {
	path := filepath.Join(d.path, name)
	err := os.Mkdir(path, perm)
	if err == nil && owner != nil {
		err = os.Chown(path, int(owner.Uid), int(owner.Gid))
	}
	if err != nil {
		return "", fmt.Errorf("clamd: %w", err)
	}
	return path, nil
}

// remove may be called on nil.
func (d *privateDir) remove() error {
	if d == nil {
		return nil
	}
	return errors.Join(os.RemoveAll(d.path), d.lock.Close())
}

package durable

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// HeldError says that another process owns a state folder, and who.
// The operator waits for that process, or ends it.
type HeldError struct {
	Dir    string
	Holder string // "PID command", as the holder wrote it; empty when unknown
}

func (e *HeldError) Error() string {
	if e.Holder == "" {
		return fmt.Sprintf("%q is in use by another process", e.Dir)
	}
	return fmt.Sprintf("%q is in use by process %q", e.Dir, e.Holder)
}

// Lock is one process's ownership of a state folder.
type Lock struct{ f *os.File }

// Acquire takes the folder for this process, or fails at once with a
// *HeldError. The kernel lets go when the process ends, however it ends.
func Acquire(dir string) (*Lock, error) {
	path := filepath.Join(dir, "lock")
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		defer f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			holder := make([]byte, 128)
			n, _ := f.ReadAt(holder, 0)
			return nil, &HeldError{Dir: dir, Holder: strings.TrimSpace(string(holder[:n]))}
		}
		return nil, fmt.Errorf("locking %q: %w", path, err)
	}
	// Who holds it is a courtesy to the next comer; losing it loses nothing.
	if err := f.Truncate(0); err == nil {
		fmt.Fprintf(f, "%d %s\n", os.Getpid(), filepath.Base(os.Args[0]))
	}
	return &Lock{f}, nil
}

// Release gives the folder up.
func (l *Lock) Release() error { return l.f.Close() }

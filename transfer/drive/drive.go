// Package drive is the removable drive that carries bags: opened without
// trust, written so that it is there, read back from the medium.
//
// A drive is a mounted folder; a watched folder is the drive of tests and of
// the first run. Everything of Sekisho's on it is below the folder SEKISHO, and
// every path is resolved by the kernel with openat2: no symbolic link is
// followed, no mount is crossed, nothing leads out. A drive's identity is the
// random id written when it is first used; serial numbers can be forged.
//
// It knows no bags: it lists, reads, writes and removes named objects. Errors
// that a person can act on are the Err values below.
package drive

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"

	"golang.org/x/sys/unix"
)

// Errors that a person at the drive can act on.
var (
	// ErrNone: there is no drive at the path. Insert one.
	ErrNone = errors.New("there is no drive")
	// ErrGone: the drive was pulled while it was in use. Insert it again; the
	// work goes on where it stopped.
	ErrGone = errors.New("the drive is gone")
	// ErrReadOnly: the drive is write-protected. Open its lock or take another.
	ErrReadOnly = errors.New("the drive is write-protected")
	// ErrFull: the drive has no room left. Take another.
	ErrFull = errors.New("the drive is full")
	// ErrReadBack: the medium returned other bytes than were written. Take
	// another drive and tell IT about this one.
	ErrReadBack = errors.New("the drive returned other bytes than were written")
	// ErrTooLarge: an object is larger than it may be.
	ErrTooLarge = errors.New("larger than it may be")
	// ErrUnreadable: the medium gave an error instead of bytes. Clean its
	// contacts, try another socket; then take another drive.
	ErrUnreadable = errors.New("the drive cannot be read")
	// ErrKind: something else has the name of a file or folder: a link, a pipe,
	// a mount. Nobody but a person put it there; look at the drive.
	ErrKind = errors.New("neither a plain file nor a plain folder, as it should be")
	// ErrNotPrepared: the drive has no readable id.
	ErrNotPrepared = errors.New("the drive has no Sekisho id")
)

// Drive is an open drive. Its methods may be called concurrently, but only one
// Copy at a time.
type Drive struct {
	path string
	root *os.File
}

// Open opens the drive mounted, or the folder, at path.
func Open(path string) (*Drive, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) {
		return nil, fmt.Errorf("%q: %w", path, ErrNone)
	}
	if err != nil {
		return nil, fmt.Errorf("opening the drive at %q: %w", path, err)
	}
	return &Drive{path: path, root: os.NewFile(uintptr(fd), path)}, nil
}

// Path is where the drive was opened, for people.
func (d *Drive) Path() string { return d.path }

// Close ends the use of the drive. It flushes nothing: all writes are flushed.
func (d *Drive) Close() error { return d.root.Close() }

// Present says whether the drive that was opened is still at its path. An open
// folder outlives its name, so a pulled drive must be asked for.
func (d *Drive) Present() error {
	var now, opened unix.Stat_t
	if err := unix.Stat(d.path, &now); err != nil {
		return fmt.Errorf("%q: %w", d.path, ErrGone)
	}
	if err := unix.Fstat(int(d.root.Fd()), &opened); err != nil || now.Dev != opened.Dev || now.Ino != opened.Ino {
		return fmt.Errorf("%q: %w", d.path, ErrGone)
	}
	return nil
}

// Same says whether the folder at other is the drive, inside it, or around it.
//
// BUG: a part of the drive that is mounted elsewhere as well is not recognised
// there.
func (d *Drive) Same(other string) (bool, error) {
	in, err := within(d.path, other)
	if err != nil || in {
		return in, err
	}
	return within(other, d.path)
}

// within climbs from inner to the root and compares what the kernel says of each
// folder: paths compared as strings would miss links, and mounts under two names.
func within(outer, inner string) (bool, error) {
	var want unix.Stat_t
	if err := unix.Stat(outer, &want); err != nil {
		return false, &fs.PathError{Op: "stat", Path: outer, Err: err}
	}
	fd, err := unix.Open(inner, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return false, &fs.PathError{Op: "open", Path: inner, Err: err}
	}
	var below unix.Stat_t
	for {
		var st unix.Stat_t
		if err := unix.Fstat(fd, &st); err != nil {
			return false, errors.Join(err, unix.Close(fd))
		}
		switch {
		case st.Dev == want.Dev && st.Ino == want.Ino:
			return true, unix.Close(fd)
		case st.Dev == below.Dev && st.Ino == below.Ino: // the root is its own parent
			return false, unix.Close(fd)
		}
		below = st
		up, err := unix.Openat(fd, "..", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err := errors.Join(err, unix.Close(fd)); err != nil {
			return false, err
		}
		fd = up
	}
}

// Free is the room left on the drive, in bytes.
func (d *Drive) Free() (int64, error) {
	var st unix.Statfs_t
	if err := unix.Fstatfs(int(d.root.Fd()), &st); err != nil {
		return 0, d.explain("asking for room on", d.path, err)
	}
	return int64(st.Bavail) * st.Bsize, nil
}

// explain turns an error of the system into one that a person can act on.
func (d *Drive) explain(doing, name string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT):
		err = errors.Join(ErrFull, err)
	case errors.Is(err, unix.EROFS):
		err = errors.Join(ErrReadOnly, err)
	case doing == "writing" && (errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM)):
		// A drive that its owner may not write reports it so.
		err = errors.Join(ErrReadOnly, err)
	case d.Present() != nil:
		err = errors.Join(ErrGone, err)
	case errors.Is(err, unix.ELOOP), errors.Is(err, unix.ENOTDIR), errors.Is(err, unix.EXDEV), errors.Is(err, unix.ENXIO):
		err = errors.Join(ErrKind, err)
	case doing != "writing" && !errors.Is(err, fs.ErrNotExist):
		err = errors.Join(ErrUnreadable, err)
	}
	return fmt.Errorf("%s %q on the drive: %w", doing, name, err)
}

const (
	idFormat = `{"format":"sekisho-drive/1","id":"%s"}` + "\n"
	idLength = 16 // bytes
)

// ID reads the drive's random id from the object name; ErrNotPrepared when it
// has none, or something else is there.
func (d *Drive) ID(name string) (string, error) {
	data, err := d.ReadFile(name, 256)
	if errors.Is(err, fs.ErrNotExist) {
		return "", ErrNotPrepared
	}
	if errors.Is(err, ErrTooLarge) || errors.Is(err, ErrKind) {
		return "", fmt.Errorf("%w: %w", ErrNotPrepared, err)
	}
	if err != nil {
		return "", err
	}
	var id string
	if _, err := fmt.Sscanf(string(data), `{"format":"sekisho-drive/1","id":%q}`, &id); err != nil ||
		!bytes.Equal(data, fmt.Appendf(nil, idFormat, id)) || len(id) != 2*idLength {
		return "", fmt.Errorf("%q is no id: %w", name, ErrNotPrepared)
	}
	if raw, err := hex.DecodeString(id); err != nil || hex.EncodeToString(raw) != id {
		return "", fmt.Errorf("%q is no id: %w", name, ErrNotPrepared)
	}
	return id, nil
}

// Prepare gives the drive a new random id, durably, and returns it.
func (d *Drive) Prepare(name string) (string, error) {
	raw := make([]byte, idLength)
	if _, err := rand.Read(raw); err != nil {
		return "", err
	}
	id := hex.EncodeToString(raw)
	if err := d.Mkdir(path.Dir(name)); err != nil {
		return "", err
	}
	return id, d.Put(name, fmt.Appendf(nil, idFormat, id))
}

package drive

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	"sekisho/transfer/durable"
)

// open resolves name below the drive and nowhere else.
func (d *Drive) open(name string, flags int, perm uint32) (*os.File, error) {
	how := &unix.OpenHow{
		Flags:   uint64(flags | unix.O_CLOEXEC | unix.O_NONBLOCK | unix.O_NOCTTY),
		Mode:    uint64(perm),
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS | unix.RESOLVE_NO_XDEV,
	}
	for try := 0; ; try++ {
		fd, err := unix.Openat2(int(d.root.Fd()), name, how)
		if (errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR)) && try < 100 {
			continue // a rename elsewhere on the way; the kernel asks to try again
		}
		if err != nil {
			return nil, &fs.PathError{Op: "open", Path: name, Err: err}
		}
		return os.NewFile(uintptr(fd), name), nil
	}
}

// File is a file on the drive, open for reading.
type File struct {
	drive *Drive
	name  string
	file  io.ReadCloser
}

// Read reads on; its errors are those of the drive.
func (f *File) Read(p []byte) (int, error) {
	n, err := f.file.Read(p)
	if err != nil && err != io.EOF {
		err = f.drive.explain("reading", f.name, err)
	}
	return n, err
}

// Close ends the reading.
func (f *File) Close() error { return f.file.Close() }

// OpenFile opens a regular file for reading. Anything else by that name, a
// link, a pipe, a folder, is ErrKind; a pipe does not block it.
func (d *Drive) OpenFile(name string) (*File, error) {
	f, err := d.regular(name)
	if err != nil {
		return nil, err
	}
	return &File{d, name, f}, nil
}

// regular opens a regular file; anything else by that name is ErrKind.
func (d *Drive) regular(name string) (*os.File, error) {
	f, err := d.open(name, unix.O_RDONLY, 0)
	if err != nil {
		return nil, d.explain("reading", name, err)
	}
	st, err := f.Stat()
	if err == nil && !st.Mode().IsRegular() {
		err = fmt.Errorf("%q on the drive: %w", name, ErrKind)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// OpenLarge is OpenFile for a file that is read to its end: past the page
// cache, and a few blocks ahead of the reader.
func (d *Drive) OpenLarge(name string) (*File, error) {
	f, err := d.regular(name)
	if err != nil {
		return nil, err
	}
	ahead, err := durable.NewReader(f)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &File{d, name, ahead}, nil
}

// ReadFile reads a whole file of at most limit bytes, once.
func (d *Drive) ReadFile(name string, limit int64) ([]byte, error) {
	f, err := d.OpenFile(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("%q: %w (%d bytes)", name, ErrTooLarge, limit)
	}
	return data, nil
}

// Name is one name in a folder of the drive.
type Name struct {
	Name   string
	Folder bool
	File   bool // a regular file; neither means something that has no place here
}

// List returns the names in a folder, at most limit of them; more is
// ErrTooLarge. The folder is not followed when it is a link.
func (d *Drive) List(name string, limit int) ([]Name, error) {
	f, err := d.open(name, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, d.explain("listing", name, err)
	}
	defer f.Close()
	entries, err := f.ReadDir(limit + 1)
	if err != nil && err != io.EOF {
		return nil, d.explain("listing", name, err)
	}
	if len(entries) > limit {
		return nil, fmt.Errorf("%q has more than %d names: %w", name, limit, ErrTooLarge)
	}
	names := make([]Name, len(entries))
	for i, e := range entries {
		names[i] = Name{e.Name(), e.IsDir(), e.Type().IsRegular()}
	}
	return names, nil
}

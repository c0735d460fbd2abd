package scan

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// seals make a memfd immutable for everyone who holds it: clamd and the
// workers receive the very descriptor the packer reads from, and libyara maps
// it without a SIGBUS handler, so it must neither change nor shrink.
const seals = unix.F_SEAL_WRITE | unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_SEAL

// newMemfd returns an empty, unsealed memory file. The name only shows in /proc.
func newMemfd(name string) (*os.File, error) {
	const flags = unix.MFD_CLOEXEC | unix.MFD_ALLOW_SEALING
	fd, err := unix.MemfdCreate(name, flags|unix.MFD_NOEXEC_SEAL)
	if errors.Is(err, unix.EINVAL) { // kernel before 6.3
		fd, err = unix.MemfdCreate(name, flags)
	}
	if err != nil {
		return nil, fmt.Errorf("creating a memory file: %w", err)
	}
	return os.NewFile(uintptr(fd), name), nil
}

// sealMemfd rewinds f and makes it immutable.
func sealMemfd(f *os.File) error {
	if _, err := f.Seek(0, 0); err != nil {
		return fmt.Errorf("rewinding a memory file: %w", err)
	}
	if _, err := unix.FcntlInt(f.Fd(), unix.F_ADD_SEALS, seals); err != nil {
		return fmt.Errorf("sealing a memory file: %w", err)
	}
	return nil
}

// memfdOf returns a sealed memory file holding data. The caller closes it.
func memfdOf(name string, data []byte) (*os.File, error) {
	f, err := newMemfd(name)
	if err != nil {
		return nil, err
	}
	if _, err = f.Write(data); err == nil {
		err = sealMemfd(f)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

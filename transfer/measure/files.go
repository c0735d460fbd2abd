package measure

import (
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// MaxFile bounds a measured file, in bytes.
const MaxFile = 1 << 30

// Files measures the files of these absolute, clean paths, in this order. It
// reads each from beginning to end and extends nothing.
//
// A path that is a link, as a unit file may be, stands for what it leads to: the
// event has the path as given and the digest of the bytes that whoever opens it
// reads. A file that is missing or is not a regular file is an error that names
// it, and where it is a link to: a list never goes without a file it was asked
// for.
func Files(register int, paths []string) (*List, error) {
	l := &List{Register: register, Events: make([]Event, 0, len(paths))}
	for _, path := range paths {
		l.Events = append(l.Events, Event{Name: path})
	}
	if err := l.check(); err != nil { // before anything large is read
		return nil, fmt.Errorf("measuring: %w", err)
	}
	for i := range l.Events {
		digest, err := measureFile(l.Events[i].Name)
		if err != nil {
			return nil, fmt.Errorf("measuring: %w", err)
		}
		l.Events[i].SHA256 = digest
	}
	return l, nil
}

func measureFile(path string) (Digest, error) {
	if !filepath.IsAbs(path) || filepath.Clean(path) != path {
		return Digest{}, fmt.Errorf("%q is not an absolute path in its shortest form", path)
	}
	// O_NONBLOCK: a pipe in a file's place must not hold the machine's start.
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return Digest{}, pathError(path, err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return Digest{}, pathError(path, err)
	}
	if !st.Mode().IsRegular() {
		return Digest{}, pathError(path, fmt.Errorf("%q is not a regular file", path))
	}
	if st.Size() > MaxFile {
		return Digest{}, pathError(path, fmt.Errorf("%q has more than %d bytes", path, int64(MaxFile)))
	}
	d, err := hashFile(f)
	if err != nil {
		return Digest{}, pathError(path, fmt.Errorf("reading %q: %w", path, err))
	}
	return d, nil
}

// pathError says where a link leads: the file at fault is the one it names.
func pathError(path string, err error) error {
	if st, lerr := os.Lstat(path); lerr == nil && st.Mode()&fs.ModeSymlink != 0 {
		if target, lerr := os.Readlink(path); lerr == nil {
			return fmt.Errorf("%w (a link to %q)", err, target)
		}
	}
	return err
}

// hashFile reads to the end, at most MaxFile bytes.
func hashFile(r io.Reader) (Digest, error) {
	h := sha256.New()
	n, err := io.Copy(h, io.LimitReader(r, MaxFile+1))
	if err != nil {
		return Digest{}, err
	}
	if n > MaxFile {
		return Digest{}, fmt.Errorf("more than %d bytes", int64(MaxFile))
	}
	return Digest(h.Sum(nil)), nil
}

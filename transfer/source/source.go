// Package source is the tree that is read, once: a hospital's export, walked
// in one fixed order, every file opened at most one time.
//
// Nothing in a tree is trusted. A name is a string of bytes and may be any of
// them but NUL and slash. Symbolic links are never followed, mounts are never
// crossed, and pipes, sockets and devices are never opened: they are reported
// as what they are and stay behind. What cannot be read is reported too, with
// its reason: a walk that returns nil has named everything it was shown.
//
// Tree order: the names of one folder in ascending order of their bytes, a
// folder before what it holds. This is the order of paths when "/" counts as
// the lowest byte; see [Compare].
//
// It is not a copier: the callback reads the files it is handed, and asks
// [Changed] afterwards whether what it read was standing still.
package source

import (
	"context"
	"errors"
	"os"
	"time"
)

// Kind is what a name stands for. Only File and Dir are ever carried.
type Kind uint8

// The zero Kind is one that is not carried.
const (
	Other   Kind = iota // nothing known to this package
	File                // a regular file
	Dir                 // a folder
	Symlink             // a symbolic link, never followed
	Fifo                // a named pipe, never opened
	Socket              // never opened
	Device              // a character or block device, never opened
	Mount               // another filesystem begins here, never entered
)

var kindNames = [...]string{"other", "file", "folder", "symlink", "fifo", "socket", "device", "mount"}

func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return kindNames[Other]
}

// Identity tells one state of one file from any other: two equal identities of
// one source are taken for the same bytes. Times are nanoseconds since 1970;
// they wrap outside the years 1678 to 2262, which comparing does not mind.
type Identity struct {
	Device  uint64
	Inode   uint64
	Size    int64 // bytes
	ModTime int64 // last change of the content, which any program may set back
	Changed int64 // last change of anything, which only the kernel sets
}

// Entry is one name of the tree.
type Entry struct {
	// Path is relative to the root, its components joined by "/": never
	// empty, absolute, "." or "..". It may hold personal data.
	Path string
	Kind Kind
	// Size is in bytes and 0 for everything that is not a file.
	Size    int64
	ModTime time.Time // UTC; zero when Err kept it from being known
	ID      Identity
	// File is open for reading at its beginning when Kind is File, Err is nil
	// and the tree is being walked. Size, ModTime and ID are of this open
	// file, not of whatever has its name now. The callback closes it.
	File *os.File
	// Err says why a file or folder cannot be read; nothing below a folder
	// with Err is reported. It never holds the path.
	Err error
}

// Total is what a tree held while it was counted.
type Total struct {
	Files   int64 // regular files
	Bytes   int64 // their sizes
	Folders int64
	Left    int64 // neither file nor folder: stays behind
	Failed  int64 // would be reported with Err
}

// Tree is a source that can be walked. Its methods may be called concurrently.
type Tree interface {
	// Count looks at every name without opening a file, for estimates.
	// progress may be nil; it is called now and then, from this goroutine,
	// with what has been counted so far.
	Count(ctx context.Context, progress func(files, bytes int64)) (Total, error)

	// Walk calls fn for every name but the root's in tree order, one call at
	// a time, from this goroutine. It ends with fn's first error, returned as
	// it is, with the context's, or with its own: then the tree was not seen
	// whole. When it returns, no file it opened is open but those fn was given.
	Walk(ctx context.Context, fn func(Entry) error) error

	// Close ends the use of the source. No walk may be under way.
	Close() error
}

var (
	// ErrMissing: there is nothing of that name. The operator checks the
	// configured path, or that the share or drive is there.
	ErrMissing = errors.New("source is missing")

	// ErrNotFolder: the path names something else. The operator corrects it.
	ErrNotFolder = errors.New("source is not a folder")

	// ErrTooMany: one folder holds more names than Options.MaxNames. It ends
	// the walk. The operator looks at what fills the folder before raising it.
	ErrTooMany = errors.New("too many names in one folder")

	// ErrTooDeep: a folder lies deeper than Options.MaxDepth. It is the Err of
	// that folder's entry.
	ErrTooDeep = errors.New("folder lies too deep")

	// ErrSwapped: a name no longer stands for what its folder listed. It is
	// an entry's Err; the next walk will see it as it is then.
	ErrSwapped = errors.New("became something else while the folder was read")
)

// Changed reports whether f, opened with the identity before, has been written
// to since, by what the kernel says of it now: size, content time, change time.
// Call it after the last read.
//
// BUG: a write that keeps the size and falls into the clock tick of the write
// before it (up to 10 ms on kernels before 6.13) is not seen.
func Changed(before Identity, f *os.File) (bool, error) {
	rc, err := f.SyscallConn()
	if err != nil {
		return false, err
	}
	var now status
	cerr := rc.Control(func(fd uintptr) { now, err = statFd(int(fd)) })
	if err := errors.Join(cerr, err); err != nil {
		return false, err
	}
	return now.id != before, nil
}

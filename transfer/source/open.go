package source

import (
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// status is what the kernel says of one file.
type status struct {
	kind Kind
	id   Identity
	time time.Time
}

// statAt looks at one name in a folder without opening, following or mounting
// anything.
func statAt(dir int, name string) (status, error) {
	return statx(dir, name, unix.AT_SYMLINK_NOFOLLOW|unix.AT_NO_AUTOMOUNT)
}

func statFd(fd int) (status, error) { return statx(fd, "", unix.AT_EMPTY_PATH) }

func statx(dir int, name string, flags int) (status, error) {
	var st unix.Statx_t
	err := retry(func() error { return unix.Statx(dir, name, flags, unix.STATX_BASIC_STATS, &st) })
	if err != nil {
		return status{}, fmt.Errorf("looking: %w", err)
	}
	s := status{
		kind: kindOfMode(st.Mode),
		id: Identity{
			Device:  unix.Mkdev(st.Dev_major, st.Dev_minor),
			Inode:   st.Ino,
			Size:    int64(st.Size),
			ModTime: nanos(st.Mtime),
			Changed: nanos(st.Ctime),
		},
		time: time.Unix(st.Mtime.Sec, int64(st.Mtime.Nsec)).UTC(),
	}
	// By name a mount is seen from the outside; an open file is inside already.
	if name != "" && st.Attributes&unix.STATX_ATTR_MOUNT_ROOT != 0 {
		s.kind = Mount
	}
	return s, nil
}

func nanos(t unix.StatxTimestamp) int64 { return t.Sec*1e9 + int64(t.Nsec) }

func kindOfMode(mode uint16) Kind {
	switch mode & unix.S_IFMT {
	case unix.S_IFREG:
		return File
	case unix.S_IFDIR:
		return Dir
	case unix.S_IFLNK:
		return Symlink
	case unix.S_IFIFO:
		return Fifo
	case unix.S_IFSOCK:
		return Socket
	case unix.S_IFCHR, unix.S_IFBLK:
		return Device
	}
	return Other
}

// kindOfType is the kind a folder's listing gives; false when it gives none.
func kindOfType(typ byte) (Kind, bool) {
	if typ == unix.DT_UNKNOWN {
		return Other, false
	}
	return kindOfMode(uint16(typ) << 12), true
}

// openDir opens a folder in dir; "." reopens dir itself.
func openDir(dir int, name string) (int, error) {
	return openBeneath(dir, name, unix.O_DIRECTORY)
}

// openFile opens a regular file in dir. Should the name have become a pipe or a
// device since it was listed, opening cannot hang, and it is closed unread.
func openFile(dir int, name string) (*os.File, status, error) {
	fd, err := openBeneath(dir, name, 0)
	if err != nil {
		return nil, status{}, err
	}
	s, err := statFd(fd)
	if err == nil && s.kind != File {
		err = ErrSwapped
	}
	if err == nil {
		// Reads of a regular file must not come back empty-handed.
		err = unix.SetNonblock(fd, false)
	}
	if err != nil {
		unix.Close(fd)
		return nil, s, err
	}
	readAhead(fd, s.id.Size)
	// The name never reaches an error text: it may hold personal data.
	return os.NewFile(uintptr(fd), "source file"), s, nil
}

// openBeneath opens one name in dir for reading: nothing above dir, no link, no
// other filesystem, no waiting.
func openBeneath(dir int, name string, flags uint64) (int, error) {
	how := unix.OpenHow{
		Flags:   unix.O_RDONLY | unix.O_NONBLOCK | unix.O_CLOEXEC | unix.O_NOFOLLOW | unix.O_NOATIME | flags,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS | unix.RESOLVE_NO_XDEV,
	}
	fd := -1
	for wait := time.Millisecond; ; wait *= 2 {
		err := retry(func() (err error) { fd, err = unix.Openat2(dir, name, &how); return })
		switch {
		case err == nil:
			return fd, nil
		case err == unix.EPERM && how.Flags&unix.O_NOATIME != 0:
			how.Flags &^= unix.O_NOATIME // only for the owner, or with CAP_FOWNER
		case err == unix.EAGAIN && wait < time.Second:
			time.Sleep(wait) // a lease on it, such as Samba's, is being given up
		default:
			return -1, fmt.Errorf("opening: %w", err)
		}
	}
}

// readAhead has the kernel fetch a small file before anyone reads it, and a
// large one in long strides. Both are advice.
func readAhead(fd int, size int64) {
	advice := unix.FADV_SEQUENTIAL
	if size <= 1<<20 {
		advice = unix.FADV_WILLNEED
	}
	unix.Fadvise(fd, 0, 0, advice)
}

// ours reports a failure that says nothing of the file: this process or the
// machine ran out of something. It ends a walk.
func ours(err error) bool {
	for _, e := range []error{unix.EMFILE, unix.ENFILE, unix.ENOMEM} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

func retry(call func() error) error {
	for {
		if err := call(); err != unix.EINTR {
			return err
		}
	}
}

package drive

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"

	"golang.org/x/sys/unix"
)

// Mkdir makes a folder and those above it, each flushed.
func (d *Drive) Mkdir(name string) error {
	if name == "." {
		return nil
	}
	if f, err := d.open(name, unix.O_RDONLY|unix.O_DIRECTORY, 0); err == nil {
		return f.Close()
	} else if !errors.Is(err, fs.ErrNotExist) {
		return d.explain("writing", name, err)
	}
	if err := d.Mkdir(path.Dir(name)); err != nil {
		return err
	}
	parent, err := d.open(path.Dir(name), unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return d.explain("writing", name, err)
	}
	defer parent.Close()
	if err := unix.Mkdirat(int(parent.Fd()), path.Base(name), 0o755); err != nil && !errors.Is(err, unix.EEXIST) {
		return d.explain("writing", name, err)
	}
	return d.flush(parent, name)
}

// flush writes a folder's names to the medium.
func (d *Drive) flush(dir *os.File, name string) error {
	err := dir.Sync()
	// FUSE filesystems that cannot flush a folder write names through.
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) {
		return nil
	}
	return d.explain("writing", name, err)
}

func (d *Drive) unlink(name string) error {
	dir, err := d.open(path.Dir(name), unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return d.explain("writing", name, err)
	}
	defer dir.Close()
	if err := unix.Unlinkat(int(dir.Fd()), path.Base(name), 0); err != nil && !errors.Is(err, unix.ENOENT) {
		return d.explain("writing", name, err)
	}
	return nil
}

// Remove deletes an object, or a folder with what is in it, to a bounded depth:
// a bag has three levels. Nothing there is no error.
func (d *Drive) Remove(name string) error { return d.remove(name, 3) }

func (d *Drive) remove(name string, depth int) error {
	dir, err := d.open(name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil { // not a folder, or a link, which is removed and not followed
		return d.unlink(name)
	}
	entries, err := dir.ReadDir(-1)
	if err := errors.Join(err, dir.Close()); err != nil {
		return d.explain("writing", name, err)
	}
	for _, e := range entries {
		if depth == 0 {
			return fmt.Errorf("%q on the drive lies deeper than a bag", name)
		}
		if err := d.remove(path.Join(name, e.Name()), depth-1); err != nil {
			return err
		}
	}
	parent, err := d.open(path.Dir(name), unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return d.explain("writing", name, err)
	}
	defer parent.Close()
	if err := unix.Unlinkat(int(parent.Fd()), path.Base(name), unix.AT_REMOVEDIR); err != nil && !errors.Is(err, unix.ENOENT) {
		return d.explain("writing", name, err)
	}
	return d.flush(parent, name)
}

// Used is how many bytes of files a folder holds, two folders deep; 0 when
// there is no such folder. It is for estimates.
func (d *Drive) Used(name string) int64 { return d.used(name, 2) }

func (d *Drive) used(name string, depth int) (total int64) {
	dir, err := d.open(name, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return 0
	}
	defer dir.Close()
	entries, _ := dir.ReadDir(-1) // what is listed counts
	for _, e := range entries {
		if e.IsDir() && depth > 0 {
			total += d.used(path.Join(name, e.Name()), depth-1)
			continue
		}
		var st unix.Stat_t // DirEntry.Info would look below the working folder
		if e.Type().IsRegular() && unix.Fstatat(int(dir.Fd()), e.Name(), &st, unix.AT_SYMLINK_NOFOLLOW) == nil {
			total += st.Size
		}
	}
	return total
}

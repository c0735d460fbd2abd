package drive

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// readBack hashes an object as the medium holds it: O_DIRECT reads past the
// page cache. It reads at most limit+1 bytes.
//
// BUG: a filesystem without O_DIRECT is read after its cached pages were asked
// to go, which the kernel may decline.
func (d *Drive) readBack(ctx context.Context, name string, limit int64, progress func(int64)) (sum [32]byte, size int64, err error) {
	f, err := d.open(name, unix.O_RDONLY|unix.O_DIRECT, 0)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOTSUP) {
		if f, err = d.open(name, unix.O_RDONLY, 0); err == nil {
			_ = unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)
		}
	}
	if err != nil {
		return sum, 0, d.explain("reading back", name, err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil || !st.Mode().IsRegular() {
		return sum, 0, errors.Join(err, ErrReadBack)
	}
	hash := sha256.New()
	buf, free, err := aligned(4 << 20)
	if err != nil {
		return sum, 0, err
	}
	defer free()
	for size <= limit {
		if err := ctx.Err(); err != nil {
			return sum, size, err
		}
		n, err := readDirect(f, buf)
		hash.Write(buf[:n])
		size += int64(n)
		progress(int64(n))
		if err == io.EOF || err == nil && n == 0 {
			break
		}
		if err != nil {
			return sum, size, d.explain("reading back", name, err)
		}
	}
	hash.Sum(sum[:0])
	return sum, size, nil
}

// readDirect reads once: a short read at the end of the file must not be
// followed by one at an unaligned offset.
func readDirect(f *os.File, buf []byte) (int, error) {
	n, err := f.Read(buf)
	if err == nil && n%4096 != 0 {
		return n, io.EOF
	}
	return n, err
}

// aligned returns memory on a page boundary, as O_DIRECT needs.
func aligned(size int) ([]byte, func(), error) {
	buf, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return nil, nil, err
	}
	return buf, func() { _ = unix.Munmap(buf) }, nil
}

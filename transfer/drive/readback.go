package drive

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"

	"sekisho/transfer/durable"
)

// readBack hashes an object as the medium holds it, past the page cache. It
// stops soon after limit bytes.
//
// BUG: a filesystem without O_DIRECT is read after its cached pages were asked
// to go, which the kernel may decline.
func (d *Drive) readBack(ctx context.Context, name string, limit int64, progress func(int64)) (sum [32]byte, size int64, err error) {
	f, err := d.regular(name)
	if err != nil {
		return sum, 0, err
	}
	r, err := durable.NewReader(f)
	if err != nil {
		return sum, 0, errors.Join(err, f.Close())
	}
	defer r.Close()
	hash := sha256.New()
	buf := make([]byte, 256<<10)
	for size <= limit {
		if err := ctx.Err(); err != nil {
			return sum, size, err
		}
		n, err := r.Read(buf)
		hash.Write(buf[:n])
		size += int64(n)
		progress(int64(n))
		if err == io.EOF {
			break
		}
		if err != nil {
			return sum, size, d.explain("reading back", name, err)
		}
	}
	hash.Sum(sum[:0])
	return sum, size, nil
}

package source

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"slices"

	"golang.org/x/sys/unix"
)

// chunkSize is what the names of one folder grow by. A dirent record is
// shorter than 64 KiB by its own length field, so every name fits.
const chunkSize = 1 << 16

// names are the names of one folder, with the type the folder gives each.
// A name costs its length plus 7 bytes: 4 to find it, 1 type, 2 length.
type names struct {
	chunks [][]byte // records of type, length, name; none crosses a chunk
	order  []uint32 // chunk number << 16 | offset in the chunk
}

func (l *names) add(name []byte, typ byte) {
	need := 3 + len(name)
	last := len(l.chunks) - 1
	if last < 0 || len(l.chunks[last])+need > chunkSize {
		// A small folder costs little: the first chunk starts small.
		size := chunkSize
		if last < 0 {
			size = 1 << 10
		}
		l.chunks = append(l.chunks, make([]byte, 0, max(size, need)))
		last++
	}
	c := l.chunks[last]
	l.order = append(l.order, uint32(last)<<16|uint32(len(c)))
	c = append(c, typ)
	c = binary.NativeEndian.AppendUint16(c, uint16(len(name)))
	l.chunks[last] = append(c, name...)
}

func (l *names) at(ref uint32) (name []byte, typ byte) {
	r := l.chunks[ref>>16][ref&0xffff:]
	return r[3 : 3+binary.NativeEndian.Uint16(r[1:])], r[0]
}

// list reads the names of the open folder fd, in order and each once: a folder
// that changes meanwhile may show one name twice.
func list(ctx context.Context, fd, most int, buf []byte) (*names, error) {
	l := &names{}
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		n, err := unix.ReadDirent(fd, buf)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("listing: %w", err)
		}
		if n == 0 {
			break
		}
		if err := l.parse(buf[:n]); err != nil {
			return nil, err
		}
		if len(l.order) > most || len(l.chunks) > 1<<16 {
			return nil, ErrTooMany
		}
	}
	slices.SortFunc(l.order, func(a, b uint32) int {
		x, _ := l.at(a)
		y, _ := l.at(b)
		return bytes.Compare(x, y)
	})
	l.order = slices.CompactFunc(l.order, func(a, b uint32) bool {
		x, _ := l.at(a)
		y, _ := l.at(b)
		return bytes.Equal(x, y)
	})
	return l, nil
}

// parse adds the records of one getdents64 buffer: inode (8 bytes), offset (8),
// record length (2), type (1), name, NUL. Inode 0 is a file like any other.
func (l *names) parse(b []byte) error {
	const head = 19
	for len(b) > 0 {
		if len(b) < head {
			return errListing
		}
		size := int(binary.NativeEndian.Uint16(b[16:]))
		if size < head || size > len(b) {
			return errListing
		}
		name, typ := b[head:size], b[18]
		b = b[size:]
		end := bytes.IndexByte(name, 0)
		if end <= 0 {
			return errListing
		}
		switch name = name[:end]; {
		case string(name) == "." || string(name) == "..":
		case bytes.IndexByte(name, '/') >= 0:
			return errListing
		default:
			l.add(name, typ)
		}
	}
	return nil
}

var errListing = fmt.Errorf("listing: malformed record: %w", unix.EIO)

package scan

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
)

// headSize is how much of a blob's start is kept at hand, in bytes.
const headSize = 4096

// Blob is content that was read from its source exactly once and cannot change
// any more. Small content is a sealed memory file, large content an unlinked
// encrypted file. All methods but Close are safe for concurrent use; Close
// comes after the last reader is done.
type Blob struct {
	size    int64
	sum     [32]byte
	head    []byte
	memory  *os.File   // nil when on disk
	disk    *chunkFile // nil when in memory
	release func()
	closing sync.Once
	closed  error
}

// Size is the length of the content in bytes.
func (b *Blob) Size() int64 { return b.size }

// SHA256 is the hash of the content.
func (b *Blob) SHA256() [32]byte { return b.sum }

// Head is the start of the content, at most 4 KiB. The caller must not change it.
func (b *Blob) Head() []byte { return b.head }

// Memory returns the sealed memory file, or false when the content is too
// large to be in one. The blob keeps owning the file.
func (b *Blob) Memory() (*os.File, bool) { return b.memory, b.memory != nil }

// ReadAt implements io.ReaderAt.
func (b *Blob) ReadAt(p []byte, off int64) (int, error) {
	if b.memory != nil {
		return b.memory.ReadAt(p, off)
	}
	return b.disk.ReadAt(p, off)
}

// NewReader returns a reader of the whole content. Readers are independent of
// each other; one reader is for one goroutine.
func (b *Blob) NewReader() io.Reader {
	if b.memory != nil {
		return io.NewSectionReader(b.memory, 0, b.size)
	}
	return &chunkReader{file: b.disk}
}

// Close frees the content and its room. Further calls do nothing.
func (b *Blob) Close() error {
	b.closing.Do(func() {
		b.closed = b.closeFile()
		b.release()
	})
	return b.closed
}

func (b *Blob) closeFile() error {
	if b.memory != nil {
		return b.memory.Close()
	}
	return b.disk.Close()
}

func (b *Blob) write(part []byte) error {
	if b.memory == nil {
		return b.disk.append(part)
	}
	if _, err := b.memory.Write(part); err != nil {
		return fmt.Errorf("writing a memory file: %w", err)
	}
	return nil
}

// errContent means that the spool cannot give back what it took: the disk
// failed or was tampered with. That is no engine's fault.
var errContent = errors.New("content cannot be read back")

// window returns a sealed memory file with length bytes from off. The caller
// closes it.
func (b *Blob) window(off, length int64) (*os.File, error) {
	buf := make([]byte, length)
	if _, err := b.ReadAt(buf, off); err != nil {
		return nil, fmt.Errorf("%w: at %d: %w", errContent, off, err)
	}
	return memfdOf("window", buf)
}

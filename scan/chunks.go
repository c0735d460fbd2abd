package scan

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// chunkSize is the plaintext of one chunk in a spool file, in bytes.
const chunkSize = 1 << 20

// chunkFile is an unlinked file of AES-256-GCM chunks: chunk i stands at
// i*(chunkSize+tag) under nonce i, the last may be short. The key is random,
// used for this file only, and never leaves memory, so the disk holds no
// content, and a chunk that was changed or moved does not open. Truncation
// shows because the size is kept in memory.
//
// One goroutine writes, then any number read.
type chunkFile struct {
	file *os.File
	aead cipher.AEAD
	size int64
}

// chunkBuffers holds *[]byte with room for one sealed chunk.
var chunkBuffers = sync.Pool{New: func() any {
	b := make([]byte, chunkSize+16)
	return &b
}}

// newChunkFile creates an unlinked file in dir.
func newChunkFile(dir string) (*chunkFile, error) {
	key := make([]byte, 32)
	rand.Read(key) // never fails
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	clear(key)
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	f, err := createUnlinked(dir)
	if err != nil {
		return nil, fmt.Errorf("creating a spool file in %q: %w", dir, full(err))
	}
	return &chunkFile{file: f, aead: aead}, nil
}

// createUnlinked opens a file that has no name: O_TMPFILE where the file
// system has it, otherwise created and unlinked at once.
func createUnlinked(dir string) (*os.File, error) {
	f, err := os.OpenFile(dir, unix.O_TMPFILE|os.O_RDWR|unix.O_CLOEXEC|os.O_EXCL, 0o600)
	if err == nil {
		return f, nil
	}
	if !errors.Is(err, unix.EOPNOTSUPP) && !errors.Is(err, unix.EISDIR) {
		return nil, err
	}
	f, err = os.CreateTemp(dir, ".spool-*")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(f.Name()); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// nonce is unique per chunk; a key seals one file only.
func (c *chunkFile) nonce(index int64) []byte {
	n := make([]byte, 12)
	binary.BigEndian.PutUint64(n[4:], uint64(index))
	return n
}

// append seals the next chunk. Only the last may be shorter than chunkSize.
func (c *chunkFile) append(plain []byte) error {
	if c.size%chunkSize != 0 || len(plain) > chunkSize {
		return errors.New("writing a spool file: chunk out of line")
	}
	buf := chunkBuffers.Get().(*[]byte)
	defer chunkBuffers.Put(buf)
	index := c.size / chunkSize
	sealed := c.aead.Seal((*buf)[:0], c.nonce(index), plain, nil)
	if _, err := c.file.WriteAt(sealed, index*(chunkSize+int64(c.aead.Overhead()))); err != nil {
		return fmt.Errorf("writing a spool file: %w", full(err))
	}
	c.size += int64(len(plain))
	return nil
}

// ReadAt implements io.ReaderAt over the plaintext.
func (c *chunkFile) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, errors.New("reading a spool file: negative offset")
	}
	buf := chunkBuffers.Get().(*[]byte)
	defer chunkBuffers.Put(buf)
	n := 0
	for n < len(p) {
		if off >= c.size {
			return n, io.EOF
		}
		index := off / chunkSize
		plain, err := c.open(*buf, index)
		if err != nil {
			return n, err
		}
		m := copy(p[n:], plain[off%chunkSize:])
		n, off = n+m, off+int64(m)
	}
	return n, nil
}

// open decrypts chunk index into buf and returns its plaintext.
func (c *chunkFile) open(buf []byte, index int64) ([]byte, error) {
	length := min(chunkSize, c.size-index*chunkSize)
	sealed := buf[:length+int64(c.aead.Overhead())]
	if _, err := c.file.ReadAt(sealed, index*(chunkSize+int64(c.aead.Overhead()))); err != nil {
		return nil, fmt.Errorf("reading a spool file: %w", err)
	}
	plain, err := c.aead.Open(sealed[:0], c.nonce(index), sealed, nil)
	if err != nil {
		return nil, fmt.Errorf("reading a spool file, chunk %d: %w", index, err)
	}
	return plain, nil
}

func (c *chunkFile) Close() error { return c.file.Close() }

// chunkReader reads a chunkFile from its start, opening each chunk once.
type chunkReader struct {
	file *chunkFile
	next int64
	rest bytes.Reader
}

func (r *chunkReader) Read(p []byte) (int, error) {
	if r.rest.Len() == 0 {
		if r.next*chunkSize >= r.file.size {
			return 0, io.EOF
		}
		plain, err := r.file.open(make([]byte, chunkSize+r.file.aead.Overhead()), r.next)
		if err != nil {
			return 0, err
		}
		r.next++
		r.rest.Reset(plain)
	}
	return r.rest.Read(p)
}

// full marks an error that means the spool's disk has no room.
func full(err error) error {
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
		return fmt.Errorf("%w: %w", ErrSpoolFull, err)
	}
	return err
}

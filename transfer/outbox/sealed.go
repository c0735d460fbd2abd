package outbox

import (
	"crypto/sha256"
	"errors"
	"hash"
	"io"

	"filippo.io/age"

	"sekisho/transfer/durable"
	"sekisho/transfer/manifest"
)

const quarantineSuffix = ".tar.age"

// sealed is a file of ciphertext that is hashed as it is written.
type sealed struct {
	file *durable.File
	age  io.WriteCloser
	disk *durable.Writer
	hash hash.Hash
	size int64
}

func newSealed(path string, to []age.Recipient) (*sealed, error) {
	f, err := durable.Create(path, 0o600)
	if err != nil {
		return nil, err
	}
	s := &sealed{file: f, hash: sha256.New()}
	if s.disk, err = durable.NewWriter(f.File); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	if s.age, err = age.Encrypt(writerFunc(s.sink), to...); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func (s *sealed) sink(p []byte) (int, error) {
	s.hash.Write(p)
	s.size += int64(len(p))
	return s.disk.Write(p)
}

// finish ends the ciphertext; the file is complete but not yet on disk.
func (s *sealed) finish() error {
	if err := s.age.Close(); err != nil {
		return err
	}
	return s.disk.Close()
}

// close gives the file up unless it was committed.
func (s *sealed) close() error { return errors.Join(s.disk.Close(), s.file.Close()) }

func (s *sealed) sum() (h manifest.Hash) {
	s.hash.Sum(h[:0])
	return h
}

package outbox

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"filippo.io/age"

	"sekisho/transfer/durable"
	"sekisho/transfer/manifest"
)

// Origin identifies a file of the source as it was when it was read. When any of
// it differs, the file counts as another.
type Origin struct {
	Device, Inode uint64
	Size          int64 // bytes
	ModTime       int64 // nanoseconds since 1970
	Changed       int64 // nanoseconds since 1970
}

// Line is what the journal knows of one entry.
type Line struct {
	Entry  manifest.Entry `json:"entry"`
	Origin Origin         `json:"origin"`
	Rule   string         `json:"rule,omitempty"` // the exemption that was used
}

// part is the last line of a segment: the part whose entries it lists.
type part struct {
	SHA256 manifest.Hash `json:"sha256"` // of the ciphertext
	Bytes  int64         `json:"bytes"`  // of the ciphertext
	Whole  bool          `json:"whole"`  // the part ends where an entry ends
	End    bool          `json:"end"`    // it holds the tar's trailer: no part follows
}

type segmentLine struct {
	Line *Line `json:"line,omitempty"`
	Part *part `json:"part,omitempty"`
}

// segment writes the journal of one part, encrypted as it goes.
type segment struct {
	file *durable.File
	age  io.WriteCloser
	buf  *bufio.Writer
}

func newSegment(path string, to age.Recipient) (*segment, error) {
	f, err := durable.Create(path, 0o600)
	if err != nil {
		return nil, err
	}
	w, err := age.Encrypt(f, to)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &segment{file: f, age: w, buf: bufio.NewWriterSize(w, 64<<10)}, nil
}

func (s *segment) write(l segmentLine) error {
	data, err := json.Marshal(l)
	if err != nil {
		return err
	}
	_, err = s.buf.Write(append(data, '\n'))
	return err
}

func (s *segment) commit() error {
	if err := s.buf.Flush(); err != nil {
		return err
	}
	if err := s.age.Close(); err != nil {
		return err
	}
	return s.file.Commit()
}

func segmentName(n int) string { return fmt.Sprintf("%06d.age", n) }

// readSegment calls fn for each line and returns the part's record.
func (o *Outbox) readSegment(path string, fn func(*Line) error) (p *part, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	r, err := age.Decrypt(bufio.NewReaderSize(f, 128<<10), o.key)
	if err != nil {
		return nil, fmt.Errorf("reading the journal %q: %w", path, err)
	}
	dec := json.NewDecoder(r)
	for {
		var l segmentLine
		if err := dec.Decode(&l); err == io.EOF {
			break
		} else if err != nil {
			return nil, fmt.Errorf("reading the journal %q: %w", path, err)
		}
		switch {
		case p != nil || (l.Line == nil) == (l.Part == nil):
			return nil, fmt.Errorf("the journal %q is damaged", path)
		case l.Part != nil:
			p = l.Part
		case fn != nil:
			if err := fn(l.Line); err != nil {
				return nil, err
			}
		}
	}
	if p == nil {
		return nil, fmt.Errorf("the journal %q has no end", path)
	}
	return p, nil
}

// Lines calls fn for every line of the transfer's journal, in order.
func (o *Outbox) Lines(id string, fn func(*Line) error) error {
	return o.segments(id, func(int, *part) error { return nil }, fn)
}

// segments reads the segments 1, 2, … until one is missing.
func (o *Outbox) segments(id string, each func(n int, p *part) error, line func(*Line) error) error {
	for n := 1; ; n++ {
		p, err := o.readSegment(filepath.Join(o.path(id, "journal"), segmentName(n)), line)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err == nil {
			err = each(n, p)
		}
		if err != nil {
			return err
		}
	}
}

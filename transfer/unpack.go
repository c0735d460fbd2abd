package transfer

import (
	"bytes"
	"errors"
	"io"

	"sekisho/transfer/manifest"
)

// unpack goes through a bag's index and its tar stream side by side. Headers are
// made from the index and compared, so nothing of the stream is ever parsed. It
// calls each for every entry, in order, with the content of files that are
// carried; each reads it to its end and returns the digest it saw.
//
// open gives the plaintext of part n, asked for once each, in order.
func unpack(index *manifest.IndexReader, parts int, open func(n int) (io.ReadCloser, error),
	each func(e *manifest.Entry, content io.Reader) (manifest.Hash, error)) (err error) {
	s := &stream{parts: parts, open: open}
	defer func() { err = errors.Join(err, s.close()) }()
	for {
		e, err := index.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return malformedIn(manifest.Index, err)
		}
		if e.Carried() {
			if err := s.header(e); err != nil {
				return err
			}
		}
		if e.Type != manifest.File || !e.Carried() {
			if _, err := each(e, nil); err != nil {
				return err
			}
			continue
		}
		content := &io.LimitedReader{R: s, N: e.Size}
		sum, err := each(e, content)
		if err != nil {
			return err
		}
		if content.N != 0 || sum != *e.SHA256 {
			return refusef(Altered, manifest.PartName(s.part), "a file's content is not what the index says (line %d)", s.line)
		}
		if err := s.expect(make([]byte, manifest.Padding(e.Size)), "padding"); err != nil {
			return err
		}
	}
	return s.end()
}

// stream is the tar stream: the plaintexts of the parts, one after the other.
type stream struct {
	parts  int
	open   func(int) (io.ReadCloser, error)
	part   int
	offset int64
	cur    io.ReadCloser
	line   int // of carried entries, for messages without names
	buf    []byte
}

// Read goes on into the next part, as the content of a large file does.
func (s *stream) Read(p []byte) (int, error) {
	for {
		if s.cur != nil {
			n, err := s.cur.Read(p)
			s.offset += int64(n)
			if n > 0 || err != io.EOF {
				if err == io.EOF {
					err = nil // told at the next call
				}
				return n, err
			}
		}
		if s.part == s.parts {
			return 0, io.EOF
		}
		if err := s.next(); err != nil {
			return 0, err
		}
	}
}

func (s *stream) next() error {
	if err := s.close(); err != nil {
		return err
	}
	r, err := s.open(s.part + 1)
	if err != nil {
		return err
	}
	s.part, s.offset, s.cur = s.part+1, 0, r
	return nil
}

func (s *stream) close() error {
	if s.cur == nil {
		return nil
	}
	err := s.cur.Close()
	s.cur = nil
	return err
}

// header compares the bytes at the entry's place with the header it must have.
func (s *stream) header(e *manifest.Entry) error {
	s.line++
	want, err := manifest.Header(e)
	if err != nil {
		return refuse(Malformed, manifest.Index, err)
	}
	if e.Part == s.part+1 && e.Offset == 0 && s.part < s.parts {
		if err := s.drained(); err != nil {
			return err
		}
		if err := s.next(); err != nil {
			return err
		}
	}
	if e.Part != s.part || e.Offset != s.offset {
		return refusef(Malformed, manifest.Index, "line %d places a file at %d in part %d, the stream is at %d in part %d", s.line, e.Offset, e.Part, s.offset, s.part)
	}
	return s.expect(want, "header")
}

// drained says that the current part has no more bytes.
func (s *stream) drained() error {
	if s.cur == nil {
		return nil
	}
	var one [1]byte
	switch n, err := io.ReadFull(s.cur, one[:]); {
	case n > 0:
		return refusef(Malformed, manifest.PartName(s.part), "there is more in it than the index lists")
	case err != io.EOF:
		return err
	}
	return nil
}

// expect reads len(want) bytes and compares them.
func (s *stream) expect(want []byte, what string) error {
	if cap(s.buf) < len(want) {
		s.buf = make([]byte, len(want))
	}
	got := s.buf[:len(want)]
	if _, err := io.ReadFull(s, got); err == io.EOF && len(want) > 0 || err == io.ErrUnexpectedEOF {
		return refusef(Malformed, manifest.PartName(s.part), "it ends inside a %s", what)
	} else if err != nil && err != io.EOF {
		return err
	}
	if !bytes.Equal(got, want) {
		return refusef(Malformed, manifest.PartName(s.part), "a %s is not what the index says (line %d)", what, s.line)
	}
	return nil
}

// end checks the trailer, and that nothing follows it.
func (s *stream) end() error {
	if err := s.expect(manifest.Trailer, "trailer"); err != nil {
		return err
	}
	if s.part != s.parts {
		return refusef(Malformed, manifest.PartName(s.parts), "the tar stream ends in part %d of %d", s.part, s.parts)
	}
	return s.drained()
}

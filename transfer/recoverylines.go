package transfer

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"sekisho/transfer/manifest"
)

// lineWriter writes lines; its error sticks.
type lineWriter struct {
	w   *bufio.Writer
	err error
}

func newLineWriter(w io.Writer) *lineWriter { return &lineWriter{w: bufio.NewWriterSize(w, 64<<10)} }

func (l *lineWriter) line(v any) {
	data, err := marshalLine(v)
	if l.err == nil {
		l.err = err
	}
	if l.err == nil {
		_, l.err = l.w.Write(data)
	}
}

func (l *lineWriter) flush() error {
	if l.err != nil {
		return l.err
	}
	return l.w.Flush()
}

func marshalLine(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return b.Bytes(), err
}

// lineReader reads lines of bounded length, each in its canonical form.
type lineReader struct {
	s *bufio.Scanner
	n int
}

func newLineReader(r io.Reader, limit int) *lineReader {
	s := bufio.NewScanner(r)
	s.Buffer(make([]byte, 0, 8<<10), limit)
	s.Split(func(data []byte, atEOF bool) (int, []byte, error) {
		if i := bytes.IndexByte(data, '\n'); i >= 0 {
			return i + 1, data[:i+1], nil
		}
		if atEOF && len(data) > 0 {
			return 0, nil, errTornLine
		}
		return 0, nil, nil
	})
	return &lineReader{s: s}
}

// next returns the next line, valid until the call after; nil at the end.
func (l *lineReader) next() ([]byte, error) {
	l.n++
	if l.s.Scan() {
		return l.s.Bytes(), nil
	}
	if err := l.s.Err(); err != nil {
		if errors.Is(err, bufio.ErrTooLong) || errors.Is(err, errTornLine) {
			return nil, l.wrong(err.Error())
		}
		return nil, err
	}
	return nil, nil
}

func (l *lineReader) wrong(what string) error {
	return fmt.Errorf("%w: line %d: %s", ErrCheckFile, l.n, what)
}

// ErrCheckFile: the operator takes another file, or carries it again.
var ErrCheckFile = errors.New("not a file of a recovery check, or not as it was written")

var errTornLine = errors.New("the last line is cut off")

const notCanonical = "not in its canonical form"

// read takes the next line as v, a pointer to a zero value.
func (l *lineReader) read(v any) error {
	line, err := l.next()
	if err != nil {
		return err
	}
	if line == nil {
		return l.wrong("the file is cut off")
	}
	return l.parse(line, v)
}

func (l *lineReader) parse(line []byte, v any) error {
	if json.Unmarshal(line, v) != nil { // its errors quote what they read
		return l.wrong(notCanonical)
	}
	if again, err := marshalLine(v); err != nil || !bytes.Equal(again, line) {
		return l.wrong(notCanonical)
	}
	return nil
}

// head reads the first line.
func (l *lineReader) head(format string) (checkHead, error) {
	var h checkHead
	if err := l.read(&h); err != nil {
		return checkHead{}, err
	}
	if h.Format != format || !manifest.ValidName(h.Gate) || h.Time.Location() != time.UTC || h.Time.Nanosecond() != 0 {
		return checkHead{}, l.wrong("not the head of " + format)
	}
	return h, nil
}

// ended demands that nothing follows.
func (l *lineReader) ended() error {
	line, err := l.next()
	if line != nil {
		err = l.wrong("something follows the end")
	}
	return err
}

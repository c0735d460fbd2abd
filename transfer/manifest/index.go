package manifest

import (
	"bufio"
	"errors"
	"fmt"
	"io"
)

// indexHeader is the first line of an index. It names the transfer, so that the
// index of another night is not mistaken for this one's.
type indexHeader struct {
	Format   string `json:"format"`
	Transfer string `json:"transfer"`
}

const indexFormat = "sekisho-index/1"

// order holds what the lines so far demand of the next: tree order, every
// folder listed before what is in it, parts and offsets only growing. It needs
// memory only for the path to the current folder.
type order struct {
	last    Path
	folders []Path // the open folders, outermost first
	part    int
	offset  int64
}

func (o *order) next(e *Entry) error {
	if err := e.Check(); err != nil {
		return err
	}
	if o.last != "" && o.last.Compare(e.Path) >= 0 {
		return malformed("a path out of order or listed twice")
	}
	parent := e.Path.Parent()
	for len(o.folders) > 0 && o.folders[len(o.folders)-1] != parent {
		o.folders = o.folders[:len(o.folders)-1]
	}
	if parent != "" && len(o.folders) == 0 {
		return malformed("a path in a folder that is not listed")
	}
	if e.Carried() {
		// A part begins with a header, and headers follow one another.
		if e.Part < o.part || e.Part == o.part && e.Offset < o.offset || e.Part > o.part && e.Offset != 0 {
			return malformed("no header can be at %d in part %d", e.Offset, e.Part)
		}
		o.part, o.offset = e.Part, e.Offset+Block
	}
	if e.Type == Folder {
		o.folders = append(o.folders, e.Path)
	}
	o.last = e.Path
	return nil
}

// IndexWriter writes an index, line by line. It is not safe for concurrent use.
type IndexWriter struct {
	w     io.Writer
	order order
	lines int64 // entries, without the header
}

// NewIndexWriter writes the header line of transfer's index to w.
func NewIndexWriter(w io.Writer, transfer string) (*IndexWriter, error) {
	x := &IndexWriter{w: w}
	if err := x.line(indexHeader{indexFormat, transfer}); err != nil {
		return nil, err
	}
	return x, nil
}

// Write adds a line. An entry that no reader would accept is an error, and
// nothing of it is written; the index then ends before it.
func (x *IndexWriter) Write(e *Entry) error {
	x.lines++
	if err := x.order.next(e); err != nil {
		return fmt.Errorf("index line %d: %w", x.lines, err)
	}
	return x.line(e)
}

func (x *IndexWriter) line(v any) error {
	data, err := marshal(v)
	if err != nil {
		return err
	}
	if len(data) >= MaxLine {
		return malformed("a line of %d bytes", len(data))
	}
	_, err = x.w.Write(append(data, '\n'))
	return err
}

// IndexReader reads an index, line by line, and holds no more than one line and
// the path to the current folder. It is not safe for concurrent use.
type IndexReader struct {
	r     *bufio.Reader
	order order
	lines int64 // entries, without the header
}

// NewIndexReader checks the header line against transfer.
func NewIndexReader(r io.Reader, transfer string) (*IndexReader, error) {
	x := &IndexReader{r: bufio.NewReaderSize(r, MaxLine)}
	line, err := x.line()
	if err == io.EOF {
		return nil, malformed("an empty index")
	}
	if err != nil {
		return nil, fmt.Errorf("index header: %w", err)
	}
	var h indexHeader
	if err := parse(line, &h); err != nil {
		return nil, err
	}
	if h.Format != indexFormat || h.Transfer != transfer {
		return nil, malformed("%.80q of transfer %.80q instead of %q of %q", h.Format, h.Transfer, indexFormat, transfer)
	}
	return x, nil
}

// Next returns the next entry, or io.EOF after the last. After another error
// the index is not to be read on.
func (x *IndexReader) Next() (*Entry, error) {
	line, err := x.line()
	if err == io.EOF {
		return nil, err
	}
	x.lines++
	e := new(Entry)
	if err == nil {
		err = parse(line, e)
	}
	if err == nil {
		err = x.order.next(e)
	}
	if err != nil {
		return nil, fmt.Errorf("index line %d: %w", x.lines, err)
	}
	return e, nil
}

func (x *IndexReader) line() ([]byte, error) {
	line, err := x.r.ReadSlice('\n')
	switch {
	case err == nil:
		return line[:len(line)-1], nil
	case errors.Is(err, bufio.ErrBufferFull):
		return nil, malformed("a line of more than %d bytes", MaxLine)
	case err == io.EOF && len(line) > 0:
		return nil, malformed("the last line has no end")
	}
	return nil, err
}

package ledger

import (
	"bufio"
	"bytes"
	"errors"
	"io"
)

// lines calls fn for each line of b, newline included.
func lines(b []byte, fn func(line []byte)) {
	for len(b) > 0 {
		end := bytes.IndexByte(b, '\n') + 1
		fn(b[:end])
		b = b[end:]
	}
}

// errTorn: the file ends inside a line or block.
var errTorn = errors.New("torn")

// readLine returns the next line with its newline, valid until the next call;
// io.EOF at the end, errTorn when the file ends inside it, errRecord when it is
// longer than r's buffer.
func readLine(r *bufio.Reader) ([]byte, error) {
	line, err := r.ReadSlice('\n')
	switch {
	case err == nil:
		return line, nil
	case errors.Is(err, bufio.ErrBufferFull):
		return nil, errRecord
	case errors.Is(err, io.EOF) && len(line) > 0:
		return nil, errTorn
	}
	return nil, err
}

// readBlock returns the next block of the file of checkpoints: five lines, or
// six where a key hands over to the next. Its errors are readLine's.
func readBlock(r *bufio.Reader) ([]byte, error) {
	var block []byte
	for n := 0; n < 5 || n < 6 && another(r); n++ {
		line, err := readLine(r)
		if errors.Is(err, io.EOF) && len(block) > 0 {
			err = errTorn
		}
		if err != nil {
			return nil, err
		}
		block = append(block, line...)
	}
	return block, nil
}

// another says whether a signature line comes next. No block begins like one.
func another(r *bufio.Reader) bool {
	const begins = "— "
	b, _ := r.Peek(len(begins)) // at the end there is less, which is none
	return string(b) == begins
}

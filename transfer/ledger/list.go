package ledger

import (
	"bufio"
	"errors"
	"fmt"
	"io"
)

// List calls fn for each record from number from on, in order, reading as it
// goes, and returns fn's first error as it is. It works while a writer runs, up
// to the last whole record. It verifies nothing but the form: a *Fault names a
// line that is no record, or not the one of its place. Verify says whether the
// records are true.
func List(dir string, from int64, fn func(Record) error) error {
	return eachLine(dir, from, func(line []byte, number int64) error {
		r, err := ParseRecord(line)
		if err != nil {
			return &Fault{What: Malformed, First: number, Last: number, Detail: err.Error()}
		}
		if r.Number != number {
			return &Fault{What: Misplaced, First: number, Last: number, Detail: fmt.Sprintf("record %d stands in its place", r.Number)}
		}
		return fn(r)
	})
}

// Export writes the lines of the records numbered from ≤ number < to, for the
// mirror on the other side. It fails when there are fewer.
func Export(dir string, from, to int64, w io.Writer) error {
	number := from
	err := eachLine(dir, from, func(line []byte, _ int64) error {
		if number >= to {
			return io.EOF
		}
		number++
		_, err := w.Write(line)
		return err
	})
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if number < to {
		return fmt.Errorf("ledger has %d records, not %d", number, to)
	}
	return nil
}

// eachLine calls fn with each whole line from number from on.
func eachLine(dir string, from int64, fn func(line []byte, number int64) error) error {
	f, err := openRead(dir, recordsName)
	if err != nil {
		return err
	}
	defer f.Close()
	r := bufio.NewReaderSize(f, MaxLine)
	for number := int64(0); ; number++ {
		line, err := readLine(r)
		switch {
		case errors.Is(err, io.EOF) || errors.Is(err, errTorn):
			return nil
		case errors.Is(err, errRecord):
			return &Fault{What: Malformed, First: number, Last: number, Detail: err.Error()}
		case err != nil:
			return err
		}
		if number < from {
			continue
		}
		if err := fn(line, number); err != nil {
			return err
		}
	}
}

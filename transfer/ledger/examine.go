package ledger

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/mod/sumdb/tlog"
)

// state is what a folder's files hold, once they have been found to agree.
type state struct {
	tree        tree  // of the records the last checkpoint covers
	recordsEnd  int64 // bytes of records.jsonl they take
	historyEnd  int64 // bytes of the file of checkpoints
	checkpoints int64 // in it
	head        block // the last; its text is empty when there is none
	next        *next // an interrupted commit, or nil
}

// examination is one reading of a folder.
type examination struct {
	state
	keys    *ring
	records *bufio.Reader
	roots   map[int64]tlog.Hash // filled with the tree hash at each size that is a key
}

// examine reads the whole folder, without changing it, beside a writer or not.
//
// Why it may run beside one: a commit writes next, records.jsonl, checkpoints,
// and removes next. Here the length of records.jsonl is read first, next
// second, checkpoints last. So what lies beyond the last checkpoint within that
// length belongs to a commit that was under way all the time, and next was seen.
func examine(dir string, keys *ring, roots map[int64]tlog.Hash) (*state, error) {
	records, err := openRead(dir, recordsName)
	if err != nil {
		return nil, err
	}
	defer records.Close()
	history, err := openRead(dir, historyName)
	if err != nil {
		return nil, err
	}
	defer history.Close()
	rst, err := records.Stat()
	if err != nil {
		return nil, err
	}
	n, nextErr, err := readNext(dir, keys)
	if err != nil {
		return nil, err
	}
	hst, err := history.Stat()
	if err != nil {
		return nil, err
	}

	x := &examination{keys: keys, records: bufio.NewReaderSize(records, MaxLine), roots: roots}
	x.next = n
	err = x.run(bufio.NewReader(io.NewSectionReader(history, 0, hst.Size())))
	if err == nil && nextErr != nil {
		err = x.forged(fmt.Sprintf("the file %q: %v", nextName, nextErr))
	}
	if err == nil {
		err = x.checkTails(rst.Size()-x.recordsEnd, hst.Size()-x.historyEnd)
	}
	if err == nil {
		err = x.checkNext()
	}
	var fault *Fault
	if errors.As(err, &fault) {
		err = keys.earlier(history, fault)
	}
	if err != nil {
		return nil, err
	}
	return &x.state, nil
}

func openRead(dir, name string) (*os.File, error) {
	f, err := os.Open(filepath.Join(dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, gone(name)
	}
	return f, err
}

// run reads checkpoints and records side by side. What it found is in x, as far
// as it came; only the last checkpoint's signature has been verified.
func (x *examination) run(history *bufio.Reader) error {
	x.seen()
	for {
		text, err := readBlock(history)
		if errors.Is(err, io.EOF) || errors.Is(err, errTorn) {
			break // checkTails looks at what is left
		}
		if errors.Is(err, errRecord) {
			return x.forged(errCheckpoint.Error())
		}
		if err != nil {
			return fmt.Errorf("reading checkpoints: %w", err)
		}
		b, err := x.keys.parseBlock(text)
		if err != nil {
			return x.forged(err.Error())
		}
		if x.halfOf(b) {
			break
		}
		if x.checkpoints > 0 && b.Size <= x.tree.size {
			return x.forged(fmt.Sprintf("a checkpoint over %d records follows one over %d", b.Size, x.tree.size))
		}
		if b.from < x.head.to {
			return x.forged("by a key that had handed over")
		}
		from := x.tree.size
		if err := x.readTo(b.Size); err != nil {
			return err
		}
		if x.tree.root() != b.Root {
			return &Fault{What: Altered, First: from, Last: max(from, b.Size-1),
				Detail: fmt.Sprintf("not what the checkpoint over %d records covers", b.Size)}
		}
		x.checkpoints++
		x.historyEnd += int64(len(text))
		x.head = b
	}
	if len(x.head.text) > 0 {
		if _, err := x.keys.open(x.head.text); err != nil {
			return x.forged(err.Error())
		}
	}
	return nil
}

// halfOf says whether the block is one with two signatures whose writing was
// interrupted between them: as it stands, nobody was handed over to.
func (x *examination) halfOf(b block) bool {
	return x.next != nil && len(b.text) < len(x.next.block.text) && bytes.HasPrefix(x.next.block.text, b.text)
}

func (x *examination) forged(detail string) *Fault {
	return &Fault{What: Forged, First: x.tree.size, Last: x.tree.size, Detail: "its checkpoint: " + detail}
}

// readTo reads records until there are size of them.
func (x *examination) readTo(size int64) error {
	for x.tree.size < size {
		at := x.tree.size
		line, err := readLine(x.records)
		switch {
		case errors.Is(err, io.EOF):
			return &Fault{What: Missing, First: at, Last: size - 1, Detail: fmt.Sprintf("a checkpoint covers %d records", size)}
		case errors.Is(err, errTorn) || errors.Is(err, errRecord):
			return &Fault{What: Malformed, First: at, Last: at, Detail: err.Error()}
		case err != nil:
			return fmt.Errorf("reading record %d: %w", at, err)
		}
		r, err := ParseRecord(line)
		if err != nil {
			return &Fault{What: Malformed, First: at, Last: at, Detail: err.Error()}
		}
		if r.Number != at {
			return &Fault{What: Misplaced, First: at, Last: at, Detail: fmt.Sprintf("record %d stands in its place", r.Number)}
		}
		x.tree.add(line)
		x.recordsEnd += int64(len(line))
		x.seen()
	}
	return nil
}

// seen notes the tree hash when someone asked for it at this size.
func (x *examination) seen() {
	if _, ok := x.roots[x.tree.size]; ok {
		x.roots[x.tree.size] = x.tree.root()
	}
}

// checkTails looks at the bytes beyond the last checkpoint's. Only an
// interrupted commit may have left some, and no more than it was to write.
func (x *examination) checkTails(records, history int64) error {
	n := x.next
	if n != nil && n.first != x.tree.size {
		n = nil
	}
	if records > 0 && (n == nil || records > int64(len(n.lines))) {
		return &Fault{What: Unsigned, First: x.tree.size, Last: x.tree.size,
			Detail: "no checkpoint covers what follows the record before"}
	}
	if history > 0 && (n == nil || history > int64(len(n.block.text))) {
		f := x.forged("incomplete")
		f.cause = errTorn
		return f
	}
	return nil
}

// checkNext checks that an interrupted commit continues the ledger. One that is
// in place already was only not cleaned away.
func (x *examination) checkNext() error {
	n := x.next
	switch {
	case n == nil || n.block.Size <= x.tree.size:
		return nil
	case n.first > x.tree.size:
		return &Fault{What: Missing, First: x.tree.size, Last: n.first - 1, Detail: "an interrupted step follows them"}
	case n.first < x.tree.size:
		return x.forged("an interrupted step does not begin where the ledger ends")
	}
	n.tree = x.tree.clone()
	lines(n.lines, n.tree.add)
	if n.tree.root() != n.block.Root {
		return &Fault{What: Altered, First: 0, Last: x.tree.size, Detail: "an interrupted step does not continue the records"}
	}
	return nil
}

// earlier returns found, or the fault of the first checkpoint that no key
// signed when that lies before it: whoever alters a record without the key
// can make the checkpoints fit it, but not sign them.
func (r *ring) earlier(history io.ReaderAt, found *Fault) error {
	blocks := bufio.NewReader(io.NewSectionReader(history, 0, 1<<62))
	size, last := int64(0), int64(-1)
	for size <= found.First {
		text, err := readBlock(blocks)
		if err != nil {
			break
		}
		b, err := r.open(text)
		if err != nil {
			if b, perr := r.parseBlock(text); perr == nil {
				last = b.Size - 1
			}
			return &Fault{What: Forged, First: size, Last: max(size, last), Detail: err.Error()}
		}
		size = b.Size
	}
	return found
}

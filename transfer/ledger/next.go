package ledger

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// next is one commit: record lines, and the checkpoint that covers them.
type next struct {
	first int64 // number of its first record
	lines []byte
	block block
	tree  tree // after it; set when it continues the ledger
}

// readNext reads an interrupted commit, nil when there is none. Its signature
// holds; that it continues the ledger is for the caller to see. bad says what is
// wrong with its content, err why it could not be read.
func readNext(dir string, r *ring) (n *next, bad, err error) {
	file, err := os.Open(filepath.Join(dir, nextName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	defer file.Close()
	b, err := io.ReadAll(io.LimitReader(file, maxNext+1))
	if err != nil {
		return nil, nil, err
	}
	n, bad = parseNext(b, r)
	return n, bad, nil
}

// parseNext: one or more record lines, numbered in sequence, then a block.
func parseNext(b []byte, keys *ring) (*next, error) {
	if len(b) > maxNext {
		return nil, errRecord
	}
	n := &next{first: -1}
	count := int64(0)
	rest := b
	for bytes.HasPrefix(rest, []byte("{")) {
		end := bytes.IndexByte(rest, '\n') + 1
		r, err := ParseRecord(rest[:end])
		if err != nil {
			return nil, err
		}
		if count == 0 {
			n.first = r.Number
		}
		if r.Number != n.first+count {
			return nil, errRecord
		}
		count++
		rest = rest[end:]
	}
	signed, err := keys.open(rest)
	if err != nil {
		return nil, err
	}
	if count == 0 || signed.Size != n.first+count || !bytes.Equal(signed.text, rest) {
		return nil, errCheckpoint
	}
	n.lines, n.block = b[:len(b)-len(rest)], signed
	return n, nil
}

package ledger

import "golang.org/x/mod/sumdb/tlog"

// tree computes RFC 6962 tree hashes while records pass by, in memory of one
// hash per bit of their number: full[l] is the newest complete subtree of 2^l
// records, and counts when bit l of size is set.
type tree struct {
	size int64
	full []tlog.Hash
}

// add appends a record's canonical line, newline included.
func (t *tree) add(line []byte) {
	h := tlog.RecordHash(line)
	l := 0
	for ; t.size>>l&1 == 1; l++ {
		h = tlog.NodeHash(t.full[l], h)
	}
	if l == len(t.full) {
		t.full = append(t.full, h)
	} else {
		t.full[l] = h
	}
	t.size++
}

// root is the tree hash of what was added.
func (t *tree) root() tlog.Hash {
	if t.size == 0 {
		h, _ := tlog.TreeHash(0, nil) // of nothing: a constant
		return h
	}
	var h tlog.Hash
	first := true
	for l := range t.full {
		switch {
		case t.size>>l&1 == 0:
		case first:
			h, first = t.full[l], false
		default:
			h = tlog.NodeHash(t.full[l], h)
		}
	}
	return h
}

func (t *tree) clone() tree {
	return tree{t.size, append([]tlog.Hash(nil), t.full...)}
}

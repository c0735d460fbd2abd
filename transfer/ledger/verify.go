package ledger

import (
	"cmp"
	"crypto"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/mod/sumdb/tlog"
)

// Report is what Verify found to be true of a ledger.
type Report struct {
	Head        Checkpoint // signed by the ledger's key, over every record
	Signed      []byte     // the same as a signed note
	Checkpoints int64      // kept on disk, the head included
	// Interrupted: one more commit was signed but is not in place. It is
	// under way, or a crash came between, and the next Open completes it.
	Interrupted bool
}

// Verify reads the whole ledger and checks that it is what its key signed, and
// that each expected checkpoint, a signed note that another party holds, is one
// of its past. It writes nothing and works while a writer runs. A *Fault names
// the first record concerned. An expected checkpoint that this ledger's key did
// not sign is another error.
//
// The files alone cannot show that all of them were put back together to an
// earlier state: that is what expect is for.
func Verify(dir, origin string, pub crypto.PublicKey, expect ...[]byte) (*Report, error) {
	return Keyring{pub}.Verify(dir, origin, expect...)
}

// Keyring is the keys that a ledger had, oldest first; the last is its own now.
type Keyring []crypto.PublicKey

// Verify is as the function of that name, for a ledger whose key was replaced.
// The head must be by the last key: what an old one signs when its time is over
// is forged. Expected checkpoints may be by any of them.
func (k Keyring) Verify(dir, origin string, expect ...[]byte) (*Report, error) {
	keys, err := newRing(origin, k...)
	if err != nil {
		return nil, err
	}
	var held []Checkpoint
	for i, signed := range expect {
		b, err := keys.open(signed)
		if err != nil {
			return nil, fmt.Errorf("expected checkpoint %d: %w", i, err)
		}
		held = append(held, b.Checkpoint)
	}
	slices.SortFunc(held, func(a, b Checkpoint) int { return cmp.Compare(a.Size, b.Size) })
	roots := map[int64]tlog.Hash{}
	for _, c := range held {
		roots[c.Size] = tlog.Hash{}
	}
	s, err := examine(dir, keys, roots)
	// A writer may be in the middle of a checkpoint: look again.
	for try := 0; errors.Is(err, errTorn) && try < 10; try++ {
		time.Sleep(2 * time.Millisecond)
		s, err = examine(dir, keys, roots)
	}
	if err != nil {
		return nil, err
	}
	if len(s.head.text) == 0 {
		return nil, &Fault{What: Headless, Detail: "there is no checkpoint"}
	}
	interrupted := s.next != nil && s.next.first == s.tree.size
	if !interrupted || s.next.block.to != keys.newest() {
		if err := s.signedBy(keys.newest()); err != nil {
			return nil, err
		}
	}
	if err := s.include(held, roots); err != nil {
		return nil, err
	}
	return &Report{s.head.Checkpoint, s.head.text, s.checkpoints, interrupted}, nil
}

// include checks that the checkpoints held elsewhere, by size, are of s's past.
func (s *state) include(held []Checkpoint, roots map[int64]tlog.Hash) error {
	same := int64(0) // records that are as another party saw them
	for _, c := range held {
		if c.Size > s.tree.size {
			return &Fault{What: RolledBack, First: s.tree.size, Last: c.Size - 1,
				Detail: fmt.Sprintf("the ledger ends before, but a checkpoint over %d records is held elsewhere", c.Size)}
		}
		if roots[c.Size] != c.Root {
			return &Fault{What: Forked, First: same, Last: max(same, c.Size-1),
				Detail: fmt.Sprintf("not what a checkpoint over %d records that is held elsewhere covers", c.Size)}
		}
		same = c.Size
	}
	return nil
}

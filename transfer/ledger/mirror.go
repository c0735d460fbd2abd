package ledger

import (
	"bytes"
	"crypto"
	"errors"
	"fmt"
	"slices"
	"sync"

	"golang.org/x/mod/sumdb/tlog"
)

// Mirror is a copy of another party's ledger, kept so that the other cannot
// change its past unseen. Its folder is that of a ledger with fewer checkpoints,
// and List and Verify work on it. Its methods may be called concurrently.
type Mirror struct {
	keys *ring

	mu sync.Mutex
	f  *files
}

// OpenMirror opens the mirror in dir of the ledger origin, whose key is pub, or
// begins an empty one. Otherwise it is as Open. The mirror may have seen nothing
// yet since an earlier key was replaced; once it has, that key's word is over.
func OpenMirror(dir, origin string, pub crypto.PublicKey, earlier ...crypto.PublicKey) (*Mirror, error) {
	keys, err := newRing(origin, append(slices.Clone(earlier), pub)...)
	if err != nil {
		return nil, err
	}
	f, err := openExamined(dir, keys, nil)
	if err != nil {
		return nil, err
	}
	return &Mirror{keys: keys, f: f}, nil
}

// Extend takes over records that the other party sent, as Export wrote them,
// with the checkpoint that covers them and all before. Records the mirror has
// are compared with its own, so sending more than is new is how a change is
// found and named. Everything is on disk when Extend returns; on a *Fault
// nothing was taken over, and the fault is in what was sent.
func (m *Mirror) Extend(sent, checkpoint []byte) error {
	c, err := m.keys.open(checkpoint)
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	fresh, err := m.compare(sent)
	if err != nil {
		return err
	}
	if c.Size <= m.f.tree.size && len(fresh) == 0 {
		return m.past(c.Checkpoint)
	}
	if c.from < m.f.head.to {
		return &Fault{What: Forged, First: m.f.tree.size, Last: max(m.f.tree.size, c.Size-1), Detail: "its checkpoint: by a key that had handed over"}
	}
	n := &next{first: m.f.tree.size, lines: fresh, block: c, tree: m.f.tree.clone()}
	lines(fresh, n.tree.add)
	switch {
	case n.tree.size < c.Size:
		return &Fault{What: Missing, First: n.tree.size, Last: c.Size - 1, Detail: "covered by the checkpoint, but not sent"}
	case n.tree.size > c.Size:
		return &Fault{What: Unsigned, First: c.Size, Last: n.tree.size - 1, Detail: "sent, but not covered by the checkpoint"}
	}
	if n.tree.root() != c.Root {
		return &Fault{What: Forked, First: 0, Last: c.Size - 1, Detail: "mirror and new records together are not what the checkpoint covers"}
	}
	if err := m.f.commit(n); err != nil {
		return fmt.Errorf("extending mirror: %w", err)
	}
	return nil
}

// compare returns the lines of sent that follow the mirror's, after comparing
// the others with the mirror's own.
func (m *Mirror) compare(sent []byte) (fresh []byte, err error) {
	if len(sent) == 0 {
		return nil, nil
	}
	if sent[len(sent)-1] != '\n' {
		return nil, errRecord
	}
	first, number := int64(-1), int64(-1)
	overlap := 0 // bytes of sent that the mirror has
	lines(sent, func(line []byte) {
		r, perr := ParseRecord(line)
		switch {
		case err != nil:
			return
		case perr != nil:
			err = &Fault{What: Malformed, First: number + 1, Last: number + 1, Detail: perr.Error()}
			return
		case first < 0:
			first, number = r.Number, r.Number-1
		}
		if number++; r.Number != number {
			err = &Fault{What: Misplaced, First: number, Last: number, Detail: fmt.Sprintf("record %d was sent in its place", r.Number)}
		}
		if number < m.f.tree.size {
			overlap += len(line)
		}
	})
	if err != nil {
		return nil, err
	}
	if first > m.f.tree.size {
		return nil, &Fault{What: Missing, First: m.f.tree.size, Last: first - 1, Detail: "were not sent"}
	}
	if overlap == 0 {
		return sent, nil
	}
	rest := sent[:overlap]
	err = eachLine(m.f.dir, first, func(line []byte, number int64) error {
		end := bytes.IndexByte(rest, '\n') + 1
		if end == 0 {
			return errEnough
		}
		if !bytes.Equal(rest[:end], line) {
			return &Fault{What: Altered, First: number, Last: number, Detail: "not as it was sent before"}
		}
		rest = rest[end:]
		return nil
	})
	if err != nil && !errors.Is(err, errEnough) {
		return nil, err
	}
	return sent[overlap:], nil
}

var errEnough = errors.New("enough")

// past checks that c is a checkpoint of what the mirror has.
func (m *Mirror) past(c Checkpoint) error {
	roots := map[int64]tlog.Hash{c.Size: {}}
	s, err := examine(m.f.dir, m.keys, roots)
	if err != nil {
		return err
	}
	return s.include([]Checkpoint{c}, roots)
}

// Checkpoint returns the signed note over all records, nil when there are none.
func (m *Mirror) Checkpoint() []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	return bytes.Clone(m.f.head.text)
}

// Size returns the number of records.
func (m *Mirror) Size() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.f.tree.size
}

// Close gives the mirror up.
func (m *Mirror) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.f.Close()
}

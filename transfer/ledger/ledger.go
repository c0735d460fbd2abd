// Package ledger is an append-only record of what happened, with a signed
// checkpoint after every record: what was written cannot be edited, removed,
// reordered or added to without the key, or the change is found and named.
//
// A ledger is a folder; FORMAT.md specifies it. records.jsonl is the truth, one
// canonical line of JSON per record. checkpoints is the history of signed notes
// (C2SP tlog-checkpoint) over its tree hashes. next exists only while a commit
// is under way, and is how an interrupted one is completed without ever
// accepting or dropping a byte that is not proven by a signature.
//
// It is not the log of a program: it holds no personal data, no names of files,
// and nothing that is not worth keeping for years. It does not show that the
// whole folder was put back to an earlier day; a checkpoint held by another
// party does, see [Verify], and so does a [Mirror] there.
package ledger

import (
	"bytes"
	"crypto"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// Log is a ledger open for appending. One process has it at a time. Its methods
// may be called concurrently.
type Log struct {
	signer *signer

	mu sync.Mutex
	f  *files
}

// Open opens the ledger in dir, or begins one where there is no file of any,
// under origin, its name for ever, such as "sekisho/kiosk/k3". key is ECDSA
// P-256; it signs each checkpoint and may live in a TPM. A ledger has one key at
// a time; earlier are those that it had before, oldest first, see [Rotate].
//
// The whole ledger is verified first; a *Fault is damage, and nothing is
// written. A commit that a crash interrupted is completed. When another process
// has it open, the error is a *durable.HeldError.
func Open(dir, origin string, key crypto.Signer, earlier ...crypto.PublicKey) (*Log, error) {
	l, keys, err := open(dir, origin, key, earlier)
	if err != nil {
		return nil, err
	}
	if err := l.f.signedBy(keys.newest()); err != nil {
		return nil, errors.Join(err, l.f.Close())
	}
	return l, nil
}

// open opens the ledger, whichever of the keys it is with.
func open(dir, origin string, key crypto.Signer, earlier []crypto.PublicKey) (*Log, *ring, error) {
	keys, err := newRing(origin, append(slices.Clone(earlier), key.Public())...)
	if err != nil {
		return nil, nil, err
	}
	s := &signer{keys.keys[keys.newest()], key}
	var t tree
	begin, err := Checkpoint{origin, 0, t.root()}.sign(s)
	if err != nil {
		return nil, nil, err
	}
	f, err := openExamined(dir, keys, begin)
	if err != nil {
		return nil, nil, err
	}
	if len(f.head.text) == 0 {
		return nil, nil, errors.Join(&Fault{What: Headless, Detail: "there is no checkpoint"}, f.Close())
	}
	return &Log{signer: s, f: f}, keys, nil
}

// signedBy demands that the key at that place of the ring signed the head.
func (s *state) signedBy(place int) error {
	if s.head.to != place {
		return &Fault{What: Forged, First: max(0, s.tree.size-1), Last: max(0, s.tree.size-1),
			Detail: "its checkpoint: by a key that was replaced since"}
	}
	return nil
}

// Append adds r, whose Number it sets, and returns its number. r and the
// checkpoint over it are on disk then. An event this version does not know, or
// a record that cannot be marshaled, changes nothing. After any other error r
// may or may not be there once the ledger is opened again, and this Log refuses
// further records: compare the sizes before appending r a second time.
func (l *Log) Append(r Record) (number int64, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	place := l.f.head.to
	return l.append(r, place, place, l.signer)
}

// append commits r under a checkpoint by these signers, whose places in the ring
// are from and to.
func (l *Log) append(r Record, from, to int, by ...*signer) (number int64, err error) {
	if !r.Event.Known() {
		return 0, fmt.Errorf("event %q is not one of this version", string(r.Event))
	}
	if r.Time.IsZero() {
		r.Time = time.Now()
	}
	r.Time = r.Time.UTC().Truncate(time.Millisecond)
	r.Number = l.f.tree.size
	line, err := r.Marshal()
	if err != nil {
		return 0, err
	}
	t := l.f.tree.clone()
	t.add(line)
	c := Checkpoint{l.signer.name, t.size, t.root()}
	text, err := c.sign(by...)
	if err != nil {
		return 0, err
	}
	if err := l.f.commit(&next{first: r.Number, lines: line, block: block{c, text, from, to}, tree: t}); err != nil {
		return 0, fmt.Errorf("writing record %d: %w", r.Number, err)
	}
	return r.Number, nil
}

// Checkpoint returns the signed note over all records, for others to hold.
func (l *Log) Checkpoint() []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	return bytes.Clone(l.f.head.text)
}

// Size returns the number of records.
func (l *Log) Size() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.f.tree.size
}

// Close gives the ledger up.
func (l *Log) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.f.Close()
}

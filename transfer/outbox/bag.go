package outbox

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"sekisho/transfer/durable"
	"sekisho/transfer/manifest"
)

// Bag is a complete bag and what became of it.
type Bag struct {
	Plan Plan `json:"plan"`
	// Statement holds everything that is known before a drive and a counter
	// are; a seal fills in the rest.
	Statement manifest.Statement `json:"statement"`
	// Held is the reason, of the closed list, why this bag waits for IT and is
	// not to be carried; empty when it may go.
	Held string `json:"held,omitempty"`

	Written []Written `json:"-"` // the drives it was sealed for, oldest first
	Settled bool      `json:"-"` // a receipt has accepted it
	Dropped bool      `json:"-"` // it was given up: superseded while held, or discarded
	Damaged bool      `json:"-"` // its files are not what was prepared

	outbox *Outbox
}

// Written is one sealed copy of a bag on a drive.
type Written struct {
	Counter uint64    `json:"counter"`
	Drive   string    `json:"drive"` // the drive's random id
	Staff   string    `json:"staff,omitempty"`
	Time    time.Time `json:"time"`
}

// Bag opens a complete bag. The error is fs.ErrNotExist when there is none, or
// when it is still a draft.
func (o *Outbox) Bag(id string) (*Bag, error) {
	if !manifest.ValidID(id) {
		return nil, fmt.Errorf("transfer %q: %w", id, fs.ErrNotExist)
	}
	b := &Bag{outbox: o}
	if err := readJSON(o.path(id, "ready.json"), b); err != nil {
		return nil, err
	}
	writes, err := filepath.Glob(o.path(id, "write-*.json"))
	if err != nil {
		return nil, err
	}
	for _, path := range writes { // names are zero-padded, so Glob's order is the counter's
		var w Written
		if err := readJSON(path, &w); err != nil {
			return nil, err
		}
		b.Written = append(b.Written, w)
	}
	if _, err = os.Lstat(o.path(id, "dropped")); err == nil {
		b.Dropped = true
	}
	if _, err = os.Lstat(o.path(id, "damaged")); err == nil {
		b.Damaged = true
	}
	_, err = os.Lstat(o.path(id, "receipt.dsse.json"))
	b.Settled = err == nil
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return b, nil
}

// ID is the transfer's id.
func (b *Bag) ID() string { return b.Statement.Transfer }

// Dir is the folder with the bag's files, as they go to a drive.
func (b *Bag) Dir() string { return b.outbox.path(b.ID(), "bag") }

// Due says whether the bag waits for a drive.
func (b *Bag) Due() bool {
	return b.Held == "" && len(b.Written) == 0 && !b.Settled && !b.Dropped && !b.Damaged
}

// AddWrite records a sealed copy; it is on disk when the call returns.
func (b *Bag) AddWrite(w Written) error {
	data, err := marshalJSON(w)
	if err != nil {
		return err
	}
	path := b.outbox.path(b.ID(), fmt.Sprintf("write-%020d.json", w.Counter))
	if err := durable.WriteNew(path, data, 0o600); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("recording the write: %w", err)
	}
	b.Written = append(b.Written, w)
	return nil
}

// Settle keeps the receipt's envelope and frees the disk: parts, index and
// journal go, the records and the quarantine stay. The caller has verified that
// the receipt accepts this bag. Settling twice is no error.
func (b *Bag) Settle(envelope []byte) error {
	path := b.outbox.path(b.ID(), "receipt.dsse.json")
	if err := durable.WriteNew(path, envelope, 0o600); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("keeping the receipt: %w", err)
	}
	b.Settled = true
	return b.free()
}

// SetDamaged records that the bag cannot be written any more. What is left of it
// stays for IT.
func (b *Bag) SetDamaged() error {
	b.Damaged = true
	return b.mark("damaged")
}

func (b *Bag) mark(name string) error {
	if err := durable.WriteNew(b.outbox.path(b.ID(), name), nil, 0o600); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("marking the bag as %s: %w", name, err)
	}
	return nil
}

// Drop gives a bag up and frees its disk; its records and its quarantine stay.
// It is for a held bag that another took the place of, and for IT's decision.
func (b *Bag) Drop() error {
	if err := b.mark("dropped"); err != nil {
		return err
	}
	b.Dropped = true
	return b.free()
}

// OnDisk says whether the bag still takes room: a crash may have come between
// giving it up and freeing it.
func (b *Bag) OnDisk() bool {
	_, err := os.Lstat(b.Dir())
	return err == nil
}

func (b *Bag) free() error {
	return errors.Join(
		durable.Remove(b.outbox.path(b.ID(), "bag")),
		durable.Remove(b.outbox.path(b.ID(), "journal")))
}

// Find returns the bag whose sealed payload has that digest, nil when the
// outbox has none.
func (o *Outbox) Find(payload manifest.Hash) (*Bag, error) {
	bags, err := o.Bags()
	if err != nil {
		return nil, err
	}
	for _, b := range bags {
		if b.Statement.Payload == payload {
			return b, nil
		}
	}
	return nil, nil
}

// Quarantine is where what was left out of a transfer lies, "" when nothing was.
func (b *Bag) Quarantine() string {
	dir := b.outbox.quarantine(b.ID())
	if files, err := filepath.Glob(filepath.Join(dir, "*"+quarantineSuffix)); err != nil || len(files) == 0 {
		return ""
	}
	return dir
}

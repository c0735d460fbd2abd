package outbox

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"sekisho/transfer/durable"
	"sekisho/transfer/manifest"
)

// Chain is what the next seal must continue. Every statement names the hash of
// the one before and explains each counter value between them.
type Chain struct {
	Counter  uint64         `json:"counter"`            // of the last seal, or of the enrolment
	Previous *manifest.Hash `json:"previous,omitempty"` // SHA-256 of the last sealed statement
	Pending  *Pending       `json:"pending,omitempty"`
}

// Pending is a seal that was begun. It is on disk before the counter moves, so
// that a crash in between finishes the same statement or explains the gap.
type Pending struct {
	Transfer  string `json:"transfer"`
	Drive     string `json:"drive"`
	Counter   uint64 `json:"counter"`   // the value the statement was written for
	Statement []byte `json:"statement"` // its canonical bytes
}

// Chain reads the chain; the zero Chain when nothing was sealed yet.
func (o *Outbox) Chain() (*Chain, error) {
	c := new(Chain)
	err := readJSON(filepath.Join(o.dir, "chain.json"), c)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("reading the chain of seals: %w", err)
	}
	return c, nil
}

// SetChain writes the chain; it is on disk when the call returns.
func (o *Outbox) SetChain(c *Chain) error {
	data, err := marshalJSON(c)
	if err != nil {
		return err
	}
	return durable.Replace(filepath.Join(o.dir, "chain.json"), data, 0o600)
}

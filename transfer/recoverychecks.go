package transfer

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"sekisho/transfer/durable"
	"sekisho/transfer/manifest"
	"sekisho/transfer/vault"
)

// RecoveryChecks says which generations the recovery key was tried on. It is kept
// in one file, which is only a memory: without it everything is checked again.
type RecoveryChecks struct {
	Format      string               `json:"format"`      // "sekisho-recovery-checks/1"
	Last        time.Time            `json:"last"`        // when the key was tried last; zero: never
	Generations map[string]time.Time `json:"generations"` // that were opened whole, and when
}

const checksFormat = "sekisho-recovery-checks/1"

// ReadRecoveryChecks reads the file at path; when there is none, nothing was
// checked.
func ReadRecoveryChecks(path string) (*RecoveryChecks, error) {
	c := &RecoveryChecks{Format: checksFormat, Generations: make(map[string]time.Time)}
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return c, nil
	}
	if err != nil {
		return nil, err
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(c); err != nil || c.Format != checksFormat || c.Generations == nil {
		return nil, fmt.Errorf("%q is not a list of recovery checks; without the file everything is checked again", path)
	}
	for id := range c.Generations {
		if !manifest.ValidID(id) {
			return nil, fmt.Errorf("%q names a generation %q", path, id)
		}
	}
	return c, nil
}

// Write puts the checks into the file at path, without generations that the vault
// has no more. They are on disk when it returns nil.
func (c *RecoveryChecks) Write(path string, all []vault.Generation) error {
	kept := make(map[string]time.Time)
	for _, g := range all {
		if t, ok := c.Generations[g.ID]; ok {
			kept[g.ID] = t
		}
	}
	c.Generations = kept
	data, err := json.MarshalIndent(c, "", " ")
	if err != nil {
		return err
	}
	return durable.Replace(path, append(data, '\n'), 0o600)
}

// Checked says whether the recovery key opened that generation.
func (c *RecoveryChecks) Checked(generation string) bool {
	_, ok := c.Generations[generation]
	return ok
}

// Unchecked counts the generations that the recovery key was not tried on.
func (c *RecoveryChecks) Unchecked(all []vault.Generation) (n int) {
	for _, g := range all {
		if !c.Checked(g.ID) {
			n++
		}
	}
	return n
}

func (c *RecoveryChecks) mark(generations []string, at time.Time) {
	for _, id := range generations {
		c.Generations[id] = at
	}
	if at.After(c.Last) {
		c.Last = at
	}
}

package vault

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"sekisho/transfer/durable"
	"sekisho/transfer/manifest"
)

// Copy is the record of another seal of a transfer that the vault has: the same
// bag came again, on a second drive. Nothing of it is kept but what later seals
// of the kiosk are compared with.
type Copy struct {
	Key       string         `json:"key"`
	Counter   uint64         `json:"counter"`
	Statement manifest.Hash  `json:"statement"`
	Previous  *manifest.Hash `json:"previous,omitempty"`
	Gaps      []uint64       `json:"gaps,omitempty"`
	Resets    uint32         `json:"resets"`
	Clock     uint64         `json:"clock"`
	Time      time.Time      `json:"time"` // when it came
}

const (
	copies     = "copies"
	copySuffix = ".json"
)

// AddCopy records another seal of generation id; it is on disk when the call
// returns nil. A record that is there already is left as it is.
func (v *Vault) AddCopy(id string, c Copy) error {
	if _, err := v.Generation(id); err != nil {
		return err
	}
	data, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return err
	}
	dir := v.copies(id)
	if err := durable.Mkdir(dir, 0o700); err != nil {
		return fmt.Errorf("recording a copy of %s: %w", id, err)
	}
	err = durable.WriteNew(filepath.Join(dir, c.Statement.String()+copySuffix), append(data, '\n'), 0o400)
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("recording a copy of %s: %w", id, err)
	}
	return nil
}

// Copies lists the other seals of generation id, by counter.
func (v *Vault) Copies(id string) ([]Copy, error) {
	dir := v.copies(id)
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the copies of %s: %w", id, err)
	}
	var all []Copy
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), durable.Suffix) {
			continue // a record that was cut off: it will be made again
		}
		path := filepath.Join(dir, e.Name())
		data, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("reading the copies of %s: %w", id, err)
		}
		var c Copy
		if err := json.Unmarshal(data, &c); err != nil {
			return nil, fmt.Errorf("reading %q: %w", path, err)
		}
		if e.Name() != c.Statement.String()+copySuffix {
			return nil, fmt.Errorf("%q is the record of statement %s", path, c.Statement)
		}
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b Copy) int { return cmp.Compare(a.Counter, b.Counter) })
	return all, nil
}

func (v *Vault) copies(id string) string { return filepath.Join(v.dir, "generations", id, copies) }

// Package vault keeps generations: accepted transfers, each the sealed bag as it
// came, never rewritten.
//
// On disk, below the vault's folder:
//
//	staging/<random>/                  what is being received; emptied at the start
//	generations/<transfer id>/
//	    bag/                           the bag, with its seal
//	    generation.json                the record of the acceptance (Generation)
//	    copies/<statement>.json        the records of its other seals that came later (Copy)
//
// A generation appears whole, by one rename that never replaces; its files are
// read-only. Staging lies beside it so that the rename stays on one filesystem.
//
// One process at a time writes a vault; the caller holds the lock of the gate's
// state folder. Reading needs no lock. It verifies nothing: what it is given to
// keep has been verified, and what it returns is to be verified again.
//
// A folder that root can write is write-once by good manners only: chmod stops
// mistakes, not an intruder with root.
package vault

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"sekisho/transfer/durable"
	"sekisho/transfer/manifest"
)

// ErrNone: the vault has no such generation. The operator lists them.
var ErrNone = errors.New("no such generation")

// Vault is a local vault.
type Vault struct{ dir string }

// ErrMissing: there is no vault in the folder. Its disk is not mounted, or the
// configured path is wrong; an empty vault in its place would forget what was
// accepted.
var ErrMissing = errors.New("there is no vault")

// Create makes a vault in dir, or opens the one that is there.
func Create(dir string) (*Vault, error) {
	for _, d := range []string{"staging", "generations"} {
		if err := durable.Mkdir(filepath.Join(dir, d), 0o700); err != nil {
			return nil, fmt.Errorf("making the vault: %w", err)
		}
	}
	return Open(dir)
}

// Open opens the vault in dir.
func Open(dir string) (*Vault, error) {
	for _, d := range []string{"staging", "generations"} {
		st, err := os.Stat(filepath.Join(dir, d))
		if errors.Is(err, fs.ErrNotExist) || err == nil && !st.IsDir() {
			return nil, fmt.Errorf("%q: %w", dir, ErrMissing)
		}
		if err != nil {
			return nil, fmt.Errorf("opening the vault: %w", err)
		}
	}
	return &Vault{dir}, nil
}

// Dir is the vault's folder, for people.
func (v *Vault) Dir() string { return v.dir }

// Free is the room left for generations, in bytes.
func (v *Vault) Free() (int64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(v.dir, &st); err != nil {
		return 0, fmt.Errorf("asking for room in the vault: %w", err)
	}
	return int64(st.Bavail) * st.Bsize, nil
}

// Generation is the record of one acceptance. What it repeats of the statement
// is for listing and for comparing later seals with; the sealed statement in the
// bag is what counts.
type Generation struct {
	ID        string            `json:"generation"`
	Transfer  string            `json:"transfer"`
	Kiosk     string            `json:"kiosk"`
	Key       string            `json:"key"` // id of the sealing key
	Counter   uint64            `json:"counter"`
	Payload   manifest.Hash     `json:"payload"`
	Statement manifest.Hash     `json:"statement"`          // SHA-256 of the sealed bytes
	Previous  *manifest.Hash    `json:"previous,omitempty"` // of the statement before it
	Gaps      []uint64          `json:"gaps,omitempty"`     // counter values it explains
	Resets    uint32            `json:"resets"`             // of the kiosk's TPM, at the seal
	Restarts  uint32            `json:"restarts"`           // since the last reset
	Clock     uint64            `json:"clock"`              // of the TPM, in milliseconds
	Safe      bool              `json:"safe"`               // Clock did not go back, as the TPM says
	Firmware  uint64            `json:"firmware"`           // of the TPM, in its maker's own notation
	State     string            `json:"state"`              // SHA-256 of the quoted values, lower-case hex
	Workflow  int               `json:"workflow"`
	Files     int64             `json:"files"`
	Bytes     int64             `json:"bytes"`
	Partial   bool              `json:"partial"`
	DataAsOf  time.Time         `json:"dataAsOf"`
	Time      time.Time         `json:"time"` // of the acceptance
	Scanned   bool              `json:"scanned"`
	SoftTPM   bool              `json:"softwareTPM"`
	Engines   []manifest.Engine `json:"engines,omitempty"` // the gate's own
}

// Generations lists what the vault holds, oldest acceptance first.
func (v *Vault) Generations() ([]Generation, error) {
	entries, err := os.ReadDir(filepath.Join(v.dir, "generations"))
	if err != nil {
		return nil, fmt.Errorf("reading the vault: %w", err)
	}
	var all []Generation
	for _, e := range entries {
		g, err := v.Generation(e.Name())
		if err != nil {
			return nil, err
		}
		all = append(all, *g)
	}
	slices.SortStableFunc(all, func(a, b Generation) int {
		if c := a.Time.Compare(b.Time); c != 0 {
			return c
		}
		return strings.Compare(a.ID, b.ID)
	})
	return all, nil
}

// Generation returns the record of one generation.
func (v *Vault) Generation(id string) (*Generation, error) {
	if !manifest.ValidID(id) {
		return nil, fmt.Errorf("%q: %w", id, ErrNone)
	}
	path := filepath.Join(v.dir, "generations", id, "generation.json")
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%q: %w", id, ErrNone)
	}
	if err != nil {
		return nil, fmt.Errorf("reading generation %s: %w", id, err)
	}
	g := new(Generation)
	if err := json.Unmarshal(data, g); err != nil {
		return nil, fmt.Errorf("reading %q: %w", path, err)
	}
	if g.ID != id {
		return nil, fmt.Errorf("%q is the record of %q", path, g.ID)
	}
	return g, nil
}

// Bag is the folder of a generation's bag.
func (v *Vault) Bag(id string) string {
	return filepath.Join(v.dir, "generations", id, "bag")
}

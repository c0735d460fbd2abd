// Package outbox keeps bags from the moment their preparation begins until the
// gate's receipt, in ciphertext only.
//
// On disk, below the outbox's folder:
//
//	key                          age identity that encrypts the journals, 0600
//	number                       the last transfer number given out
//	chain.json                   what the next seal must continue (Chain)
//	bags/<transfer id>/
//	    draft.json               what the bag is being made from (Plan)
//	    bag/                     the bag as it goes to a drive, without its seal
//	    journal/000001.age       one segment per whole part: index lines and origins
//	    ready.json               the bag is complete (Bag); never without bag/
//	    write-<counter>.json     a drive that it was sealed for (Written)
//	    receipt.dsse.json        the gate's receipt, verified
//	    dropped                  the bag was given up (Bag.Drop)
//	    damaged                  the bag cannot be written any more (Bag.SetDamaged)
//	quarantine/<transfer id>/000001.tar.age   what was left out, as a tar for each part
//
// The commit point of a part is its journal segment, that of a bag is
// ready.json. What comes before a commit point is made again after a crash.
//
// One process at a time writes an outbox; the caller holds the lock of the
// state folder. Reading needs no lock. It knows nothing of engines, drives or
// the TPM.
package outbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"filippo.io/age"
	"golang.org/x/sys/unix"

	"sekisho/transfer/durable"
	"sekisho/transfer/manifest"
)

// Outbox is the folder of one kiosk.
type Outbox struct {
	dir string
	key *age.X25519Identity
}

// Open opens the outbox in dir, making it when there is none.
func Open(dir string) (*Outbox, error) {
	for _, d := range []string{dir, filepath.Join(dir, "bags"), filepath.Join(dir, "quarantine")} {
		if err := durable.Mkdir(d, 0o700); err != nil {
			return nil, fmt.Errorf("opening the outbox: %w", err)
		}
	}
	path := filepath.Join(dir, "key")
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		if left, err := os.ReadDir(filepath.Join(dir, "bags")); err != nil || len(left) > 0 {
			return nil, fmt.Errorf("the outbox's key %q is missing, but there are bags; put it back, or move the outbox away to begin a new one: %w", path, errors.Join(err, fs.ErrNotExist))
		}
		key, err := age.GenerateX25519Identity()
		if err != nil {
			return nil, err
		}
		text = []byte(key.String() + "\n")
		if err := durable.WriteNew(path, text, 0o600); err != nil {
			return nil, fmt.Errorf("making the outbox's key: %w", err)
		}
	} else if err != nil {
		return nil, fmt.Errorf("reading the outbox's key: %w", err)
	}
	key, err := age.ParseX25519Identity(strings.TrimSpace(string(text)))
	if err != nil {
		// The error of age would quote the key.
		return nil, fmt.Errorf("the outbox's key %q is damaged; move the outbox away to begin a new one", path)
	}
	return &Outbox{dir: dir, key: key}, nil
}

// Dir is the outbox's folder, for people.
func (o *Outbox) Dir() string { return o.dir }

// Free is the room left for bags, in bytes.
func (o *Outbox) Free() (int64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(o.dir, &st); err != nil {
		return 0, fmt.Errorf("asking for room in the outbox: %w", err)
	}
	return int64(st.Bavail) * st.Bsize, nil
}

// Waiting returns the newest bag that waits for a drive, or for IT, and was made
// under the plan; nil when there is none.
func (o *Outbox) Waiting(p Plan) (*Bag, error) {
	bags, err := o.Bags()
	if err != nil {
		return nil, err
	}
	for _, b := range slices.Backward(bags) {
		if (b.Due() || b.Held != "" && !b.Dropped) && b.Plan.same(p) {
			return b, nil
		}
	}
	return nil, nil
}

// Next gives out a transfer number, from 1. It is on disk and is never given
// out again, also when no bag comes of it.
func (o *Outbox) Next() (int64, error) {
	path := filepath.Join(o.dir, "number")
	var last int64
	text, err := os.ReadFile(path)
	if err == nil {
		last, err = strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return 0, fmt.Errorf("reading the last transfer number: %w", err)
	}
	last++
	return last, durable.Replace(path, fmt.Appendf(nil, "%d\n", last), 0o600)
}

// Bags lists the complete bags, oldest first.
func (o *Outbox) Bags() ([]*Bag, error) {
	ids, err := o.ids()
	if err != nil {
		return nil, err
	}
	var bags []*Bag
	for _, id := range ids {
		b, err := o.Bag(id)
		if errors.Is(err, fs.ErrNotExist) {
			continue // still a draft
		}
		if err != nil {
			return nil, err
		}
		bags = append(bags, b)
	}
	return bags, nil
}

func (o *Outbox) ids() ([]string, error) {
	names, err := os.ReadDir(filepath.Join(o.dir, "bags"))
	if err != nil {
		return nil, fmt.Errorf("reading the outbox: %w", err)
	}
	var ids []string
	for _, n := range names {
		if n.IsDir() && manifest.ValidID(n.Name()) {
			ids = append(ids, n.Name())
		}
	}
	slices.Sort(ids)
	return ids, nil
}

func (o *Outbox) path(id string, names ...string) string {
	return filepath.Join(append([]string{o.dir, "bags", id}, names...)...)
}

func (o *Outbox) quarantine(id string) string {
	return filepath.Join(o.dir, "quarantine", id)
}

// readJSON reads one of the outbox's own small documents.
func readJSON(path string, v any) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, v); err != nil {
		return fmt.Errorf("reading %q: %w", path, err)
	}
	return nil
}

func marshalJSON(v any) ([]byte, error) {
	data, err := json.MarshalIndent(v, "", "  ")
	return append(data, '\n'), err
}

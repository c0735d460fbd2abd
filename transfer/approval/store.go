package approval

import (
	"cmp"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"sekisho/transfer/durable"
	"sekisho/transfer/seal"
)

const approvalKind = "approval.json"

var (
	// ErrNone: there is no such approval or state. The operator lists them.
	ErrNone = errors.New("there is none of this ID")
	// ErrRevoked: the approval was revoked, which is for good. The operator has
	// the state approved anew.
	ErrRevoked = errors.New("approval was revoked")
)

// Store is a folder of approvals, which comes to be with the first.
type Store struct {
	Dir   string
	Keys  []*seal.PublicKey // IT's, whose approvals count
	Kiosk string            // only its approvals belong here; "": any kiosk's
}

// Add keeps an approval, which is on disk when it returns nil. It refuses what
// Open refuses, and with ErrRevoked what was revoked. One that is there already
// is no error.
func (s Store) Add(envelope []byte) (*Approval, error) {
	a, err := s.open(envelope)
	if err != nil {
		return nil, fmt.Errorf("adding approval: %w", err)
	}
	revoked, err := s.isRevoked(a.ID())
	if err != nil {
		return nil, fmt.Errorf("adding approval: %w", err)
	}
	if revoked {
		return nil, fmt.Errorf("adding approval %s: %w", a.ID(), ErrRevoked)
	}
	there, err := present(s.path(a.ID()))
	if err != nil {
		return nil, fmt.Errorf("adding approval: %w", err)
	}
	if there {
		return s.load(a.ID())
	}
	if err := durable.Mkdir(s.Dir, 0o755); err != nil {
		return nil, fmt.Errorf("adding approval: %w", err)
	}
	if err := durable.WriteNew(s.path(a.ID()), a.envelope, 0o644); err != nil {
		return nil, fmt.Errorf("adding approval: %w", err)
	}
	return a, nil
}

// List verifies all approvals that were not revoked, and returns them with those
// that end last first; whether one holds now is for Judge. One that does not
// verify, or any file that does not belong here, is an error that names it: no
// approval counts then.
func (s Store) List() ([]*Approval, error) {
	ids, err := entries(s.Dir, validID, approvalKind)
	if err != nil {
		return nil, fmt.Errorf("reading approvals: %w", err)
	}
	var all []*Approval
	for _, id := range ids {
		revoked, err := s.isRevoked(id) // and not moved yet
		if err != nil {
			return nil, fmt.Errorf("reading approvals: %w", err)
		}
		if revoked {
			continue
		}
		a, err := s.load(id)
		if err != nil {
			return nil, err
		}
		all = append(all, a)
	}
	slices.SortFunc(all, func(a, b *Approval) int {
		return cmp.Or(b.Until.Compare(a.Until), strings.Compare(a.ID(), b.ID()))
	})
	return all, nil
}

func (s Store) load(id string) (*Approval, error) {
	path := s.path(id)
	data, err := readFile(path, seal.MaxEnvelope)
	if err != nil {
		return nil, fmt.Errorf("reading approvals: %w", err)
	}
	a, err := s.open(data)
	if err != nil {
		return nil, fmt.Errorf("reading approval %q: %w", path, err)
	}
	if a.ID() != id {
		return nil, fmt.Errorf("reading approval %q: it is %s", path, a.ID())
	}
	return a, nil
}

// open verifies with whichever key it is.
func (s Store) open(envelope []byte) (a *Approval, err error) {
	err = errors.New("there is no approvals key")
	for _, key := range s.Keys {
		if a, err = Open(envelope, key, s.Kiosk); !errors.Is(err, seal.ErrBadSeal) {
			return a, err
		}
	}
	return nil, err
}

func (s Store) path(id string) string { return filepath.Join(s.Dir, id+"."+approvalKind) }

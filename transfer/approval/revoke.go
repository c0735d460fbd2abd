package approval

import (
	"cmp"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"sekisho/transfer/canonical"
	"sekisho/transfer/durable"
	"sekisho/transfer/seal"
)

// Revocation says that an approval counts no more.
type Revocation struct {
	Approval string    `json:"approval"` // its ID
	Time     time.Time `json:"time"`     // UTC, whole seconds
	By       string    `json:"by"`       // staff number of who revoked
	Reason   string    `json:"reason"`   // one line of at most 200 bytes; may be empty
}

const (
	revokedKind = "revoked.json"
	revokedDir  = "revoked"

	revocationFormat = "sekisho-revocation/1"
	maxRevocation    = 2 << 10 // bytes
)

type revocationFile struct {
	Format string `json:"format"`
	Revocation
}

func (f *revocationFile) check() error {
	switch {
	case f.Format != revocationFormat:
		return fmt.Errorf("format is %.80q, want %q", f.Format, revocationFormat)
	case !validID(f.Approval):
		return fmt.Errorf("approval is %.80q", f.Approval)
	case !validTime(f.Time):
		return errors.New("time is not in UTC and whole seconds")
	case !validName(f.By):
		return fmt.Errorf("staff number is %.80q", f.By)
	case !ValidReason(f.Reason):
		return fmt.Errorf("reason is not one line of at most %d bytes", MaxReason)
	}
	return nil
}

// Revoke ends an approval for good, here: a TPM bound to approved states goes on
// to take it. It counts no more once the revocation is on disk, which comes
// before anything else; the envelope is kept, and a broken one can be revoked
// too. After an interruption Revoke may be called again.
func (s Store) Revoke(id, by, reason string, at time.Time) error {
	if err := s.Revocable(id); err != nil {
		return err
	}
	f := revocationFile{revocationFormat, Revocation{id, at.UTC().Truncate(time.Second), by, reason}}
	if err := f.check(); err != nil {
		return fmt.Errorf("revoking: %w", err)
	}
	revoked, err := s.isRevoked(id)
	if err != nil {
		return fmt.Errorf("revoking: %w", err)
	}
	if err := durable.Mkdir(filepath.Join(s.Dir, revokedDir), 0o755); err != nil {
		return fmt.Errorf("revoking: %w", err)
	}
	if !revoked {
		data, err := canonical.Marshal(f)
		if err != nil {
			return fmt.Errorf("revoking: %w", err)
		}
		if err := durable.WriteNew(s.revoked(id, revokedKind), data, 0o644); err != nil {
			return fmt.Errorf("revoking: %w", err)
		}
	}
	if err := durable.Rename(s.path(id), s.revoked(id, approvalKind)); err != nil {
		return fmt.Errorf("revoking: %w", err)
	}
	return nil
}

// Revocable is nil for an approval that Revoke would end now, and for one whose
// revocation was interrupted. Else it is ErrNone, or ErrRevoked. It changes
// nothing: who keeps records asks it, and records before Revoke.
func (s Store) Revocable(id string) error {
	if !validID(id) {
		return fmt.Errorf("revoking approval %.80q: %w", id, ErrNone)
	}
	there, err := present(s.path(id))
	if err != nil {
		return fmt.Errorf("revoking: %w", err)
	}
	revoked, err := s.isRevoked(id)
	switch {
	case err != nil:
		return fmt.Errorf("revoking: %w", err)
	case !there && revoked:
		return fmt.Errorf("revoking %s: %w before", id, ErrRevoked)
	case !there:
		return fmt.Errorf("revoking approval %s: %w", id, ErrNone)
	}
	return nil
}

// Revoked lists what was revoked, the last first. A broken record, or none, is an
// error that names it.
func (s Store) Revoked() ([]Revocation, error) {
	dir := filepath.Join(s.Dir, revokedDir)
	recorded, err := entries(dir, validID, revokedKind, approvalKind)
	if err != nil {
		return nil, fmt.Errorf("reading revocations: %w", err)
	}
	moved, err := entries(dir, validID, approvalKind, revokedKind)
	if err != nil {
		return nil, fmt.Errorf("reading revocations: %w", err)
	}
	ids := slices.Concat(recorded, moved)
	slices.Sort(ids)
	var all []Revocation
	for _, id := range slices.Compact(ids) {
		path := s.revoked(id, revokedKind)
		data, err := readFile(path, maxRevocation)
		if err != nil {
			return nil, fmt.Errorf("reading revocations: %w", err)
		}
		var f revocationFile
		err = canonical.Parse(data, &f, maxRevocation)
		if err == nil {
			err = f.check()
		}
		if err == nil && f.Approval != id {
			err = fmt.Errorf("it is of %s", f.Approval)
		}
		if err != nil {
			return nil, fmt.Errorf("reading revocation %q: %w: %w", path, seal.ErrMalformed, err)
		}
		all = append(all, f.Revocation)
	}
	slices.SortFunc(all, func(a, b Revocation) int {
		return cmp.Or(b.Time.Compare(a.Time), strings.Compare(a.Approval, b.Approval))
	})
	return all, nil
}

// isRevoked: either file says so, as a person may have moved one of them.
func (s Store) isRevoked(id string) (bool, error) {
	record, err := present(s.revoked(id, revokedKind))
	if err != nil || record {
		return record, err
	}
	return present(s.revoked(id, approvalKind))
}

func (s Store) revoked(id, kind string) string {
	return filepath.Join(s.Dir, revokedDir, id+"."+kind)
}

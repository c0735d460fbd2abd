package approval

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"sekisho/transfer/durable"
)

// MaxPending is how many states wait for IT at most.
const MaxPending = 100

// How it is known that a kiosk is in a state, as the files are called.
const (
	sealedKind  = "sealed.json"
	claimedKind = "claimed.json"
)

// Waiting is a state that waits for IT.
type Waiting struct {
	State
	// Sealed: a seal of the kiosk's proved it. Else the kiosk's request for
	// enrolment claims it, whose fingerprint two people compared.
	Sealed bool
}

// Pending is a folder of states that wait, one file each, and comes to be with
// the first. Nothing is trusted because it lies here: whoever approves a state
// looks at it first.
type Pending struct {
	Dir string
}

// Add keeps a state, which is on disk when it returns nil. Of one that is there
// already the later time stays, and what was proved stays proved. Beyond
// MaxPending those seen longest ago go. A broken file in the folder is an error
// that names it, after the state was kept.
func (p Pending) Add(w Waiting) error {
	if _, err := w.Marshal(); err != nil {
		return fmt.Errorf("keeping a state: %w", err)
	}
	if err := durable.Mkdir(p.Dir, 0o755); err != nil {
		return fmt.Errorf("keeping a state: %w", err)
	}
	switch old, err := p.Get(w.ID()); {
	case errors.Is(err, ErrNone):
		if err := p.put(w); err != nil {
			return err
		}
	case err != nil:
		return err
	case w.Sealed && !old.Sealed || w.Time.After(old.Time):
		w.Sealed = w.Sealed || old.Sealed
		if old.Time.After(w.Time) {
			w.Time = old.Time
		}
		if err := p.put(w); err != nil {
			return err
		}
	}
	all, err := p.List()
	if err != nil {
		return err
	}
	for _, w := range all[min(len(all), MaxPending):] {
		if err := p.Remove(w.ID()); err != nil {
			return err
		}
	}
	return nil
}

// put writes the state's file. One that was claimed before it was proved has two
// for a moment; the proved one counts.
func (p Pending) put(w Waiting) error {
	data, err := w.Marshal()
	if err != nil {
		return fmt.Errorf("keeping a state: %w", err)
	}
	kind := claimedKind
	if w.Sealed {
		kind = sealedKind
	}
	if err := durable.Replace(p.path(w.ID(), kind), data, 0o644); err != nil {
		return fmt.Errorf("keeping a state: %w", err)
	}
	if !w.Sealed {
		return nil
	}
	if err := durable.Remove(p.path(w.ID(), claimedKind)); err != nil {
		return fmt.Errorf("keeping a state: %w", err)
	}
	return nil
}

// List returns the states, the one seen last first.
func (p Pending) List() ([]Waiting, error) {
	sealed, err := entries(p.Dir, validStateID, sealedKind, claimedKind)
	if err != nil {
		return nil, fmt.Errorf("reading states: %w", err)
	}
	claimed, err := entries(p.Dir, validStateID, claimedKind, sealedKind)
	if err != nil {
		return nil, fmt.Errorf("reading states: %w", err)
	}
	ids := slices.Concat(sealed, claimed)
	slices.Sort(ids)
	var all []Waiting
	for _, id := range slices.Compact(ids) {
		w, err := p.Get(id)
		if err != nil {
			return nil, err
		}
		all = append(all, w)
	}
	slices.SortFunc(all, func(a, b Waiting) int {
		return cmp.Or(b.Time.Compare(a.Time), strings.Compare(a.ID(), b.ID()))
	})
	return all, nil
}

// Get returns one state, or ErrNone.
func (p Pending) Get(id string) (Waiting, error) {
	if !validStateID(id) {
		return Waiting{}, fmt.Errorf("state %.80q: %w", id, ErrNone)
	}
	path, sealed := p.path(id, sealedKind), true
	data, err := readFile(path, maxState)
	if errors.Is(err, fs.ErrNotExist) {
		path, sealed = p.path(id, claimedKind), false
		data, err = readFile(path, maxState)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return Waiting{}, fmt.Errorf("state %s: %w", id, ErrNone)
	}
	if err != nil {
		return Waiting{}, fmt.Errorf("reading state: %w", err)
	}
	s, err := ParseState(data)
	if err != nil {
		return Waiting{}, fmt.Errorf("reading %q: %w", path, err)
	}
	if s.ID() != id {
		return Waiting{}, fmt.Errorf("reading %q: it is state %s", path, s.ID())
	}
	return Waiting{s, sealed}, nil
}

// Remove takes a state away, as when IT has decided. None of this ID is no error.
func (p Pending) Remove(id string) error {
	if !validStateID(id) {
		return fmt.Errorf("state %.80q: %w", id, ErrNone)
	}
	for _, kind := range []string{claimedKind, sealedKind} { // not the other way round: it was proved
		if err := durable.Remove(p.path(id, kind)); err != nil {
			return fmt.Errorf("removing state: %w", err)
		}
	}
	return nil
}

func (p Pending) path(id, kind string) string { return filepath.Join(p.Dir, id+"."+kind) }

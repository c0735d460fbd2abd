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

const stateKind = "state.json"

// Pending is a folder of states in which transfers were held, one file
// <id>.state.json each, and comes to be with the first. Nothing is trusted
// because it lies here: whoever approves a state looks at it first.
type Pending struct {
	Dir string
}

// Add keeps a state, which is on disk when it returns nil; of one that is there
// already the later time stays. Beyond MaxPending those seen longest ago go. A
// broken file in the folder is an error that names it, after the state was kept.
func (p Pending) Add(s State) error {
	data, err := s.Marshal()
	if err != nil {
		return fmt.Errorf("keeping a state: %w", err)
	}
	if err := durable.Mkdir(p.Dir, 0o755); err != nil {
		return fmt.Errorf("keeping a state: %w", err)
	}
	old, err := p.Get(s.ID())
	if err != nil && !errors.Is(err, ErrNone) {
		return err
	}
	if err != nil || s.Time.After(old.Time) {
		if err := durable.Replace(p.path(s.ID()), data, 0o644); err != nil {
			return fmt.Errorf("keeping a state: %w", err)
		}
	}
	all, err := p.List()
	if err != nil {
		return err
	}
	for _, s := range all[min(len(all), MaxPending):] {
		if err := p.Remove(s.ID()); err != nil {
			return err
		}
	}
	return nil
}

// List returns the states, the one seen last first.
func (p Pending) List() ([]State, error) {
	ids, err := entries(p.Dir, stateKind)
	if err != nil {
		return nil, fmt.Errorf("reading states: %w", err)
	}
	var all []State
	for _, id := range ids {
		s, err := p.Get(id)
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b State) int {
		return cmp.Or(b.Time.Compare(a.Time), strings.Compare(a.ID(), b.ID()))
	})
	return all, nil
}

// Get returns one state, or ErrNone.
func (p Pending) Get(id string) (State, error) {
	if !validID(id) {
		return State{}, fmt.Errorf("state %.80q: %w", id, ErrNone)
	}
	data, err := readFile(p.path(id), maxState)
	if errors.Is(err, fs.ErrNotExist) {
		return State{}, fmt.Errorf("state %s: %w", id, ErrNone)
	}
	if err != nil {
		return State{}, fmt.Errorf("reading state: %w", err)
	}
	s, err := ParseState(data)
	if err != nil {
		return State{}, fmt.Errorf("reading %q: %w", p.path(id), err)
	}
	if s.ID() != id {
		return State{}, fmt.Errorf("reading %q: it is state %s", p.path(id), s.ID())
	}
	return s, nil
}

// Remove takes a state away, as when IT has decided. None of this ID is no error.
func (p Pending) Remove(id string) error {
	if !validID(id) {
		return fmt.Errorf("state %.80q: %w", id, ErrNone)
	}
	if err := durable.Remove(p.path(id)); err != nil {
		return fmt.Errorf("removing state: %w", err)
	}
	return nil
}

func (p Pending) path(id string) string { return filepath.Join(p.Dir, id+"."+stateKind) }

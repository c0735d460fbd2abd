package approval

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sekisho/transfer/seal"
)

// someID has the form of a state's ID.
const someID = "ABCD-EFGH-IJKL-MNOP-Q234"

func TestPending(t *testing.T) {
	p := Pending{Dir: filepath.Join(t.TempDir(), "pending")}
	if all, err := p.List(); err != nil || len(all) != 0 {
		t.Errorf("nothing there: %v, %v", all, err)
	}
	first, second := newState(), changed(newState(), 0)
	second.Time = noon.Add(time.Hour)
	must(t, p.Add(Waiting{first, true}))
	must(t, p.Add(Waiting{second, false}))
	all, err := p.List()
	if err != nil || len(all) != 2 || all[0].ID() != second.ID() || all[0].Sealed || all[1].ID() != first.ID() || !all[1].Sealed {
		t.Errorf("got %v, %v", all, err)
	}
	// Seen again: one state, the later time; an older file does not set it back.
	again := first
	again.Time = noon.Add(2 * time.Hour)
	must(t, p.Add(Waiting{again, true}))
	must(t, p.Add(Waiting{first, true}))
	if got, err := p.Get(first.ID()); err != nil || !got.Time.Equal(again.Time) || got.ID() != first.ID() {
		t.Errorf("got %+v, %v", got, err)
	}
	if all, err := p.List(); err != nil || len(all) != 2 || all[0].ID() != first.ID() {
		t.Errorf("got %v, %v", all, err)
	}
	must(t, p.Remove(first.ID()))
	must(t, p.Remove(first.ID()))
	if got, err := p.Get(first.ID()); !errors.Is(err, ErrNone) || got.Kiosk != "" {
		t.Errorf("got %+v, %v", got, err)
	}
	before := tree(t, p.Dir)
	if err := p.Add(Waiting{}); err == nil || !maps.Equal(before, tree(t, p.Dir)) {
		t.Errorf("kept nothing: %v", err)
	}
	for _, id := range []string{"", "..", "../../etc/passwd", second.ID() + "A", strings.ToLower(second.ID()), strings.ReplaceAll(second.ID(), "-", ""), "0123456789abcdef"} {
		if _, err := p.Get(id); !errors.Is(err, ErrNone) {
			t.Errorf("got %q: %v", id, err)
		}
		if err := p.Remove(id); !errors.Is(err, ErrNone) {
			t.Errorf("removed %q: %v", id, err)
		}
	}
}

// A claim that a seal proves is no claim any more, and does not become one again.
func TestPendingProved(t *testing.T) {
	p := Pending{Dir: t.TempDir()}
	s := newState()
	waits := func(sealed bool, at time.Time) {
		t.Helper()
		all, err := p.List()
		if err != nil || len(all) != 1 || all[0].ID() != s.ID() || all[0].Sealed != sealed || !all[0].Time.Equal(at) {
			t.Errorf("got %+v, %v, want sealed: %v", all, err, sealed)
		}
	}
	must(t, p.Add(Waiting{s, false}))
	waits(false, noon)
	earlier := s
	earlier.Time = noon.Add(-time.Hour)
	claim, err := os.ReadFile(p.path(s.ID(), claimedKind))
	must(t, err)
	must(t, p.Add(Waiting{earlier, true}))
	waits(true, noon)
	if files := tree(t, p.Dir); len(files) != 1 {
		t.Errorf("on disk: %q", files)
	}
	later := s
	later.Time = noon.Add(time.Hour)
	must(t, p.Add(Waiting{later, false}))
	waits(true, later.Time)
	// The power was cut before the claim went.
	must(t, os.WriteFile(p.path(s.ID(), claimedKind), claim, 0o600))
	waits(true, later.Time)
	must(t, p.Remove(s.ID()))
	if files := tree(t, p.Dir); len(files) != 0 {
		t.Errorf("on disk: %q", files)
	}
}

func TestPendingIsBounded(t *testing.T) {
	p := Pending{Dir: t.TempDir()}
	s := newState()
	for i := range MaxPending + 3 {
		s = changed(s)
		s.Registers[0] = [32]byte{byte(i)}
		s.Time = noon.Add(time.Duration(i) * time.Second)
		data, err := s.Marshal()
		must(t, err)
		if i < MaxPending+2 { // the last by Add
			must(t, os.WriteFile(p.path(s.ID(), sealedKind), data, 0o600))
		}
	}
	must(t, p.Add(Waiting{s, true}))
	all, err := p.List()
	if err != nil || len(all) != MaxPending || !all[0].Time.Equal(s.Time) || all[MaxPending-1].Registers[0] != [32]byte{3} {
		t.Errorf("%d states, the last %v, %v", len(all), all[len(all)-1], err)
	}
}

func TestPendingBroken(t *testing.T) {
	for name, alter := range map[string]func(p Pending, id string) string{
		"cut": func(p Pending, id string) string {
			must(t, os.Truncate(p.path(id, sealedKind), 50))
			return p.path(id, sealedKind)
		},
		"renamed": func(p Pending, id string) string {
			must(t, os.Rename(p.path(id, sealedKind), p.path(someID, sealedKind)))
			return p.path(someID, sealedKind)
		},
		"another file": func(p Pending, id string) string {
			must(t, os.WriteFile(filepath.Join(p.Dir, "x"), nil, 0o600))
			return filepath.Join(p.Dir, "x")
		},
	} {
		p := Pending{Dir: t.TempDir()}
		s := newState()
		must(t, p.Add(Waiting{s, true}))
		named := alter(p, s.ID())
		if all, err := p.List(); err == nil || !strings.Contains(err.Error(), named) || all != nil {
			t.Errorf("%s: got %v, %v", name, all, err)
		}
		// A new one is kept all the same.
		next := changed(s, 0)
		if err := p.Add(Waiting{next, true}); err == nil || !strings.Contains(err.Error(), named) {
			t.Errorf("%s: added: %v", name, err)
		}
		if _, err := p.Get(next.ID()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	p := Pending{Dir: t.TempDir()}
	must(t, os.WriteFile(p.path(someID, sealedKind), []byte("{}\n"), 0o600))
	if _, err := p.Get(someID); !errors.Is(err, seal.ErrMalformed) {
		t.Errorf("got %v", err)
	}
}

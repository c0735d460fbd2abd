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

func TestPending(t *testing.T) {
	p := Pending{Dir: filepath.Join(t.TempDir(), "pending")}
	if all, err := p.List(); err != nil || len(all) != 0 {
		t.Errorf("nothing there: %v, %v", all, err)
	}
	first, second := newState(), changed(newState(), 0)
	second.Time = noon.Add(time.Hour)
	must(t, p.Add(first))
	must(t, p.Add(second))
	all, err := p.List()
	if err != nil || len(all) != 2 || all[0].ID() != second.ID() || all[1].ID() != first.ID() {
		t.Errorf("got %v, %v", all, err)
	}
	// Seen again: one state, the later time; an older file does not set it back.
	again := first
	again.Time = noon.Add(2 * time.Hour)
	must(t, p.Add(again))
	must(t, p.Add(first))
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
	if err := p.Add(State{}); err == nil || !maps.Equal(before, tree(t, p.Dir)) {
		t.Errorf("kept nothing: %v", err)
	}
	for _, id := range []string{"", "..", "../../etc/passwd", second.ID() + "0", strings.ToUpper(second.ID())} {
		if _, err := p.Get(id); !errors.Is(err, ErrNone) {
			t.Errorf("got %q: %v", id, err)
		}
		if err := p.Remove(id); !errors.Is(err, ErrNone) {
			t.Errorf("removed %q: %v", id, err)
		}
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
			must(t, os.WriteFile(p.path(s.ID()), data, 0o600))
		}
	}
	must(t, p.Add(s))
	all, err := p.List()
	if err != nil || len(all) != MaxPending || !all[0].Time.Equal(s.Time) || all[MaxPending-1].Registers[0] != [32]byte{3} {
		t.Errorf("%d states, the last %v, %v", len(all), all[len(all)-1], err)
	}
}

func TestPendingBroken(t *testing.T) {
	for name, alter := range map[string]func(p Pending, id string) string{
		"cut": func(p Pending, id string) string {
			must(t, os.Truncate(p.path(id), 50))
			return p.path(id)
		},
		"renamed": func(p Pending, id string) string {
			must(t, os.Rename(p.path(id), p.path("0123456789abcdef")))
			return p.path("0123456789abcdef")
		},
		"another file": func(p Pending, id string) string {
			must(t, os.WriteFile(filepath.Join(p.Dir, "x"), nil, 0o600))
			return filepath.Join(p.Dir, "x")
		},
	} {
		p := Pending{Dir: t.TempDir()}
		s := newState()
		must(t, p.Add(s))
		named := alter(p, s.ID())
		if all, err := p.List(); err == nil || !strings.Contains(err.Error(), named) || all != nil {
			t.Errorf("%s: got %v, %v", name, all, err)
		}
		// A new one is kept all the same.
		next := changed(s, 0)
		if err := p.Add(next); err == nil || !strings.Contains(err.Error(), named) {
			t.Errorf("%s: added: %v", name, err)
		}
		if _, err := p.Get(next.ID()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	p := Pending{Dir: t.TempDir()}
	must(t, os.WriteFile(p.path("0123456789abcdef"), []byte("{}\n"), 0o600))
	if _, err := p.Get("0123456789abcdef"); !errors.Is(err, seal.ErrMalformed) {
		t.Errorf("got %v", err)
	}
}

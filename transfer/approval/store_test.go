package approval

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"sekisho/transfer/durable"
	"sekisho/transfer/seal"
)

// newStore is a store with approvals of one, two, … years' end.
func newStore(t testing.TB, n int) (Store, *seal.PrivateKey, []*Approval) {
	t.Helper()
	key := newKey(t)
	s := Store{Dir: filepath.Join(t.TempDir(), "approvals"), Keys: []*seal.PublicKey{key.Public()}}
	var all []*Approval
	for i := range n {
		c := terms()
		c.Until = noon.AddDate(0, i+1, 0)
		a, err := s.Add(approve(t, key, newState(), c).Envelope())
		must(t, err)
		all = append([]*Approval{a}, all...)
	}
	return s, key, all
}

func ids(all []*Approval) string {
	var out []string
	for _, a := range all {
		out = append(out, a.ID())
	}
	return strings.Join(out, " ")
}

func TestStore(t *testing.T) {
	empty := Store{Dir: filepath.Join(t.TempDir(), "none")}
	if all, err := empty.List(); err != nil || len(all) != 0 {
		t.Errorf("nothing there: %v, %v", all, err)
	}
	if all, err := empty.Revoked(); err != nil || len(all) != 0 {
		t.Errorf("nothing there: %v, %v", all, err)
	}
	s, _, added := newStore(t, 3)
	all, err := s.List()
	if err != nil || !reflect.DeepEqual(all, added) {
		t.Errorf("got %s, %v, want %s", ids(all), err, ids(added))
	}
	before := tree(t, s.Dir)
	if len(before) != 3 || before[added[0].ID()+".approval.json"] != string(added[0].Envelope()) {
		t.Errorf("on disk: %q", before)
	}
	if a, err := s.Add(added[1].Envelope()); err != nil || a.ID() != added[1].ID() || !maps.Equal(before, tree(t, s.Dir)) {
		t.Errorf("added again: %v", err)
	}
	// What a power cut left is not read.
	must(t, os.WriteFile(filepath.Join(s.Dir, added[0].ID()+".approval.json"+durable.Suffix), []byte("half"), 0o600))
	if all, err := s.List(); err != nil || len(all) != 3 {
		t.Errorf("beside half a file: %s, %v", ids(all), err)
	}
}

func TestStoreAddRefuses(t *testing.T) {
	s, _, added := newStore(t, 1)
	before := tree(t, s.Dir)
	stranger := approve(t, newKey(t), newState(), terms())
	for name, c := range map[string]struct {
		store    Store
		envelope []byte
		class    error
	}{
		"another's":     {s, stranger.Envelope(), seal.ErrBadSeal},
		"nothing":       {s, nil, seal.ErrMalformed},
		"another kiosk": {Store{s.Dir, s.Keys, "k4"}, added[0].Envelope(), ErrOtherKiosk},
	} {
		if a, err := c.store.Add(c.envelope); !errors.Is(err, c.class) || a != nil {
			t.Errorf("%s: %v, %v", name, a, err)
		}
	}
	if a, err := (Store{Dir: s.Dir}).Add(added[0].Envelope()); err == nil || a != nil {
		t.Error("added without a key")
	}
	if after := tree(t, s.Dir); !maps.Equal(before, after) {
		t.Errorf("on disk: %q", after)
	}
}

// IT's key was replaced: approvals of both keys count while both are named.
func TestStoreOfTwoKeys(t *testing.T) {
	s, _, added := newStore(t, 1)
	next := newKey(t)
	s.Keys = append(s.Keys, next.Public())
	a, err := s.Add(approve(t, next, newState(), terms()).Envelope())
	must(t, err)
	if all, err := s.List(); err != nil || ids(all) != a.ID()+" "+added[0].ID() {
		t.Errorf("got %s, %v", ids(all), err)
	}
	s.Keys = s.Keys[1:]
	if all, err := s.List(); !errors.Is(err, seal.ErrBadSeal) || !strings.Contains(err.Error(), added[0].ID()) || all != nil {
		t.Errorf("got %s, %v", ids(all), err)
	}
	must(t, s.Revoke(added[0].ID(), "1234", "signed by the old key", noon)) // the way out
	if all, err := s.List(); err != nil || ids(all) != a.ID() {
		t.Errorf("got %s, %v", ids(all), err)
	}
}

// One broken file and nothing is approved; the error names it.
func TestStoreBroken(t *testing.T) {
	for name, alter := range map[string]func(t *testing.T, s Store, path string) (named string){
		"one bit": func(t *testing.T, s Store, path string) string {
			data, err := os.ReadFile(path)
			must(t, err)
			data[len(data)/2] ^= 1
			must(t, os.WriteFile(path, data, 0o600))
			return path
		},
		"cut":   func(t *testing.T, s Store, path string) string { must(t, os.Truncate(path, 100)); return path },
		"empty": func(t *testing.T, s Store, path string) string { must(t, os.Truncate(path, 0)); return path },
		"huge":  func(t *testing.T, s Store, path string) string { must(t, os.Truncate(path, 1<<30)); return path },
		"renamed": func(t *testing.T, s Store, path string) string {
			named := filepath.Join(s.Dir, "0123456789abcdef.approval.json")
			must(t, os.Rename(path, named))
			return named
		},
		"link": func(t *testing.T, s Store, path string) string {
			must(t, os.Rename(path, path+durable.Suffix))
			must(t, os.Symlink(path+durable.Suffix, path))
			return path
		},
		"another file": func(t *testing.T, s Store, path string) string {
			named := filepath.Join(s.Dir, "notes.txt")
			must(t, os.WriteFile(named, nil, 0o600))
			return named
		},
		"its copy": func(t *testing.T, s Store, path string) string {
			data, err := os.ReadFile(path)
			must(t, err)
			must(t, os.WriteFile(path+"~", data, 0o600))
			return path + "~"
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, _, added := newStore(t, 2)
			named := alter(t, s, s.path(added[1].ID()))
			if name == "one bit" {
				if a, err := s.Add(added[1].Envelope()); err == nil || a != nil {
					t.Error("the broken one passes as added")
				}
			}
			if all, err := s.List(); err == nil || !strings.Contains(err.Error(), named) || all != nil {
				t.Errorf("got %s, %v, want an error that names %s", ids(all), err, named)
			}
		})
	}
}

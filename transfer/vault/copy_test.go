package vault_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"sekisho/transfer/manifest"
	"sekisho/transfer/vault"
)

func another(counter uint64) vault.Copy {
	return vault.Copy{Key: "key", Counter: counter, Statement: manifest.Hash{byte(counter)}, Previous: &manifest.Hash{9},
		Gaps: []uint64{1}, Resets: 4, Clock: 5, Time: day}
}

func TestCopies(t *testing.T) {
	v := open(t)
	g := generation(1, day)
	must(t, stage(t, v, "first").Commit(g))
	if all, err := v.Copies(g.ID); err != nil || len(all) > 0 {
		t.Errorf("a new generation has copies %v, %v", all, err)
	}
	for _, counter := range []uint64{7, 5, 7} { // the second 7 is there already
		must(t, v.AddCopy(g.ID, another(counter)))
	}
	other := another(7)
	other.Clock++
	must(t, v.AddCopy(g.ID, other)) // a record is never rewritten
	dir := filepath.Join(v.Dir(), "generations", g.ID, "copies")
	must(t, os.WriteFile(filepath.Join(dir, "x.json.part"), []byte("{"), 0o600)) // as a crash leaves it
	again, err := vault.Open(v.Dir())
	must(t, err)
	all, err := again.Copies(g.ID)
	must(t, err)
	if want := []vault.Copy{another(5), another(7)}; !reflect.DeepEqual(all, want) {
		t.Errorf("got %+v, want %+v", all, want)
	}
	names, err := filepath.Glob(filepath.Join(dir, "*.json"))
	must(t, err)
	for _, name := range names {
		if info, err := os.Stat(name); err != nil || info.Mode().Perm() != 0o400 {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
	if got, err := v.Generations(); err != nil || !reflect.DeepEqual(got, []vault.Generation{g}) {
		t.Errorf("the generation became %+v, %v", got, err)
	}
}

func TestCopyOfNoGeneration(t *testing.T) {
	v := open(t)
	for _, id := range []string{manifest.ID(day, "k1", 2), "../staging", ""} {
		if err := v.AddCopy(id, another(1)); !errors.Is(err, vault.ErrNone) {
			t.Errorf("%q: %v", id, err)
		}
	}
	if left, err := os.ReadDir(filepath.Join(v.Dir(), "generations")); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

func TestDamagedCopies(t *testing.T) {
	for name, damage := range map[string]func(path string) error{
		"cut short": func(path string) error { return os.WriteFile(path, []byte("{"), 0o600) },
		"renamed": func(path string) error {
			return os.Rename(path, strings.Replace(path, "07", "08", 1))
		},
		"a folder": func(path string) error { return errors.Join(os.Remove(path), os.Mkdir(path, 0o700)) },
		"copies is a file": func(path string) error {
			dir := filepath.Dir(path)
			return errors.Join(os.RemoveAll(dir), os.WriteFile(dir, nil, 0o600))
		},
	} {
		t.Run(name, func(t *testing.T) {
			v := open(t)
			g := generation(1, day)
			must(t, stage(t, v, "x").Commit(g))
			must(t, v.AddCopy(g.ID, another(7)))
			path := filepath.Join(v.Dir(), "generations", g.ID, "copies", another(7).Statement.String()+".json")
			must(t, os.Chmod(path, 0o600))
			must(t, damage(path))
			if all, err := v.Copies(g.ID); err == nil || errors.Is(err, fs.ErrNotExist) || all != nil {
				t.Errorf("copies %v, %v", all, err)
			}
			if name == "copies is a file" {
				if err := v.AddCopy(g.ID, another(9)); err == nil {
					t.Error("recorded nowhere")
				}
			}
		})
	}
}

package vault_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sekisho/transfer/manifest"
	"sekisho/transfer/vault"
)

var day = time.Date(2026, 11, 22, 21, 40, 0, 0, time.UTC)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func open(t *testing.T) *vault.Vault {
	t.Helper()
	v, err := vault.Create(filepath.Join(t.TempDir(), "new", "vault"))
	must(t, err)
	return v
}

// stage receives a bag of two files.
func stage(t *testing.T, v *vault.Vault, content string) *vault.Staging {
	t.Helper()
	s, err := v.Stage()
	must(t, err)
	for _, name := range []string{manifest.BagIt, manifest.PartName(1)} {
		f, err := s.Create(name)
		must(t, err)
		_, err = f.WriteString(content)
		must(t, err)
		must(t, f.Close())
	}
	return s
}

func generation(number int64, at time.Time) vault.Generation {
	id := manifest.ID(day, "k1", number)
	return vault.Generation{ID: id, Transfer: id, Kiosk: "k1", Counter: uint64(number), Payload: manifest.Hash{1}, Gaps: []uint64{1},
		Files: 2, Bytes: 3, DataAsOf: day, Time: at, Engines: []manifest.Engine{{Name: "ClamAV", Newest: day}}}
}

func read(t *testing.T, v *vault.Vault, g vault.Generation, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(v.Bag(g.ID), name))
	must(t, err)
	return string(data)
}

func TestCommit(t *testing.T) {
	v := open(t)
	if all, err := v.Generations(); err != nil || len(all) != 0 {
		t.Fatalf("a new vault has %v, %v", all, err)
	}
	s := stage(t, v, "first")
	want := generation(1, day)
	must(t, s.Commit(want))
	got, err := v.Generation(want.ID)
	must(t, err)
	if !reflect.DeepEqual(*got, want) {
		t.Errorf("got %+v, want %+v", *got, want)
	}
	if read(t, v, want, manifest.BagIt) != "first" || read(t, v, want, manifest.PartName(1)) != "first" {
		t.Error("other content")
	}
	if _, err := os.Stat(s.Bag()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the staging is still there: %v", err)
	}
	must(t, s.Discard()) // does nothing now
	must(t, filepath.WalkDir(filepath.Join(v.Dir(), "generations"), func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		if mode := info.Mode().Perm(); !e.IsDir() && mode != 0o400 || e.IsDir() && mode != 0o700 {
			t.Errorf("%s has mode %v", path, mode)
		}
		return nil
	}))
	again, err := vault.Open(v.Dir())
	must(t, err)
	if all, err := again.Generations(); err != nil || len(all) != 1 {
		t.Errorf("opened again it has %v, %v", all, err)
	}
}

// A generation is never replaced, nor touched by the attempt.
func TestCommitNeverReplaces(t *testing.T) {
	v := open(t)
	g := generation(1, day)
	must(t, stage(t, v, "first").Commit(g))
	s := stage(t, v, "second")
	if err := s.Commit(g); !errors.Is(err, fs.ErrExist) {
		t.Errorf("second commit: %v", err)
	}
	if read(t, v, g, manifest.PartName(1)) != "first" {
		t.Error("replaced")
	}
	if _, err := os.Stat(s.Bag()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the staging is still there: %v", err)
	}
	// Not even an empty folder of that name, which rename would replace.
	other := generation(2, day)
	must(t, os.Mkdir(filepath.Join(v.Dir(), "generations", other.ID), 0o700))
	if err := stage(t, v, "third").Commit(other); !errors.Is(err, fs.ErrExist) {
		t.Errorf("commit over a folder: %v", err)
	}
}

func TestStaging(t *testing.T) {
	v := open(t)
	cut := stage(t, v, "cut off")
	must(t, os.Chmod(filepath.Join(cut.Bag(), manifest.BagIt), 0o400)) // as a crash while committing leaves it
	s := stage(t, v, "next")
	if _, err := os.Stat(cut.Bag()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a reception that was cut off is still there: %v", err)
	}
	if _, err := s.Create(manifest.BagIt); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a file of the bag was made twice: %v", err)
	}
	info, err := os.Stat(filepath.Join(s.Bag(), manifest.BagIt))
	must(t, err)
	dir, err := os.Stat(filepath.Dir(s.Bag()))
	must(t, err)
	if info.Mode().Perm() != 0o600 || dir.Mode().Perm() != 0o700 {
		t.Errorf("staging has modes %v, %v", info.Mode(), dir.Mode())
	}
	must(t, s.Discard())
	must(t, s.Discard())
	if left, err := os.ReadDir(filepath.Join(v.Dir(), "staging")); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
	if all, err := v.Generations(); err != nil || len(all) != 0 {
		t.Errorf("generations %v, %v", all, err)
	}
}

// A commit that cannot be put on disk leaves no generation.
func TestCommitFails(t *testing.T) {
	v := open(t)
	s := stage(t, v, "x")
	must(t, unix.Mkfifo(filepath.Join(filepath.Dir(s.Bag()), "generation.json"), 0o600))
	if err := s.Commit(generation(1, day)); err == nil {
		t.Error("committed without its record")
	}
	if all, err := v.Generations(); err != nil || len(all) != 0 {
		t.Errorf("generations %v, %v", all, err)
	}
}

func TestGenerationsAreInTheOrderOfAcceptance(t *testing.T) {
	v := open(t)
	for _, g := range []vault.Generation{generation(3, day), generation(1, day.Add(time.Hour)), generation(2, day)} {
		must(t, stage(t, v, "x").Commit(g))
	}
	all, err := v.Generations()
	must(t, err)
	var got []uint64
	for _, g := range all {
		got = append(got, g.Counter)
	}
	if !reflect.DeepEqual(got, []uint64{2, 3, 1}) {
		t.Errorf("order %v", got)
	}
}

func TestNoSuchGeneration(t *testing.T) {
	v := open(t)
	must(t, stage(t, v, "x").Commit(generation(1, day)))
	for _, id := range []string{manifest.ID(day, "k1", 2), "", ".", "..", "../staging", "x", manifest.ID(day, "k1", 1) + "/"} {
		if g, err := v.Generation(id); !errors.Is(err, vault.ErrNone) || g != nil {
			t.Errorf("%q: %v, %v", id, g, err)
		}
	}
}

// What is in the vault and should not be there, or not so, is said, not passed over.
func TestDamagedVault(t *testing.T) {
	for name, damage := range map[string]func(t *testing.T, dir string){
		"record cut short": func(t *testing.T, dir string) { rewrite(t, dir, func(s string) string { return s[:len(s)/2] }) },
		"record of another": func(t *testing.T, dir string) {
			rewrite(t, dir, func(s string) string { return strings.ReplaceAll(s, "-000001", "-000002") })
		},
		"record missing":        func(t *testing.T, dir string) { must(t, os.Remove(filepath.Join(dir, "generation.json"))) },
		"something beside it":   func(t *testing.T, dir string) { must(t, os.Mkdir(dir+"x", 0o700)) },
		"folder under other id": func(t *testing.T, dir string) { must(t, os.Rename(dir, strings.Replace(dir, "000001", "000002", 1))) },
		"record is no file": func(t *testing.T, dir string) {
			must(t, os.Remove(filepath.Join(dir, "generation.json")))
			must(t, os.Mkdir(filepath.Join(dir, "generation.json"), 0o700))
		},
		"generations not a folder": func(t *testing.T, dir string) {
			must(t, os.RemoveAll(filepath.Dir(dir)))
			must(t, os.WriteFile(filepath.Dir(dir), nil, 0o600))
		},
	} {
		t.Run(name, func(t *testing.T) {
			v := open(t)
			g := generation(1, day)
			must(t, stage(t, v, "x").Commit(g))
			damage(t, filepath.Dir(v.Bag(g.ID)))
			if all, err := v.Generations(); err == nil || all != nil {
				t.Errorf("generations %v, %v", all, err)
			}
		})
	}
}

func rewrite(t *testing.T, dir string, change func(string) string) {
	t.Helper()
	path := filepath.Join(dir, "generation.json")
	data, err := os.ReadFile(path)
	must(t, err)
	must(t, os.Chmod(path, 0o600))
	must(t, os.WriteFile(path, []byte(change(string(data))), 0o600))
}

func TestFree(t *testing.T) {
	v := open(t)
	var st unix.Statfs_t
	must(t, unix.Statfs(v.Dir(), &st))
	free, err := v.Free()
	must(t, err)
	if now := int64(st.Bavail) * st.Bsize; free <= 0 || free > 2*now || now > 2*free {
		t.Errorf("%d bytes free, statfs says %d", free, now)
	}
	must(t, os.RemoveAll(v.Dir()))
	if _, err := v.Free(); err == nil {
		t.Error("free room in a vault that is gone")
	}
	if _, err := v.Stage(); err == nil {
		t.Error("staged in a vault that is gone")
	}
}

func TestOpenRefusesWhatIsNoFolder(t *testing.T) {
	path := filepath.Join(t.TempDir(), "vault")
	must(t, os.WriteFile(path, nil, 0o600))
	if v, err := vault.Open(path); err == nil || v != nil {
		t.Errorf("opened a file: %v", err)
	}
}

package measure

import (
	"crypto/sha256"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func write(t testing.TB, path, content string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func symlink(t testing.TB, target, path string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(target, path); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestFiles(t *testing.T) {
	dir := t.TempDir()
	program, unit := write(t, dir+"/kiosk", "program"), write(t, dir+"/units/a.service", "unit")
	linked := symlink(t, "units/a.service", dir+"/b.service")
	empty := write(t, dir+"/empty", "")

	l, err := Files(13, []string{unit, program, linked, empty})
	if err != nil {
		t.Fatal(err)
	}
	want := &List{Register: 13, Events: []Event{
		{unit, sha256.Sum256([]byte("unit"))},
		{program, sha256.Sum256([]byte("program"))},
		{linked, sha256.Sum256([]byte("unit"))},
		{empty, sha256.Sum256(nil)},
	}}
	if got, want := mustMarshal(t, l), mustMarshal(t, want); string(got) != string(want) {
		t.Errorf("measured\n%swant\n%s", got, want)
	}
}

func TestFilesRefused(t *testing.T) {
	dir := t.TempDir()
	pipe := dir + "/pipe"
	if err := unix.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	large := dir + "/large"
	if err := os.WriteFile(large, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(large, MaxFile+1); err != nil { // takes no room
		t.Fatal(err)
	}
	good := write(t, dir+"/good", "good")
	for name, test := range map[string]struct{ path, want string }{
		"missing":          {dir + "/missing", "missing"},
		"a dangling link":  {symlink(t, "nowhere", dir+"/dangling"), `a link to "nowhere"`},
		"a masked unit":    {symlink(t, "/dev/null", dir+"/masked"), `not a regular file (a link to "/dev/null")`},
		"a loop":           {symlink(t, "loop", dir+"/loop"), "loop"},
		"a folder":         {dir, "not a regular file"},
		"a pipe":           {pipe, "not a regular file"},
		"relative":         {"kiosk", "absolute path"},
		"not the shortest": {dir + "//good", "absolute path"},
		"twice":            {good, "measured twice"},
		"a control":        {dir + "/a\nb", "name"},
		"too large":        {large, "more than"},
	} {
		l, err := Files(13, []string{good, test.path})
		if err == nil || l != nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, %v", name, l, err)
		}
		if name == "missing" && !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("missing: %v", err)
		}
	}
}

func TestSaveLoad(t *testing.T) {
	path := t.TempDir() + "/events.json"
	if _, err := Load(path); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("nothing measured: %v", err)
	}
	first, second := example(), example()
	second.Events[0].SHA256[0] ^= 1
	for _, l := range []*List{first, second} {
		if err := Save(path, l); err != nil {
			t.Fatal(err)
		}
		got, err := Load(path)
		if err != nil {
			t.Fatal(err)
		}
		if len(Compare(l, got)) > 0 {
			t.Errorf("loaded %v", got)
		}
	}
	st, err := os.Stat(path)
	if err != nil || st.Mode().Perm() != 0o644 {
		t.Errorf("%v, %v", st.Mode(), err)
	}
	if left, err := os.ReadDir(filepath.Dir(path)); err != nil || len(left) != 1 {
		t.Errorf("left in the folder: %v, %v", left, err)
	}

	bad := example()
	bad.Register = 99
	if err := Save(path, bad); err == nil {
		t.Error("saved a bad list")
	}
	if got, err := Load(path); err != nil || len(Compare(second, got)) > 0 {
		t.Errorf("a bad list took the good one's place: %v, %v", got, err)
	}
	for name, content := range map[string]string{"cut": "{", "large": strings.Repeat("x", MaxList+1), "empty": ""} {
		if l, err := Load(write(t, t.TempDir()+"/list", content)); !errors.Is(err, ErrMalformed) || l != nil {
			t.Errorf("%s: %v, %v", name, l, err)
		}
	}
}

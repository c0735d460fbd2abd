package hostile

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/text/unicode/norm"
)

var sharedDir string

// set returns the folder of a hostile set that all tests share and none may
// change, and what is expected of it, by path.
func set(t *testing.T) (string, map[string]Case) {
	t.Helper()
	if sharedDir == "" {
		dir, err := os.MkdirTemp("", "hostile")
		if err != nil {
			t.Fatal(err)
		}
		sharedDir = dir
		if err := Write(filepath.Join(dir, "set"), filepath.Join(dir, "expected.jsonl"), true); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(sharedDir, "set"), expected(t, filepath.Join(sharedDir, "expected.jsonl"))
}

func TestMain(m *testing.M) {
	code := m.Run()
	if err := os.RemoveAll(sharedDir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func expected(t *testing.T, list string) map[string]Case {
	t.Helper()
	f, err := os.Open(list)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	all := make(map[string]Case)
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var c Case
		d := json.NewDecoder(bytes.NewReader(lines.Bytes()))
		d.DisallowUnknownFields()
		if err := d.Decode(&c); err != nil {
			t.Fatal(err)
		}
		if _, twice := all[string(c.Path)]; twice {
			t.Errorf("%q is listed twice", c.Path)
		}
		all[string(c.Path)] = c
	}
	return all
}

func TestEveryPathIsListed(t *testing.T) {
	dir, listed := set(t)
	cases := map[string]bool{}
	for path, c := range listed {
		if cases[c.Case] || c.Why == "" || c.Quoted != strconv.Quote(path) {
			t.Errorf("case %+v", c)
		}
		cases[c.Case] = true
		switch c.Verdict {
		case Clean, Detected, Unscannable, Refused:
		default:
			t.Errorf("%q: verdict %q", path, c.Verdict)
		}
	}
	found := 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		found++
		c, ok := listed[rel]
		if !ok {
			t.Errorf("%q is not listed", rel)
		}
		if d.Type().IsRegular() == (c.Verdict == Refused) {
			t.Errorf("%q is %v, expected %s", rel, d.Type(), c.Verdict)
		}
		st, err := d.Info()
		if err == nil && !st.ModTime().Equal(made) {
			t.Errorf("%q was made at %v", rel, st.ModTime())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if found != len(listed) || found < 40 {
		t.Errorf("%d paths, %d listed", found, len(listed))
	}
}

func TestSameBytesEachTime(t *testing.T) {
	read := func(dir string, listed map[string]Case) map[string]string {
		all := map[string]string{}
		for path, c := range listed {
			if c.Verdict == Refused || strings.HasPrefix(path, "sparse/") {
				continue
			}
			b, err := os.ReadFile(filepath.Join(dir, path))
			if err != nil {
				t.Fatal(err)
			}
			all[path] = string(b)
		}
		return all
	}
	again, list := filepath.Join(t.TempDir(), "set"), filepath.Join(t.TempDir(), "expected.jsonl")
	if err := Write(again, list, false); err != nil {
		t.Fatal(err)
	}
	if !maps.Equal(read(set(t)), read(again, expected(t, list))) {
		t.Error("two runs differ")
	}
}

func TestRefusesToMixWithOtherFiles(t *testing.T) {
	dir := t.TempDir()
	for _, list := range []string{filepath.Join(dir, "expected.jsonl"), filepath.Join(dir, "sub", "expected.jsonl")} {
		if err := Write(dir, list, false); err == nil {
			t.Errorf("the list may lie in %q", list)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "thesis.txt"), []byte("mine"), 0o644); err != nil {
		t.Fatal(err)
	}
	list := filepath.Join(t.TempDir(), "expected.jsonl")
	if err := Write(dir, list, false); err == nil {
		t.Error("a folder with other files was filled")
	}
	if _, err := os.Stat(list); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a list was left: %v", err)
	}
}

func TestNames(t *testing.T) {
	dir, listed := set(t)
	byCase := map[string]string{}
	for path, c := range listed {
		byCase[c.Case] = filepath.Base(path)
	}
	if nfc, nfd := byCase["name-nfc"], byCase["name-nfd"]; nfc == nfd || !norm.NFC.IsNormalString(nfc) || !norm.NFD.IsNormalString(nfd) || norm.NFC.String(nfd) != nfc {
		t.Errorf("%+q and %+q are no twins", nfc, nfd)
	}
	if n := len(byCase["name-255"]); n != 255 {
		t.Errorf("longest name has %d bytes", n)
	}
	if a, b := []rune(byCase["name-sjis"]), []rune(byCase["name-sjis-twin"]); string(a) != string(b) || byCase["name-sjis"] == byCase["name-sjis-twin"] {
		t.Error("the Shift_JIS twins do not become equal when read as UTF-8")
	}
	a, err := os.Stat(filepath.Join(dir, "special/name1.txt"))
	if err != nil {
		t.Fatal(err)
	}
	if b, err := os.Stat(filepath.Join(dir, "special/name2.txt")); err != nil || !os.SameFile(a, b) {
		t.Errorf("the hard links are two files: %v", err)
	}
}

func TestSparseFilesTakeNoSpace(t *testing.T) {
	dir, _ := set(t)
	want := map[string]int64{"2GiB-1": 1<<31 - 1, "2GiB": 1 << 31, "2GiB+1": 1<<31 + 1, "5GiB": 5 << 30}
	for name, size := range want {
		st, err := os.Stat(filepath.Join(dir, "sparse", name+".dmp"))
		if err != nil {
			t.Fatal(err)
		}
		if st.Size() != size || blocks(st) > 100 {
			t.Errorf("%s: %d bytes in %d blocks", name, st.Size(), blocks(st))
		}
	}
}

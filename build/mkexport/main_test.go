package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// mk runs the command and fails the test unless it exits with want.
func mk(t *testing.T, want int, args ...string) (stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	if got := run(context.Background(), args, &out, &errs); got != want {
		t.Fatalf("mkexport %q: exit %d, want %d: %s", args, got, want, &errs)
	}
	return out.String(), errs.String()
}

// Hospitals for tests of what happens from night to night.
func init() {
	profiles["ward"] = profile{ssmix: 200, dicom: 2, scans: 2, bundles: 20, dump: 400e3}
	profiles["storage"] = profile{ssmix: 1000}
}

// hospital returns a folder with a night of a profile.
func hospital(t *testing.T, profile string, night int) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "export")
	mk(t, 0, "-profile", profile, "-night", fmt.Sprint(night), "-seed", "7", dir)
	return dir
}

var smokeDir string

// smoke returns a folder with the first night of the smoke profile, which all
// tests share and none may change.
func smoke(t *testing.T) string {
	t.Helper()
	if smokeDir == "" {
		dir, err := os.MkdirTemp("", "mkexport")
		if err != nil {
			t.Fatal(err)
		}
		smokeDir = dir
		mk(t, 0, "-seed", "7", filepath.Join(dir, "export"))
	}
	return filepath.Join(smokeDir, "export")
}

func TestMain(m *testing.M) {
	code := m.Run()
	if err := os.RemoveAll(smokeDir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// state is what must be equal between two runs.
type state struct {
	sum   [32]byte
	mtime time.Time
	mode  fs.FileMode
}

// tree returns the state of all files and folders below dir.
func tree(t *testing.T, dir string) map[string]state {
	t.Helper()
	all := make(map[string]state)
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		st, err := d.Info()
		if err != nil {
			return err
		}
		s := state{mtime: st.ModTime().UTC(), mode: st.Mode()}
		if st.Mode().IsRegular() {
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			s.sum = sha256.Sum256(b)
		}
		rel, err := filepath.Rel(dir, path)
		all[filepath.ToSlash(rel)] = s
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestSameSeedSameExport(t *testing.T) {
	a := tree(t, smoke(t))
	if !maps.Equal(a, tree(t, hospital(t, "smoke", 1))) {
		t.Error("two runs differ")
	}
	other := filepath.Join(t.TempDir(), "export")
	mk(t, 0, "-profile", "ward", "-seed", "8", other)
	if maps.Equal(tree(t, hospital(t, "ward", 1)), tree(t, other)) {
		t.Error("another seed gave the same export")
	}
}

func TestSmokeCounts(t *testing.T) {
	counts := map[string]int{}
	for path, s := range tree(t, smoke(t)) {
		if s.mode.IsRegular() {
			counts[strings.Split(path, "/")[0]]++
		}
	}
	want := map[string]int{"SS-MIX2": 2000, "PACS": 18, "PDI": 2 + 1, "スキャン文書": 10, "FHIR": 10, "RECEIPT": 3, logName: 1}
	if !maps.Equal(counts, want) {
		t.Errorf("files by folder: %v, want %v", counts, want)
	}
}

func TestProfileCounts(t *testing.T) {
	for name, p := range profiles {
		if p.bench != nil || p.dicom == 0 {
			continue
		}
		items, err := export{name: name, profile: p, night: 1, seed: 1}.plan()
		if err != nil {
			t.Fatal(err)
		}
		counts := map[string]int{}
		for _, it := range items {
			counts[strings.Split(it.path, "/")[0]]++
		}
		if counts["SS-MIX2"] != p.ssmix || counts["PACS"]+counts["PDI"]-1 != p.dicom || counts["スキャン文書"] != p.scans || counts["FHIR"] != p.bundles {
			t.Errorf("%s: files by folder: %v, want %+v", name, counts, p)
		}
		if want := map[bool]int{true: 4}[p.dump > 0]; counts["DB"] != want {
			t.Errorf("%s: %d database files, want %d", name, counts["DB"], want)
		}
	}
}

// counter is a writer that keeps nothing.
type counter int64

func (c *counter) Write(p []byte) (int, error) { *c += counter(len(p)); return len(p), nil }

func TestBenchmarkSets(t *testing.T) {
	for _, c := range []struct {
		name      string
		files     int
		low, high counter
	}{{"small", 20000, 2 << 10, 64 << 10}, {"medium", 200, 10 << 20, 10 << 20}, {"large", 1, 4 << 30, 4 << 30}} {
		items, err := export{name: c.name, profile: profiles[c.name], night: 2, seed: 3}.plan()
		if err != nil {
			t.Fatal(err)
		}
		if len(items) != c.files {
			t.Errorf("%s: %d files, want %d", c.name, len(items), c.files)
		}
		if c.name == "large" {
			continue // 4 GiB take seconds; its writer is the dumps'
		}
		for i := 0; i < len(items); i += len(items) / 10 {
			var n counter
			if err := items[i].write(&n); err != nil {
				t.Fatal(err)
			}
			if n < c.low || n > c.high {
				t.Errorf("%s: %q has %d bytes, want %d to %d", c.name, items[i].path, n, c.low, c.high)
			}
		}
	}
}

func TestUsage(t *testing.T) {
	dir := t.TempDir()
	for _, args := range [][]string{
		{}, {"-nonsense", dir}, {dir, dir}, {"-profile", "huge", dir}, {"-night", "0", dir}, {"-night", "366", dir},
		{"-hostile", dir}, {"-sparse", dir}, {"-expect", "x", dir}, {"-attack", "fire", dir}, {"-extension", ".x", dir},
		{"-attack", "ransomware", "-extension", "/x", dir}, {"-attack", "ransomware", "-hostile", "-expect", "x", dir},
	} {
		if _, stderr := mk(t, 2, args...); stderr == "" {
			t.Errorf("%q: no explanation", args)
		}
	}
	if _, help := mk(t, 0, "-h"); !strings.Contains(help, "usage: mkexport") {
		t.Errorf("-h says %q", help)
	}
	if names, err := os.ReadDir(dir); err != nil || len(names) > 0 {
		t.Errorf("a wrong call left %v, %v", names, err)
	}
}

func TestStopsWhenInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	dir := t.TempDir()
	if code := run(ctx, []string{dir}, io.Discard, io.Discard); code != 1 {
		t.Errorf("exit %d, want 1", code)
	}
	if _, err := os.Stat(filepath.Join(dir, logName)); err == nil {
		t.Error("an unfinished export has a log")
	}
}

package main

import (
	"bytes"
	"compress/flate"
	"maps"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"
)

func attacked(t *testing.T, args ...string) (dir string, before, after map[string]state) {
	t.Helper()
	dir = hospital(t, "ward", 1)
	before = tree(t, dir)
	mk(t, 0, append(append([]string{"-attack", "ransomware", "-seed", "5"}, args...), dir)...)
	return dir, before, tree(t, dir)
}

func TestRansomware(t *testing.T) {
	dir, before, after := attacked(t)
	files, hit := 0, 0
	for p, was := range before {
		if !was.mode.IsRegular() {
			continue
		}
		files++
		now, ok := after[p]
		if !ok {
			t.Fatalf("%q is gone", p)
		}
		if now.sum == was.sum {
			if now.mtime != was.mtime {
				t.Errorf("%q was spared but has another time", p)
			}
			continue
		}
		hit++
		if _, ok := after[path.Join(path.Dir(p), noteName)]; !ok {
			t.Errorf("no note beside %q", p)
		}
		b, err := os.ReadFile(filepath.Join(dir, p))
		if err != nil {
			t.Fatal(err)
		}
		if hasMagic(b) {
			t.Errorf("%q still has its magic", p)
		}
		if compressed(t, b) < len(b) {
			t.Errorf("%q still compresses", p)
		}
	}
	if share := 1000 * hit / files; share < 285 || share > 300 {
		t.Errorf("%d ‰ of %d files encrypted, want 300", share, files)
	}
	if after[logName] != before[logName] {
		t.Error("the exporter's log was not spared")
	}
	if _, _, again := attacked(t); !maps.Equal(after, again) {
		t.Error("two attacks of one seed differ")
	}
}

func TestRansomwareRenames(t *testing.T) {
	_, before, after := attacked(t, "-extension", ".kakuu")
	renamed := 0
	for p := range after {
		if original, ok := strings.CutSuffix(p, ".kakuu"); ok {
			renamed++
			if _, ok := before[original]; !ok {
				t.Errorf("%q was no file before", original)
			}
			if _, ok := after[original]; ok {
				t.Errorf("%q is there under both names", original)
			}
		}
	}
	if renamed < 60 {
		t.Errorf("%d files renamed", renamed)
	}
}

func TestRansomwareNeedsAnExport(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "thesis.txt")
	if err := os.WriteFile(file, []byte("mine"), 0o644); err != nil {
		t.Fatal(err)
	}
	mk(t, 1, "-attack", "ransomware", dir)
	if b, err := os.ReadFile(file); err != nil || string(b) != "mine" {
		t.Errorf("somebody's file is now %q, %v", b, err)
	}
	export, _, _ := attacked(t)
	mk(t, 1, "-attack", "ransomware", export) // twice would decrypt
}

func hasMagic(b []byte) bool {
	for _, m := range []string{"MSH|", "<?xml", "%PDF", "{\n", "IR,"} {
		if bytes.HasPrefix(b, []byte(m)) {
			return true
		}
	}
	return len(b) > 132 && string(b[128:132]) == "DICM"
}

func compressed(t *testing.T, b []byte) int {
	t.Helper()
	var out bytes.Buffer
	w, err := flate.NewWriter(&out, flate.BestSpeed)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Len()
}

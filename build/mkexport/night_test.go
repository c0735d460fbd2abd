package main

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func TestNightFromAnEarlierOne(t *testing.T) {
	dir := hospital(t, "ward", 1)
	inode := func(path string) os.FileInfo {
		st, err := os.Stat(filepath.Join(dir, path))
		if err != nil {
			t.Fatal(err)
		}
		return st
	}
	before, pdi := tree(t, dir), inode("PDI/DICOMDIR")
	mk(t, 0, "-profile", "ward", "-night", "2", "-seed", "7", dir)
	mk(t, 0, "-profile", "ward", "-night", "9", "-seed", "7", dir)
	if !maps.Equal(tree(t, dir), tree(t, hospital(t, "ward", 9))) {
		t.Error("night 9 made from earlier nights differs from night 9 made at once")
	}
	if !os.SameFile(pdi, inode("PDI/DICOMDIR")) {
		t.Error("an unchanged file was written again")
	}
	if maps.Equal(before, tree(t, dir)) {
		t.Error("nothing changed")
	}
}

// TestNightShares checks the rules of SS-MIX2: names change, content goes with them.
func TestNightShares(t *testing.T) {
	first, second := tree(t, hospital(t, "storage", 1)), tree(t, hospital(t, "storage", 2))
	successor := map[string]bool{} // orders that got a new _1
	for path := range second {
		_, old := first[path]
		if name := versionName.FindStringSubmatch(path); !old && name != nil && name[2] == "1" {
			successor[name[1]] = true
		}
	}
	var files, edited, renamed, updated, deleted int
	for path, was := range first {
		if !was.mode.IsRegular() || !strings.HasPrefix(path, "SS-MIX2/") {
			continue
		}
		files++
		now, stays := second[path]
		if stays {
			if now.sum != was.sum {
				edited++
				if !now.mtime.After(was.mtime) {
					t.Errorf("%q changed but its time did not advance", path)
				}
			}
			continue
		}
		renamed++
		stem, document, _ := strings.Cut(path, "_1/") // extended storage: the folder has the flag
		if document != "" {
			document = "/" + document
		} else {
			stem = strings.TrimSuffix(stem, "_1")
		}
		old, isUpdate := second[stem+"_2"+document]
		if !isUpdate {
			old = second[stem+"_0"+document]
			deleted++
		} else if updated++; !successor[versionName.FindStringSubmatch(path)[1]] {
			t.Errorf("%q was updated but has no new _1", path)
		}
		if old != was {
			t.Errorf("%q was renamed, but not with its bytes and time", path)
		}
	}
	t.Logf("of %d files %d edited, %d updated, %d deleted", files, edited, updated, deleted)
	if share := 1000 * renamed / files; share < 50 || share > 100 {
		t.Errorf("%d ‰ renamed, want 50 to 100", share)
	}
	if share := 1000 * edited / files; share < 15 || share > 25 {
		t.Errorf("%d ‰ edited, want about 20", share)
	}
	if updated == 0 || deleted == 0 {
		t.Error("a kind of renaming did not occur")
	}
	for path := range second {
		if base := filepath.Base(path); strings.HasPrefix(base, "TR_20260407") {
			return
		}
	}
	t.Error("night 2 has no transaction file of its own")
}

// versionName has the part of a path that all versions of an order share, and the flag.
var versionName = regexp.MustCompile(`^(SS-MIX2/.*_\d{15})_\d{17}_(?:\d\d|-)_([012])(?:/|$)`)

func TestRefusesOtherContent(t *testing.T) {
	refused := func(dir string, args ...string) {
		t.Helper()
		before := tree(t, dir)
		_, stderr := mk(t, 1, append(args, dir)...)
		if !strings.Contains(stderr, "not empty") {
			t.Errorf("%q: %s", args, stderr)
		}
		if !maps.Equal(before, tree(t, dir)) {
			t.Errorf("%q: refused, but something changed", args)
		}
	}
	dir := hospital(t, "ward", 2)
	refused(dir, "-profile", "ward", "-night", "2", "-seed", "7") // the same night
	refused(dir, "-profile", "ward", "-night", "1", "-seed", "7") // an earlier one
	refused(dir, "-profile", "ward", "-night", "3", "-seed", "8") // another hospital
	refused(dir, "-profile", "medium", "-night", "3", "-seed", "7")
	if err := os.Remove(filepath.Join(dir, logName)); err != nil {
		t.Fatal(err)
	}
	refused(dir, "-profile", "ward", "-night", "3", "-seed", "7") // interrupted

	other := t.TempDir()
	if err := os.WriteFile(filepath.Join(other, "thesis.txt"), []byte("mine"), 0o644); err != nil {
		t.Fatal(err)
	}
	refused(other)
}

// TestDumpPages makes a small dump in two nights and compares the pages.
func TestDumpPages(t *testing.T) {
	const size = 24e6
	read := func(night int) map[string][]byte {
		e := export{name: "test", profile: profile{dump: size}, night: night, seed: 7}
		items, err := e.plan()
		if err != nil {
			t.Fatal(err)
		}
		all := map[string][]byte{}
		for _, it := range items {
			var b bytes.Buffer
			if err := it.write(&b); err != nil {
				t.Fatal(err)
			}
			all[it.path] = b.Bytes()
		}
		return all
	}
	first, second := read(1), read(2)
	total := 0
	for _, b := range first {
		total += len(b)
	}
	if total != size {
		t.Errorf("dumps of %d bytes, want %d", total, int(size))
	}
	a, b := first["DB/EMR_FULL_20260406_01.dmp"], second["DB/EMR_FULL_20260407_01.dmp"]
	if !bytes.HasPrefix(a, []byte(dumpMagic)) || len(a) != len(b) {
		t.Fatalf("dump of %d bytes begins with %q, the next has %d", len(a), a[:20], len(b))
	}
	changed, kinds := 0, map[string]int{}
	for at := pageSize; at+pageSize <= len(a); at += pageSize {
		if !bytes.Equal(a[at:at+pageSize], b[at:at+pageSize]) {
			changed++
		}
		kinds[string(a[at:at+3])]++
	}
	pages := len(a) / pageSize
	if share := 1000 * changed / pages; share < 10 || share > 30 {
		t.Errorf("%d ‰ of %d pages changed, want about 20", share, pages)
	}
	if len(kinds) != 3 || kinds["PGR"] < pages/3 || kinds["PGL"] < pages/5 || kinds["PGF"] == 0 {
		t.Errorf("kinds of pages: %v", kinds)
	}
	for _, name := range []string{"EMR_FULL_20260406.bak", "EMR_LOG_20260406.trn", "CACHE.DAT"} {
		if len(first["DB/"+name]) == 0 {
			t.Errorf("no %s", name)
		}
	}
}

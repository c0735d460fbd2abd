package transfer_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"sekisho/transfer"
	"sekisho/transfer/ledger"
	"sekisho/transfer/manifest"
	"sekisho/transfer/vault"
)

// Names as bytes, times to the nanosecond and far from now, empty folders and
// files, and depth.
func TestRestoreIsBitByBit(t *testing.T) {
	deep := strings.Repeat("フォルダ/", 60)
	src := export(t, map[string]string{
		"\x8e\xa9\x97R.txt":      "Shift_JIS",
		"\xff\xfe\x80":           "no text at all",
		"line\nbreak":            "a",
		"back\\slash":            "b",
		"-n":                     "c",
		" space ":                "d",
		"caf\u00e9":              "NFC",
		"cafe\u0301":             "NFD",
		"CASE":                   "upper",
		"case":                   "lower",
		"\u202etxt.exe":          "right to left",
		strings.Repeat("n", 255): "long",
		strings.Repeat("漢", 85):  "long in bytes",
		deep + "x":               "deep",
		"empty/":                 "",
		"nested/empty/":          "",
		"a.b/x":                  "the dot comes before the slash",
		"a/x":                    "sorted",
		"a!/x":                   "by bytes",
		"large":                  text("large", 300<<10),
		"exact":                  text("exact", 512),
		"zero":                   "",
		"nested/sub/中/最後.dcm":    "z",
		"99/^経過記録(内科)^^11506-3^経過記録^LN": "extended storage",
	})
	// Times last: writing into a folder changes its own.
	times := []unix.Timespec{{Sec: 0, Nsec: 1}, {Sec: -86400, Nsec: 999999999}, {Sec: 13_000_000_000, Nsec: 5}, {Sec: 1_700_000_000, Nsec: 123456789}}
	var paths []string
	must(t, filepath.WalkDir(src, func(path string, _ fs.DirEntry, err error) error { paths = append(paths, path); return err }))
	slices.Reverse(paths)
	for i, path := range paths {
		ts := times[i%len(times)]
		must(t, unix.UtimesNanoAt(unix.AT_FDCWD, path, []unix.Timespec{ts, ts}, unix.AT_SYMLINK_NOFOLLOW))
	}
	k := newKiosk(t, "k1")
	g := newGate(t, k)
	dir := t.TempDir()
	id := k.send(t, src, dir).ID()
	g.accept(t, dir)
	for name, key := range map[string]transfer.Identity{"the gate's key": g.identity, "the recovery key": g.recovery} {
		t.Run(name, func(t *testing.T) {
			to := filepath.Join(t.TempDir(), "to")
			r := g.restoration()
			r.Identity = key
			st, err := transfer.Restore(t.Context(), r, id, to)
			must(t, err)
			if st.Transfer != id {
				t.Errorf("restored %s", st.Transfer)
			}
			sameTree(t, tree(t, to), tree(t, src))
		})
	}
	records := g.records(t)
	if last := records[len(records)-1]; last.Event != ledger.Restore || last.Result != "restored" || last.Transfer != id {
		t.Errorf("record %+v", last)
	}
}

func TestRestoreOnlyIntoAnEmptyFolder(t *testing.T) {
	k := newKiosk(t, "k1")
	g := newGate(t, k)
	dir := t.TempDir()
	src := night(t, "first")
	id := k.send(t, src, dir).ID()
	g.accept(t, dir)
	full := t.TempDir()
	writeFile(t, filepath.Join(full, "note.txt"), "mine")
	before := tree(t, full)
	records := len(g.records(t))
	if st, err := transfer.Restore(t.Context(), g.restoration(), id, full); !errors.Is(err, transfer.ErrNotEmpty) || st != nil {
		t.Errorf("into a full folder: %v", err)
	}
	if after := tree(t, full); len(after) != 1 || after["note.txt"] != before["note.txt"] {
		t.Errorf("the full folder has %v now", after)
	}
	for _, none := range []string{"20261122T2140Z-k1-000999", "../../etc", "", "x"} {
		if _, err := transfer.Restore(t.Context(), g.restoration(), none, t.TempDir()); !errors.Is(err, vault.ErrNone) {
			t.Errorf("generation %q: %v", none, err)
		}
	}
	if n := len(g.records(t)); n != records {
		t.Errorf("%d records of nothing", n-records)
	}
	empty := t.TempDir()
	_, err := transfer.Restore(t.Context(), g.restoration(), id, empty)
	must(t, err)
	sameTree(t, tree(t, empty), tree(t, src))
}

// What happened to the vault, or to the keys, is found before anyone relies on
// the files.
func TestRestoreRefuses(t *testing.T) {
	k := newKiosk(t, "k1")
	holds := newGate(t, k)
	dir := t.TempDir()
	id := k.send(t, night(t, "first"), dir).ID()
	other := k.send(t, night(t, "second"), dir).ID()
	holds.accept(t, dir)
	for _, c := range []struct {
		name string
		want transfer.Reason
		do   func(t *testing.T, bag string, r *transfer.Restoration)
	}{
		{"part altered", transfer.Altered, func(t *testing.T, bag string, _ *transfer.Restoration) { overwrite(t, bag, part2) }},
		{"last part altered", transfer.Altered, func(t *testing.T, bag string, _ *transfer.Restoration) { overwrite(t, bag, "data/000005.age") }},
		{"index altered", transfer.Altered, func(t *testing.T, bag string, _ *transfer.Restoration) { overwrite(t, bag, manifest.Index) }},
		{"recover.sh altered", transfer.Altered, func(t *testing.T, bag string, _ *transfer.Restoration) { overwrite(t, bag, manifest.Script) }},
		{"tag manifest altered", transfer.Altered, func(t *testing.T, bag string, _ *transfer.Restoration) { overwrite(t, bag, manifest.TagManifest) }},
		{"statement altered", transfer.BadSeal, func(t *testing.T, bag string, _ *transfer.Restoration) { overwrite(t, bag, envelope) }},
		{"evidence altered", transfer.BadSeal, func(t *testing.T, bag string, _ *transfer.Restoration) { overwrite(t, bag, "seal/quote.sig") }},
		{"part missing", transfer.MissingPart, func(t *testing.T, bag string, _ *transfer.Restoration) { must(t, os.Remove(filepath.Join(bag, part1))) }},
		{"index missing", transfer.MissingPart, func(t *testing.T, bag string, _ *transfer.Restoration) {
			must(t, os.Remove(filepath.Join(bag, manifest.Index)))
		}},
		{"statement missing", transfer.MissingPart, func(t *testing.T, bag string, _ *transfer.Restoration) {
			must(t, os.Remove(filepath.Join(bag, envelope)))
		}},
		{"evidence missing", transfer.MissingPart, func(t *testing.T, bag string, _ *transfer.Restoration) {
			must(t, os.Remove(filepath.Join(bag, "seal/counter.sig")))
		}},
		{"part of another night", transfer.Altered, func(t *testing.T, bag string, _ *transfer.Restoration) {
			data, err := os.ReadFile(filepath.Join(bag, "../..", other, "bag", part1))
			must(t, err)
			must(t, os.WriteFile(filepath.Join(bag, part1), data, 0o600))
		}},
		{"whole bag of another night", transfer.Altered, func(t *testing.T, bag string, _ *transfer.Restoration) {
			must(t, os.RemoveAll(bag))
			must(t, os.Rename(filepath.Join(bag, "../..", other, "bag"), bag))
		}},
		{"another key", transfer.Undecryptable, func(t *testing.T, _ string, r *transfer.Restoration) {
			r.Identity = newIdentity(t, filepath.Join(t.TempDir(), "key"))
		}},
		{"kiosk no longer enrolled", transfer.UnknownKiosk, func(_ *testing.T, _ string, r *transfer.Restoration) { r.Kiosks = nil }},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := newGateLike(t, holds, k)
			must(t, os.RemoveAll(g.path("vault")))
			must(t, os.CopyFS(g.path("vault"), os.DirFS(holds.path("vault"))))
			r := g.restoration()
			c.do(t, g.vault.Bag(id), &r)
			st, err := transfer.Restore(t.Context(), r, id, t.TempDir())
			refusedAs(t, refusalOf(nil, err), c.want)
			if st != nil {
				t.Error("a statement beside the refusal")
			}
			records := g.records(t)
			if len(records) != 1 || records[0].Event != ledger.Restore || records[0].Reason != string(c.want) {
				t.Errorf("records %+v", records)
			}
		})
	}
}

// overwrite changes the last byte of a file that is there.
func overwrite(t *testing.T, bag, name string) {
	t.Helper()
	path := filepath.Join(bag, name)
	data, err := os.ReadFile(path)
	must(t, err)
	must(t, os.Remove(path))
	writeFile(t, path, string(flip(data)))
}

func TestStoppedRestore(t *testing.T) {
	k := newKiosk(t, "k1")
	g := newGate(t, k)
	dir := t.TempDir()
	id := k.send(t, night(t, "first"), dir).ID()
	g.accept(t, dir)
	ctx, stop := withCancel(t)
	r := g.restoration()
	r.Watcher.Progress = func(transfer.Progress) { stop() }
	if st, err := transfer.Restore(ctx, r, id, t.TempDir()); err == nil || err != ctx.Err() || st != nil {
		t.Errorf("stopped restore: %v", err)
	}
}

package ledger

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// folder is a ledger's files in memory, as lines and blocks.
type folder struct {
	records, blocks [][]byte
	next            []byte
}

func load(t testing.TB, dir string) *folder {
	t.Helper()
	f := &folder{records: bytes.SplitAfter(read(t, filepath.Join(dir, recordsName)), []byte("\n"))}
	f.records = f.records[:len(f.records)-1]
	for lines := bytes.SplitAfter(read(t, filepath.Join(dir, historyName)), []byte("\n")); len(lines) > 4; {
		n := 5
		if bytes.HasPrefix(lines[n], []byte("— ")) { // a hand-over
			n++
		}
		f.blocks, lines = append(f.blocks, bytes.Join(lines[:n], nil)), lines[n:]
	}
	return f
}

func (f *folder) store(t testing.TB, dir string) {
	t.Helper()
	must(t, os.MkdirAll(dir, 0o700))
	must(t, os.WriteFile(filepath.Join(dir, recordsName), bytes.Join(f.records, nil), 0o600))
	must(t, os.WriteFile(filepath.Join(dir, historyName), bytes.Join(f.blocks, nil), 0o600))
	if f.next != nil {
		must(t, os.WriteFile(filepath.Join(dir, nextName), f.next, 0o600))
	}
}

func replace(b []byte, old, new string) []byte {
	if !bytes.Contains(b, []byte(old)) {
		panic("nothing to replace: " + old)
	}
	return bytes.Replace(b, []byte(old), []byte(new), 1)
}

// refit rewrites the checkpoints from the i-th on to fit the records, keeping
// the signatures, or signing with key when it is not nil.
func (f *folder) refit(t *testing.T, i int, key *signer) {
	t.Helper()
	for ; i < len(f.blocks); i++ {
		var tr tree
		for _, line := range f.records[:i] {
			tr.add(line)
		}
		c := Checkpoint{origin, tr.size, tr.root()}
		if key != nil {
			b, err := c.sign(key)
			must(t, err)
			f.blocks[i] = b
			continue
		}
		_, sig, _ := bytes.Cut(f.blocks[i], []byte("\n\n"))
		f.blocks[i] = append([]byte(c.text()+"\n"), sig...)
	}
}

// TestFaults makes every change a hand or a disk could make to a ledger of ten
// records, and wants each found, by Verify and by Open, and named.
func TestFaults(t *testing.T) {
	original := filepath.Join(t.TempDir(), "ledger")
	begin(t, original, 10)
	good := load(t, original)
	held := good.blocks[10] // what the other side holds

	thief, err := newKey(origin, testKey("thief").Public())
	must(t, err)
	other := &signer{thief, testKey("thief")}

	for name, c := range map[string]struct {
		change      func(f *folder)
		what        What
		first, last int64
		expect      bool // seen only against a checkpoint held elsewhere
	}{
		"byte edited":  {func(f *folder) { f.records[4] = replace(f.records[4], "done", "gone") }, Altered, 4, 4, false},
		"first edited": {func(f *folder) { f.records[0] = replace(f.records[0], "done", "gone") }, Altered, 0, 0, false},
		"last edited":  {func(f *folder) { f.records[9] = replace(f.records[9], "done", "gone") }, Altered, 9, 9, false},
		"two edited": {func(f *folder) {
			f.records[3] = replace(f.records[3], "done", "gone")
			f.records[7] = replace(f.records[7], "done", "gone")
		}, Altered, 3, 3, false},
		"bit flipped in a key": {func(f *folder) { f.records[4] = replace(f.records[4], "result", "resuly") }, Malformed, 4, 4, false},
		"not canonical":        {func(f *folder) { f.records[4] = replace(f.records[4], `","result`, `", "result`) }, Malformed, 4, 4, false},
		"empty line":           {func(f *folder) { f.records[4] = []byte("\n") }, Malformed, 4, 4, false},
		"zeros":                {func(f *folder) { f.records[4] = make([]byte, len(f.records[4])) }, Malformed, 4, 4, false},
		"endless line":         {func(f *folder) { f.records[4] = append(bytes.Repeat([]byte("x"), 1<<20), '\n') }, Malformed, 4, 4, false},
		"removed":              {func(f *folder) { f.records = append(f.records[:4:4], f.records[5:]...) }, Misplaced, 4, 4, false},
		"removed, renumbered": {func(f *folder) {
			f.records = append(f.records[:4:4], f.records[5:]...)
			for i := 4; i < 9; i++ {
				f.records[i] = replace(f.records[i], `{"number":`+string(rune('1'+i)), `{"number":`+string(rune('0'+i)))
			}
		}, Altered, 4, 4, false},
		"swapped": {func(f *folder) { f.records[4], f.records[5] = f.records[5], f.records[4] }, Misplaced, 4, 4, false},
		"swapped, renumbered": {func(f *folder) {
			a, b := f.records[4], f.records[5]
			f.records[4], f.records[5] = replace(b, `:5,`, `:4,`), replace(a, `:4,`, `:5,`)
		}, Altered, 4, 4, false},
		"inserted": {func(f *folder) {
			f.records = append(f.records[:4:4], append([][]byte{f.records[3]}, f.records[4:]...)...)
		}, Misplaced, 4, 4, false},
		"appended":  {func(f *folder) { f.records = append(f.records, replace(f.records[9], `:9,`, `:10,`)) }, Unsigned, 10, 10, false},
		"half line": {func(f *folder) { f.records = append(f.records, []byte(`{"number":10`)) }, Unsigned, 10, 10, false},
		"appended with its checkpoint": {func(f *folder) {
			f.records = append(f.records, replace(f.records[9], `:9,`, `:10,`))
			f.blocks = append(f.blocks, f.blocks[10])
			f.refit(t, 11, nil)
		}, Forged, 10, 10, false},
		"appended with another key": {func(f *folder) {
			f.records = append(f.records, replace(f.records[9], `:9,`, `:10,`))
			f.blocks = append(f.blocks, nil)
			f.refit(t, 11, other)
		}, Forged, 10, 10, false},
		"appended in a false next": {func(f *folder) {
			line := replace(f.records[9], `:9,`, `:10,`)
			f.next = append(bytes.Clone(line), f.blocks[10]...)
		}, Forged, 10, 10, false},
		"records truncated":     {func(f *folder) { f.records = f.records[:7] }, Missing, 7, 7, false},
		"truncated in a line":   {func(f *folder) { f.records[9] = f.records[9][:30] }, Malformed, 9, 9, false},
		"all records gone":      {func(f *folder) { f.records = nil }, Missing, 0, 0, false},
		"checkpoint truncated":  {func(f *folder) { f.blocks[10] = f.blocks[10][:40] }, Unsigned, 9, 9, false},
		"older checkpoint":      {func(f *folder) { f.blocks = f.blocks[:8] }, Unsigned, 7, 7, false},
		"checkpoint torn after": {func(f *folder) { f.blocks = append(f.blocks, []byte("sekisho")) }, Forged, 10, 10, false},
		"checkpoints emptied":   {func(f *folder) { f.blocks = nil }, Unsigned, 0, 0, false},
		"checkpoints swapped":   {func(f *folder) { f.blocks[4], f.blocks[5] = f.blocks[5], f.blocks[4] }, Forged, 5, 5, false},
		"checkpoint doubled":    {func(f *folder) { f.blocks = append(f.blocks, f.blocks[10]) }, Forged, 10, 10, false},
		"checkpoint's hash":     {func(f *folder) { f.blocks[4] = append([]byte(nil), replace(f.blocks[4], "\n4\n", "\n4\nA")...) }, Forged, 3, 3, false},
		"edited, checkpoint after refitted": {func(f *folder) {
			f.records[3] = replace(f.records[3], "done", "gone")
			keep := f.blocks[5:]
			f.blocks = f.blocks[:5:5]
			f.refit(t, 4, nil)
			f.blocks = append(f.blocks, keep...)
		}, Forged, 3, 3, false},
		"edited, all refitted": {func(f *folder) {
			f.records[3] = replace(f.records[3], "done", "gone")
			f.refit(t, 4, nil)
		}, Forged, 3, 3, false},
		"edited, all signed by another key": {func(f *folder) {
			f.records[3] = replace(f.records[3], "done", "gone")
			f.refit(t, 4, other)
		}, Forged, 3, 3, false},
		"edited, history thinned": {func(f *folder) {
			f.records[3] = replace(f.records[3], "done", "gone")
			f.blocks = append(f.blocks[:3:3], f.blocks[10])
		}, Altered, 2, 9, false},
		"rewritten by another key": {func(f *folder) { f.refit(t, 0, other) }, Forged, 0, 0, false},
		"truncated before next": {func(f *folder) {
			f.next = append(bytes.Clone(f.records[9]), f.blocks[10]...)
			f.records, f.blocks = f.records[:7], f.blocks[:8]
		}, Missing, 7, 8, false},
		"edited before next": {func(f *folder) {
			f.next = append(bytes.Clone(f.records[9]), f.blocks[10]...)
			f.records, f.blocks = f.records[:9], f.blocks[:10]
			f.records[8] = replace(f.records[8], "done", "gone")
		}, Altered, 8, 8, false},
		"more than next": {func(f *folder) {
			f.next = append(bytes.Clone(f.records[9]), f.blocks[10]...)
			f.records = append(f.records, f.records[9])
			f.blocks = f.blocks[:10]
		}, Unsigned, 9, 9, false},
		"all rolled back": {func(f *folder) { f.records, f.blocks = f.records[:7], f.blocks[:8] }, RolledBack, 7, 9, true},
		"rewritten with the key": {func(f *folder) {
			f.records[3] = replace(f.records[3], "done", "gone")
			k, err := newKey(origin, testKey("k3").Public())
			must(t, err)
			f.refit(t, 0, &signer{k, testKey("k3")})
		}, Forked, 0, 9, true},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "ledger")
			f := load(t, original)
			c.change(f)
			f.store(t, dir)
			before := load(t, dir)

			report, err := verify(t, dir, held)
			var fault *Fault
			if !errors.As(err, &fault) || fault.What != c.what || fault.First != c.first || fault.Last != c.last || report != nil {
				t.Errorf("Verify: %v, want %s %d to %d", err, c.what, c.first, c.last)
			}
			if c.expect {
				if _, err := verify(t, dir); err != nil {
					t.Errorf("without expecting: %v", err)
				}
				return
			}
			if fault != nil && !strings.Contains(fault.Error(), string(c.what)) {
				t.Error(fault)
			}
			if l, err := Open(dir, origin, testKey("k3")); !errors.As(err, &fault) || l != nil {
				t.Errorf("Open: %v", err)
			}
			after := load(t, dir)
			if !bytes.Equal(bytes.Join(before.records, nil), bytes.Join(after.records, nil)) ||
				!bytes.Equal(bytes.Join(before.blocks, nil), bytes.Join(after.blocks, nil)) {
				t.Error("Open changed a damaged ledger")
			}
		})
	}
}

func TestMissingFiles(t *testing.T) {
	for name, what := range map[string]What{recordsName: Missing, historyName: Headless} {
		dir := filepath.Join(t.TempDir(), "ledger")
		begin(t, dir, 3)
		must(t, os.Remove(filepath.Join(dir, name)))
		var f *Fault
		if _, err := verify(t, dir); !errors.As(err, &f) || f.What != what {
			t.Errorf("Verify without %s: %v", name, err)
		}
		if _, err := Open(dir, origin, testKey("k3")); !errors.As(err, &f) || f.What != what {
			t.Errorf("Open without %s: %v", name, err)
		}
	}
	dir := filepath.Join(t.TempDir(), "ledger")
	(&folder{}).store(t, dir)
	var f *Fault
	if _, err := verify(t, dir); !errors.As(err, &f) || f.What != Headless {
		t.Errorf("empty files: %v", err)
	}
	if _, err := Open(dir, origin, testKey("k3")); !errors.As(err, &f) || f.What != Headless {
		t.Errorf("empty files: %v", err)
	}
}

func TestExpect(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "ledger")
	begin(t, dir, 5)
	f := load(t, dir)
	if _, err := verify(t, dir, f.blocks...); err != nil {
		t.Error(err)
	}
	k, err := newKey(origin, testKey("thief").Public())
	must(t, err)
	forged, err := Checkpoint{Origin: origin, Size: 9}.sign(&signer{k, testKey("thief")})
	must(t, err)
	for name, signed := range map[string][]byte{
		"another key": forged, "nothing": nil, "no note": []byte("x"), "altered": replace(f.blocks[3], "\n3\n", "\n4\n"),
	} {
		if _, err := verify(t, dir, signed); err == nil || errors.As(err, new(*Fault)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

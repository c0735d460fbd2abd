package ledger

import (
	"bytes"
	"errors"
	"path/filepath"
	"testing"
)

func export(t testing.TB, dir string, from, to int64) []byte {
	t.Helper()
	var b bytes.Buffer
	must(t, Export(dir, from, to, &b))
	return b.Bytes()
}

func mirror(t testing.TB) (m *Mirror, dir string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "mirror")
	m, err := OpenMirror(dir, origin, testKey("k3").Public())
	must(t, err)
	t.Cleanup(func() { m.Close() })
	return m, dir
}

func TestMirror(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "ledger")
	begin(t, dir, 10)
	f := load(t, dir)
	m, copied := mirror(t)
	if err := m.Extend(nil, f.blocks[0]); err != nil || m.Size() != 0 || m.Checkpoint() != nil {
		t.Error(m.Size(), err)
	}
	if _, err := verify(t, copied); !errors.As(err, new(*Fault)) {
		t.Errorf("an empty mirror shows nothing: %v", err)
	}
	for _, step := range [][2]int64{{0, 4}, {4, 5}, {2, 7}, {0, 7}, {0, 10}} { // new, one, overlapping, nothing new, all
		if err := m.Extend(export(t, dir, step[0], step[1]), f.blocks[step[1]]); err != nil || m.Size() != step[1] {
			t.Fatal(step, m.Size(), err)
		}
		if !bytes.Equal(m.Checkpoint(), f.blocks[step[1]]) {
			t.Error("not the checkpoint that was sent")
		}
		if report, err := verify(t, copied, f.blocks[step[1]]); err != nil || report.Head.Size != step[1] {
			t.Error(report, err)
		}
	}
	if err := m.Extend(nil, f.blocks[3]); err != nil {
		t.Errorf("an older checkpoint is no fault: %v", err)
	}
	must(t, m.Close())
	m, err := OpenMirror(copied, origin, testKey("k3").Public())
	must(t, err)
	if m.Size() != 10 {
		t.Error(m.Size())
	}
	must(t, m.Close())
	if err := Export(dir, 8, 11, new(bytes.Buffer)); err == nil {
		t.Error("exported what is not there")
	}
}

// TestMirrorFaults: the other side changed its past, with its own key.
func TestMirrorFaults(t *testing.T) {
	dir, rewritten := filepath.Join(t.TempDir(), "ledger"), filepath.Join(t.TempDir(), "rewritten")
	begin(t, dir, 10)
	f := load(t, dir)
	k, err := newKey(origin, testKey("k3").Public())
	must(t, err)
	g := load(t, dir)
	g.records[3] = replace(g.records[3], "done", "gone")
	g.refit(t, 0, &signer{k, testKey("k3")})
	g.store(t, rewritten)
	if _, err := verify(t, rewritten); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		sent, checkpoint []byte
		what             What
		first, last      int64
	}{
		"rewritten, all sent":   {export(t, rewritten, 0, 10), g.blocks[10], Altered, 3, 3},
		"rewritten, new sent":   {export(t, rewritten, 6, 10), g.blocks[10], Forked, 0, 9},
		"rewritten, none sent":  {nil, g.blocks[5], Forked, 0, 4},
		"too few":               {export(t, dir, 6, 9), f.blocks[10], Missing, 9, 9},
		"none":                  {nil, f.blocks[10], Missing, 6, 9},
		"too many":              {export(t, dir, 6, 10), f.blocks[8], Unsigned, 8, 9},
		"too late":              {export(t, dir, 8, 10), f.blocks[10], Missing, 6, 7},
		"gap":                   {append(export(t, dir, 6, 7), export(t, dir, 8, 10)...), f.blocks[10], Misplaced, 7, 7},
		"no record":             {append(export(t, dir, 6, 9), "{}\n"...), f.blocks[10], Malformed, 9, 9},
		"edited after exported": {replace(export(t, dir, 6, 10), "done", "gone"), f.blocks[10], Forked, 0, 9},
	} {
		m, copied := mirror(t)
		must(t, m.Extend(export(t, dir, 0, 6), f.blocks[6]))
		var fault *Fault
		err := m.Extend(c.sent, c.checkpoint)
		if !errors.As(err, &fault) || fault.What != c.what || fault.First != c.first || fault.Last != c.last {
			t.Errorf("%s: %v, want %s %d to %d", name, err, c.what, c.first, c.last)
		}
		if report, err := verify(t, copied, f.blocks[6]); err != nil || report.Head.Size != 6 {
			t.Errorf("%s: the mirror is %+v, %v", name, report, err)
		}
		must(t, m.Extend(export(t, dir, 6, 10), f.blocks[10]))
	}
	m, _ := mirror(t)
	if err := m.Extend([]byte("{"), f.blocks[1]); err == nil {
		t.Error("half a line was taken")
	}
	if err := m.Extend(export(t, dir, 0, 1), replace(f.blocks[1], "\n1\n", "\n2\n")); err == nil || errors.As(err, new(*Fault)) {
		t.Errorf("an unsigned checkpoint: %v", err)
	}
}

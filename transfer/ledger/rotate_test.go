package ledger

import (
	"bytes"
	"crypto"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var handover = Record{Event: Trust, Result: "rotated", Facts: map[string]string{"purposes": "ledger"}}

// rotated makes a ledger of five records by k3 and hands it over to k4.
func rotated(t testing.TB, dir string) {
	t.Helper()
	begin(t, dir, 5)
	l, err := Rotate(dir, origin, testKey("k3"), testKey("k4"), handover)
	must(t, err)
	must(t, l.Close())
}

func ringOf(names ...string) (k Keyring) {
	for _, n := range names {
		k = append(k, testKey(n).Public())
	}
	return k
}

func TestRotate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "ledger")
	begin(t, dir, 5)
	before, err := verify(t, dir)
	must(t, err)
	l, err := Rotate(dir, origin, testKey("k3"), testKey("k4"), handover)
	must(t, err)
	between := l.Checkpoint()
	for i := range int64(3) {
		if n, err := l.Append(record(i)); err != nil || n != 6+i {
			t.Fatal(n, err)
		}
	}
	must(t, l.Close())

	// Both keys signed the hand-over: whoever trusts only one of them can read it.
	for _, name := range []string{"k3", "k4"} {
		if c, err := ParseCheckpoint(between, origin, testKey(name).Public()); err != nil || c.Size != 6 {
			t.Errorf("%s: %+v, %v", name, c, err)
		}
	}
	report, err := ringOf("k3", "k4").Verify(dir, origin, before.Signed, between)
	if err != nil || report.Head.Size != 9 || report.Checkpoints != 10 {
		t.Errorf("%+v, %v", report, err)
	}
	if _, err := ParseCheckpoint(report.Signed, origin, testKey("k3").Public()); err == nil {
		t.Error("the old key still signs")
	}

	// Handed over once: a second call after a crash does nothing.
	l, err = Rotate(dir, origin, testKey("k3"), testKey("k4"), handover)
	if err != nil || l.Size() != 9 {
		t.Fatalf("again: %v", err)
	}
	must(t, l.Close())
	l, err = Rotate(dir, origin, testKey("k4"), testKey("k5"), handover, testKey("k3").Public())
	must(t, err)
	must(t, l.Close())
	if l, err = Open(dir, origin, testKey("k5"), ringOf("k3", "k4")...); err != nil || l.Size() != 10 {
		t.Fatalf("opening with all keys: %v", err)
	}
	must(t, l.Close())
	if _, err := ringOf("k3", "k4", "k5").Verify(dir, origin, report.Signed); err != nil {
		t.Error(err)
	}

	// What lacks a key, or has them in another order, is not this ledger's ring.
	for _, names := range []string{"k3", "k4", "k5", "k3 k4", "k4 k5", "k3 k5", "k4 k3 k5", "k3 k5 k4", "k3 k4 k5 k6", "k3 k3", ""} {
		if _, err := ringOf(strings.Fields(names)...).Verify(dir, origin); err == nil {
			t.Errorf("it verifies with %q", names)
		}
	}
	for _, names := range []string{"k3 k4", "k5", "k3 k5"} {
		all := strings.Fields(names)
		if l, err := Open(dir, origin, testKey(all[len(all)-1]), ringOf(all[:len(all)-1]...)...); err == nil {
			t.Errorf("it opens with %q: %v", names, l.Close())
		}
	}
	if l, err := Rotate(dir, origin, testKey("k6"), testKey("k7"), handover, ringOf("k3", "k4", "k5")...); !errors.As(err, new(*Fault)) {
		t.Errorf("a key that never had it hands over: %v, %v", l, err)
	}
}

// TestReplacedKey: whoever stole the old key cannot go on with it, nor write the
// past anew.
func TestReplacedKey(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "ledger")
	rotated(t, dir)
	good := load(t, dir)
	stolen, err := newSigner(origin, testKey("k3"))
	must(t, err)
	for name, change := range map[string]func(f *folder){
		"goes on": func(f *folder) {
			f.records = append(f.records, replace(replace(f.records[4], `"number":4`, `"number":6`), "done", "gone"))
			f.blocks = append(f.blocks, nil)
			f.refit(t, 6, stolen)
		},
		"past":           func(f *folder) { f.records[2] = replace(f.records[2], "done", "gone"); f.refit(t, 2, stolen) },
		"no hand-over":   func(f *folder) { f.refit(t, 6, stolen) },
		"cut before":     func(f *folder) { f.records, f.blocks = f.records[:5], f.blocks[:6] },
		"half a handing": func(f *folder) { f.blocks[6] = f.blocks[6][:bytes.LastIndex(f.blocks[6], []byte("— "))] },
	} {
		f := load(t, dir)
		change(f)
		at := filepath.Join(t.TempDir(), "ledger")
		f.store(t, at)
		var fault *Fault
		if _, err := ringOf("k3", "k4").Verify(at, origin); !errors.As(err, &fault) {
			t.Errorf("%s: %v", name, err)
		}
		if l, err := Open(at, origin, testKey("k4"), testKey("k3").Public()); !errors.As(err, &fault) {
			t.Errorf("%s: opened, %v, %v", name, l, err)
		}
	}
	good.store(t, dir)
	if _, err := ringOf("k3", "k4").Verify(dir, origin); err != nil {
		t.Error(err)
	}
}

// TestRotateCrash puts a ledger into every state that a crash within the steps of
// a hand-over can leave: calling Rotate again always ends it, with one record.
func TestRotateCrash(t *testing.T) {
	original := filepath.Join(t.TempDir(), "ledger")
	begin(t, original, 5)
	before := load(t, original)
	done := filepath.Join(t.TempDir(), "ledger")
	rotated(t, done)
	after := load(t, done)
	line, block := after.records[5], after.blocks[6]
	if bytes.Count(block, []byte("\n")) != 6 {
		t.Fatalf("the hand-over is %q", block)
	}
	next := append(bytes.Clone(line), block...)
	type disk struct {
		next, records, block []byte
	}
	states := []disk{{}, {next: next}, {records: line, block: block}}
	for n := range len(line) + 1 {
		if n%17 == 0 || n == len(line) {
			states = append(states, disk{next: next, records: line[:n]})
		}
	}
	for n := range len(block) + 1 {
		states = append(states, disk{next: next, records: line, block: block[:n]})
	}
	for i, s := range states {
		dir := filepath.Join(t.TempDir(), "ledger")
		(&folder{records: append(before.records[:5:5], s.records), blocks: append(before.blocks[:6:6], s.block), next: s.next}).store(t, dir)
		// Whoever looks meanwhile finds nothing wrong, with the keys of before or of after.
		_, old := ringOf("k3").Verify(dir, origin)
		_, now := ringOf("k3", "k4").Verify(dir, origin)
		if old != nil && now != nil {
			t.Errorf("state %d: %v; %v", i, old, now)
		}
		l, err := Rotate(dir, origin, testKey("k3"), testKey("k4"), handover)
		if err != nil || l.Size() != 6 {
			t.Fatalf("state %d, %d bytes of next, %d of records, %d of checkpoints: %v", i, len(s.next), len(s.records), len(s.block), err)
		}
		_, err = l.Append(Record{Event: Stop})
		must(t, errors.Join(err, l.Close()))
		if report, err := ringOf("k3", "k4").Verify(dir, origin); err != nil || report.Head.Size != 7 {
			t.Errorf("state %d: %+v, %v", i, report, err)
		}
		if _, err := os.Stat(filepath.Join(dir, nextName)); !errors.Is(err, os.ErrNotExist) {
			t.Error("next is still there")
		}
	}
	t.Logf("%d states", len(states))
}

// TestMirrorOfRotated: a mirror follows the hand-over, and not the old key after it.
func TestMirrorOfRotated(t *testing.T) {
	root := t.TempDir()
	dir, copied := filepath.Join(root, "ledger"), filepath.Join(root, "mirror")
	begin(t, dir, 5)
	m, err := OpenMirror(copied, origin, testKey("k4").Public(), testKey("k3").Public())
	must(t, err)
	send := func(from, to int64, checkpoint []byte) error {
		var sent bytes.Buffer
		must(t, Export(dir, from, to, &sent))
		return m.Extend(sent.Bytes(), checkpoint)
	}
	report, err := verify(t, dir)
	must(t, err)
	must(t, send(0, 5, report.Signed))
	l, err := Rotate(dir, origin, testKey("k3"), testKey("k4"), handover)
	must(t, err)
	must(t, send(5, 6, l.Checkpoint()))
	_, err = l.Append(record(1))
	must(t, err)
	var root7 tree
	must(t, eachLine(dir, 0, func(line []byte, _ int64) error { root7.add(line); return nil }))
	stolen, err := newSigner(origin, testKey("k3"))
	must(t, err)
	forged, err := Checkpoint{origin, 7, root7.root()}.sign(stolen)
	must(t, err)
	var fault *Fault
	if err := send(6, 7, forged); !errors.As(err, &fault) || fault.What != Forged {
		t.Errorf("the old key's checkpoint: %v", err)
	}
	must(t, send(6, 7, l.Checkpoint()))
	must(t, errors.Join(m.Close(), l.Close()))
	if r, err := ringOf("k3", "k4").Verify(copied, origin); err != nil || r.Head.Size != 7 {
		t.Errorf("%+v, %v", r, err)
	}
	m, err = OpenMirror(copied, origin, testKey("k4").Public(), testKey("k3").Public())
	must(t, err)
	must(t, m.Close())
}

// TestOneKey: two keys of one id, or one twice, are no ring.
func TestOneKey(t *testing.T) {
	if _, err := newRing(origin); err == nil {
		t.Error("a ring without keys")
	}
	if _, err := newRing(origin, testKey("k3").Public(), crypto.PublicKey("x")); err == nil {
		t.Error("a key that is none")
	}
	if l, err := Rotate(filepath.Join(t.TempDir(), "l"), origin, testKey("k3"), testKey("k3"), handover); err == nil {
		t.Error(fmt.Sprint("handed over to itself", l))
	}
}

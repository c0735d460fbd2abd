package ledger

import (
	"bytes"
	"path/filepath"
	"testing"
	"time"
)

// fill makes a ledger of n records with a checkpoint after every so many. Each
// is signed, or with dummy only the head: the others then bear a signature of
// the right form, which is all that is looked at while nothing is wrong.
func fill(t testing.TB, dir string, n, every int64, dummy bool) {
	t.Helper()
	k, err := newKey(origin, testKey("k3").Public())
	must(t, err)
	s := &signer{k, testKey("k3")}
	var f folder
	var tr tree
	var signature []byte
	for i := range n {
		r := record(i)
		r.Number = i
		line, err := r.Marshal()
		must(t, err)
		tr.add(line)
		f.records = append(f.records, line)
		if tr.size%every != 0 && tr.size != n {
			continue
		}
		c := Checkpoint{origin, tr.size, tr.root()}
		if dummy && signature != nil && tr.size != n {
			f.blocks = append(f.blocks, append([]byte(c.text()+"\n"), signature...))
			continue
		}
		block, err := c.sign(s)
		must(t, err)
		f.blocks = append(f.blocks, block)
		_, signature, _ = bytes.Cut(block, []byte("\n\n"))
	}
	f.store(t, dir)
}

func TestManyRecords(t *testing.T) {
	const n = 100_000
	dir := filepath.Join(t.TempDir(), "ledger")
	fill(t, dir, n, n/100, false)
	start := time.Now()
	report, err := verify(t, dir)
	if err != nil || report.Head.Size != n || report.Checkpoints != 100 {
		t.Errorf("%+v, %v", report, err)
	}
	took := time.Since(start)
	t.Logf("verified %d records in %v", n, took)
	if took > 20*time.Second {
		t.Error("too slow, even for a loaded machine under the race detector")
	}
}

func BenchmarkAppend(b *testing.B) {
	l, err := Open(filepath.Join(b.TempDir(), "ledger"), origin, testKey("k3"))
	must(b, err)
	defer l.Close()
	for b.Loop() {
		_, err := l.Append(record(1))
		must(b, err)
	}
}

// BenchmarkVerify reads a million records with a checkpoint each.
func BenchmarkVerify(b *testing.B) {
	const n = 1_000_000
	dir := filepath.Join(b.TempDir(), "ledger")
	fill(b, dir, n, 1, true)
	for b.Loop() {
		_, err := verify(b, dir)
		must(b, err)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/record")
}

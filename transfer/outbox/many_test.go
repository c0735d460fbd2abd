package outbox

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"runtime"
	"testing"

	"sekisho/transfer/manifest"
)

// Memory does not grow with the number of files.
func TestManyFiles(t *testing.T) {
	const count, perFolder = 60_000, 1000
	k := newKeys(t)
	o := openOutbox(t, t.TempDir())
	p := testPlan(16 << 20)
	d, err := o.Begin(p, k.to(t)...)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()

	var before, peak uint64
	measure := func() {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		if before == 0 {
			before = m.HeapAlloc
		}
		peak = max(peak, m.HeapAlloc)
	}
	content := []byte("MSH|^~\\&|")
	sum := manifest.Hash(sha256.Sum256(content))
	measure()
	for i := range count {
		dir := fmt.Sprintf("%06d", i/perFolder)
		if i%perFolder == 0 {
			if err := add(d, []file{folder(dir)}); err != nil {
				t.Fatal(err)
			}
			if i%10_000 == 0 {
				measure()
			}
		}
		e := manifest.Entry{Path: manifest.Path(fmt.Sprintf("%s/%07d_20261122_ADT-00", dir, i)), Type: manifest.File,
			Size: int64(len(content)), ModTime: modTime, SHA256: &sum, Verdict: manifest.Clean}
		if err := d.Add(&e, Origin{Inode: uint64(i)}, "", bytes.NewReader(content)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := finish(d, nil, ""); err != nil {
		t.Fatal(err)
	}
	measure()
	t.Logf("%d parts, %d bytes more at the peak", len(d.parts), peak-before)
	// The shortest index line has 150 bytes: were they kept, it would be twice that.
	if most := uint64(4 << 20); peak-before > most {
		t.Errorf("%d files took %d bytes, more than %d", count, peak-before, most)
	}
	if len(d.parts) < 4 {
		t.Errorf("only %d parts", len(d.parts))
	}
}

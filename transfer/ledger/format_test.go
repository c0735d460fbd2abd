package ledger

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

func publicPEM(t testing.TB, pub crypto.PublicKey) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(pub)
	must(t, err)
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

// example returns the fenced block after the line "`name`:" in FORMAT.md.
func example(t *testing.T, name string) []byte {
	t.Helper()
	_, after, ok := strings.Cut(string(read(t, "FORMAT.md")), "\n`"+name+"`:\n\n```\n")
	block, _, closed := strings.Cut(after, "```\n")
	if !ok || !closed {
		t.Fatalf("FORMAT.md has no example %q", name)
	}
	return []byte(block)
}

// TestFormat has the example of FORMAT.md written by this package, and read.
func TestFormat(t *testing.T) {
	k := testKey("the key of FORMAT.md")
	dir := filepath.Join(t.TempDir(), "written")
	l, err := Open(dir, "sekisho/kiosk/k3", k)
	must(t, err)
	for _, r := range []Record{
		{Time: time.Date(2026, 11, 22, 0, 0, 3, 120e6, time.UTC), Event: Start, Facts: map[string]string{"software": "1.0.0", "state": "approved"}},
		{Time: time.Date(2026, 11, 22, 12, 12, 40, 7e6, time.UTC), Event: Prepare, Transfer: "20261122T1212Z-k3-000042", Result: "partial", Reason: "detected",
			Facts: map[string]string{"workflow": "2", "files": "8310", "bytes": "12884901888", "left-out": "1"}},
		{Time: time.Date(2026, 11, 22, 13, 5, 9, 0, time.UTC), Event: Write, By: "4711", Transfer: "20261122T1212Z-k3-000042", Result: "done", Facts: map[string]string{"drive": "B-03"}},
	} {
		_, err := l.Append(r)
		must(t, err)
	}
	must(t, l.Close())
	golden := filepath.Join(t.TempDir(), "golden")
	must(t, os.Mkdir(golden, 0o700))
	for _, name := range []string{recordsName, historyName} {
		want, got := example(t, name), read(t, filepath.Join(dir, name))
		if !bytes.Equal(want, got) {
			t.Errorf("FORMAT.md's %s is not what is written:\n%s", name, got)
		}
		must(t, os.WriteFile(filepath.Join(golden, name), want, 0o600))
	}
	if want, got := example(t, "public key"), publicPEM(t, k.Public()); !bytes.Equal(want, got) {
		t.Errorf("FORMAT.md's public key is not\n%s", got)
	}
	block, _ := pem.Decode(example(t, "public key"))
	pub, err := x509.ParsePKIXPublicKey(block.Bytes)
	must(t, err)
	if report, err := Verify(golden, "sekisho/kiosk/k3", pub); err != nil || report.Head.Size != 3 {
		t.Errorf("%+v, %v", report, err)
	}
	for e := range events {
		if !bytes.Contains(read(t, "FORMAT.md"), []byte("`"+string(e)+"`")) {
			t.Errorf("FORMAT.md does not know the event %q", string(e))
		}
	}
}

func FuzzRecord(f *testing.F) {
	for i := range int64(3) {
		r := record(i)
		r.Number = i
		b, err := r.Marshal()
		must(f, err)
		_, err = ParseRecord(b) // a stale seed would search nothing
		must(f, err)
		f.Add(b)
	}
	f.Add([]byte(`{"Number":0,"time":"2026-11-22T21:05:00.000Z","event":"later-version"}` + "\n"))
	f.Add([]byte(`{"number":0,"time":"2026-11-22T21:05:00.000Z","event":"later-version"}` + "\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := ParseRecord(b)
		if err != nil {
			if r.Event != "" || r.Facts != nil || !r.Time.IsZero() {
				t.Fatalf("%+v with %v", r, err)
			}
			return
		}
		if again, err := r.Marshal(); err != nil || !bytes.Equal(again, b) {
			t.Fatalf("%q became %q, %v", b, again, err)
		}
	})
}

func FuzzCheckpoint(f *testing.F) {
	k, err := newRing(origin, testKey("k2").Public(), testKey("k3").Public())
	must(f, err)
	older, old := &signer{k.keys[0], testKey("k2")}, &signer{k.keys[1], testKey("k3")}
	for _, size := range []int64{0, 1, 1 << 40} {
		for _, by := range [][]*signer{{old}, {older}, {older, old}} {
			b, err := Checkpoint{Origin: origin, Size: size}.sign(by...)
			must(f, err)
			_, err = k.parseBlock(b)
			must(f, err)
			f.Add(b)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := k.parseBlock(b)
		if err != nil && !reflect.DeepEqual(c, block{}) {
			t.Fatalf("%+v with %v", c, err)
		}
		if err == nil && (!bytes.HasPrefix(b, []byte(c.Checkpoint.text()+"\n— "+origin+" ")) || !bytes.Equal(c.text, b)) {
			t.Fatalf("%q is not %q", b, c.Checkpoint.text())
		}
		c, err = k.open(b)
		if err != nil {
			if !reflect.DeepEqual(c, block{}) {
				t.Fatalf("%+v with %v", c, err)
			}
			return
		}
		if d, err := k.open(c.text); err != nil || !reflect.DeepEqual(d, c) {
			t.Fatalf("%q became %q, %v", c.text, d.text, err)
		}
		if d, err := k.parseBlock(c.text); err != nil || !reflect.DeepEqual(d, c) {
			t.Fatalf("%q became %q, %v", c.text, d.text, err)
		}
	})
}

func FuzzNext(f *testing.F) {
	k, err := newRing(origin, testKey("k3").Public())
	must(f, err)
	var t tree
	line, err := record(0).Marshal()
	must(f, err)
	t.add(line)
	block, err := Checkpoint{origin, 1, t.root()}.sign(&signer{k.keys[0], testKey("k3")})
	must(f, err)
	_, err = parseNext(append(line, block...), k)
	must(f, err)
	f.Add(append(line, block...))
	f.Fuzz(func(t *testing.T, b []byte) {
		n, err := parseNext(b, k)
		if (n == nil) != (err != nil) || n != nil && !bytes.Equal(append(bytes.Clone(n.lines), n.block.text...), b) {
			t.Fatalf("%q: %+v, %v", b, n, err)
		}
	})
}

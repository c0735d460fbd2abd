package ledger

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"sekisho/transfer/durable"
)

const origin = "sekisho/test/k3"

// steady is a key that signs the same text the same way (RFC 6979), for
// golden files.
type steady struct{ *ecdsa.PrivateKey }

func (s steady) Sign(_ io.Reader, digest []byte, o crypto.SignerOpts) ([]byte, error) {
	return s.PrivateKey.Sign(nil, digest, o)
}

func testKey(seed string) steady {
	d := sha256.Sum256([]byte(seed))
	k, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), d[:])
	if err != nil {
		panic(err)
	}
	return steady{k}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func record(i int64) Record {
	return Record{
		Time:     time.Date(2026, 11, 22, 21, 5, 0, int(i%1000)*1e6, time.UTC),
		Event:    Prepare,
		Transfer: fmt.Sprintf("20261122T2140Z-k3-%06d", i),
		Result:   "done",
		Facts:    map[string]string{"files": fmt.Sprint(i * 7), "bytes": fmt.Sprint(i * 1000)},
	}
}

// begin makes a ledger of n records and leaves it closed.
func begin(t testing.TB, dir string, n int64) {
	t.Helper()
	l, err := Open(dir, origin, testKey("k3"))
	must(t, err)
	for i := range n {
		if number, err := l.Append(record(i)); err != nil || number != i {
			t.Fatal(number, err)
		}
	}
	must(t, l.Close())
}

func verify(t testing.TB, dir string, expect ...[]byte) (*Report, error) {
	t.Helper()
	return Verify(dir, origin, testKey("k3").Public(), expect...)
}

func read(t testing.TB, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	must(t, err)
	return b
}

func TestAppendListVerify(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "ledger")
	l, err := Open(dir, origin, testKey("k3"))
	must(t, err)
	if _, err := Open(dir, origin, testKey("k3")); !errors.As(err, new(*durable.HeldError)) {
		t.Errorf("second Open: %v", err)
	}
	var signed [][]byte
	for i := range int64(20) {
		signed = append(signed, l.Checkpoint())
		if number, err := l.Append(record(i)); err != nil || number != i {
			t.Fatal(number, err)
		}
	}
	for name, r := range map[string]Record{
		"unknown event": {Event: "party"},
		"kanji":         {Event: Import, By: "山田"},
		"newline":       {Event: Import, Reason: "a\nb"},
		"quote":         {Event: Import, Facts: map[string]string{"a": `"`}},
		"fact name":     {Event: Import, Facts: map[string]string{"A": ""}},
		"long":          {Event: Import, Reason: strings.Repeat("x", MaxField+1)},
		"old":           {Event: Import, Time: time.Date(1969, 1, 1, 0, 0, 0, 0, time.UTC)},
	} {
		if _, err := l.Append(r); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
	if l.Size() != 20 {
		t.Fatal(l.Size())
	}
	report, err := verify(t, dir, append(signed, l.Checkpoint())...)
	must(t, err)
	if report.Head.Size != 20 || report.Checkpoints != 21 || report.Interrupted || !bytes.Equal(report.Signed, l.Checkpoint()) {
		t.Errorf("%+v", report)
	}
	must(t, l.Close())

	l, err = Open(dir, origin, testKey("k3"))
	must(t, err)
	if number, err := l.Append(Record{Event: Stop}); err != nil || number != 20 {
		t.Error(number, err)
	}
	must(t, l.Close())
	next := int64(5)
	must(t, List(dir, 5, func(r Record) error {
		want := record(next)
		want.Number = next
		if next == 20 {
			if r.Event != Stop || time.Since(r.Time) > time.Minute {
				t.Errorf("%+v", r)
			}
		} else if !maps.Equal(r.Facts, want.Facts) || r.Transfer != want.Transfer || !r.Time.Equal(want.Time) || r.Number != next {
			t.Errorf("%+v, want %+v", r, want)
		}
		next++
		return nil
	}))
	if next != 21 {
		t.Errorf("listed to %d", next)
	}
	stop := errors.New("stop")
	if err := List(dir, 0, func(Record) error { return stop }); err != stop {
		t.Error(err)
	}
}

func TestKeys(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "ledger")
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	must(t, err)
	if _, err := Open(dir, origin, p384); err == nil {
		t.Error("P-384 was taken")
	}
	for _, name := range []string{"", "with space", "with+plus", "{", "関所", strings.Repeat("x", 129)} {
		if _, err := Open(dir, name, testKey("k3")); err == nil {
			t.Errorf("origin %q was taken", name)
		}
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Error("a refused Open left something")
	}
	begin(t, dir, 3)
	for name, open := range map[string]func() (*Log, error){
		"other key":    func() (*Log, error) { return Open(dir, origin, testKey("k4")) },
		"other origin": func() (*Log, error) { return Open(dir, origin+"x", testKey("k3")) },
	} {
		var f *Fault
		if l, err := open(); l != nil || !errors.As(err, &f) || f.What != Forged || f.First != 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
	// A broken key: nothing is written, and the ledger goes on with the right one.
	if _, err := Open(dir, origin, liar{testKey("k3")}); err == nil {
		t.Error("a signature that does not verify was taken")
	}
	if _, err := verify(t, dir); err != nil {
		t.Error(err)
	}
}

// liar is a key whose hardware signs something else.
type liar struct{ steady }

func (l liar) Sign(r io.Reader, digest []byte, o crypto.SignerOpts) ([]byte, error) {
	return l.steady.Sign(r, append([]byte{digest[0] ^ 1}, digest[1:]...), o)
}

// TestBeside has appenders, listers and verifiers at work at once.
func TestBeside(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "ledger")
	l, err := Open(dir, origin, testKey("k3"))
	must(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	var readers, writers sync.WaitGroup
	readers.Go(func() {
		for ctx.Err() == nil {
			held := l.Checkpoint()
			if _, err := verify(t, dir, held); err != nil {
				t.Error(err)
			}
		}
	})
	readers.Go(func() {
		for ctx.Err() == nil {
			size, n := l.Size(), int64(0)
			if err := List(dir, 0, func(Record) error { n++; return nil }); err != nil || n < size {
				t.Errorf("%d of %d: %v", n, size, err)
			}
		}
	})
	numbers := make([]bool, 100)
	var mu sync.Mutex
	for range 4 {
		writers.Go(func() {
			for range len(numbers) / 4 {
				n, err := l.Append(record(1))
				mu.Lock()
				if err != nil || numbers[n] {
					t.Errorf("%d: %v", n, err)
				}
				numbers[n] = true
				mu.Unlock()
			}
		})
	}
	writers.Wait()
	cancel()
	readers.Wait()
	if l.Size() != int64(len(numbers)) {
		t.Error(l.Size())
	}
	must(t, l.Close())
}

// TestOpenSSL has another implementation verify a checkpoint's signature.
func TestOpenSSL(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "ledger")
	begin(t, dir, 3)
	report, err := verify(t, dir)
	must(t, err)
	text, sig, _ := strings.Cut(string(report.Signed), "\n\n— "+origin+" ")
	raw, err := base64.StdEncoding.DecodeString(strings.TrimSuffix(sig, "\n"))
	must(t, err)
	at := func(name string) string { return filepath.Join(filepath.Dir(dir), name) }
	must(t, os.WriteFile(at("text"), []byte(text+"\n"), 0o600))
	must(t, os.WriteFile(at("sig"), raw[4:], 0o600))
	must(t, os.WriteFile(at("pub"), publicPEM(t, testKey("k3").Public()), 0o600))
	out, err := exec.Command("openssl", "dgst", "-sha256", "-verify", at("pub"), "-signature", at("sig"), at("text")).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "Verified OK") {
		t.Errorf("%s: %v", out, err)
	}
}

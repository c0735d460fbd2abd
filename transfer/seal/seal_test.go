package seal

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-tpm/tpm2"

	"sekisho/transfer/measure"
)

const testType = "application/vnd.in-toto+json"

// scratch holds what tests share; TestMain removes it. Fuzzing needs none, and
// its workers end without a word.
var scratch = sync.OnceValue(func() string {
	dir, err := os.MkdirTemp("", "seal")
	if err != nil {
		panic(err)
	}
	return dir
})

func TestMain(m *testing.M) {
	if dir := os.Getenv("SEAL_TEST_HOLD"); dir != "" {
		hold(dir)
	}
	code := m.Run()
	os.RemoveAll(scratch())
	os.Exit(code)
}

// hold is another process that has a TPM open until it is killed. A third one
// keeps the line to swtpm open even then.
func hold(dir string) {
	t, err := OpenSoftware(context.Background(), dir)
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	line, err := t.link.raw.(stream).Conn.(*net.UnixConn).File()
	if err != nil {
		panic(err)
	}
	keeper := exec.Command("sleep", "60")
	keeper.ExtraFiles = []*os.File{line}
	if err := keeper.Start(); err != nil {
		panic(err)
	}
	fmt.Println(t.child.cmd.Process.Pid, keeper.Process.Pid)
	select {}
}

// pristine is a TPM as manufactured, for tests to copy: making one takes a second.
var pristine = sync.OnceValues(func() (string, error) {
	dir := filepath.Join(scratch(), "pristine")
	t, err := OpenSoftware(context.Background(), dir)
	if err != nil {
		return "", err
	}
	return dir, t.Close()
})

// newFolder returns a folder with a TPM of its own state and everybody's seed.
func newFolder(t testing.TB) string {
	t.Helper()
	from, err := pristine()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "a folder, with=a comma")
	if err := os.CopyFS(dir, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(dir, stateName), 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

func openIn(t testing.TB, dir string) *TPM {
	t.Helper()
	tpm, err := OpenSoftware(context.Background(), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tpm.Close() })
	return tpm
}

func newKey(t testing.TB, tpm *TPM) *Key {
	t.Helper()
	k, err := tpm.CreateKey(Form{})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

var someDay = time.Date(2026, 4, 1, 0, 0, 0, 0, time.UTC)

func sum(b []byte) [32]byte { return sha256.Sum256(b) }

// enrol is the gate's record of a kiosk, as after the activation of a credential,
// which is tested by itself; root and endorsement key are invented.
func enrol(t testing.TB, k *Key, name string) *Kiosk {
	t.Helper()
	i := k.Identity()
	ev, err := k.Attest(someDigest)
	if err != nil {
		t.Fatal(err)
	}
	by, err := i.Check(k.form.Approvals, someDigest, ev)
	if err != nil {
		t.Fatal(err)
	}
	kiosk := &Kiosk{Name: name, Mode: ModeCertified, Software: k.Software(), Key: i.Key, CounterPublic: i.CounterPublic,
		Counter: by.Counter, ResetCount: by.ResetCount, EKCertificate: k.tpm.certificate(certificateRSA),
		EK: strings.Repeat("0a", 32), Root: strings.Repeat("bc", 32), PCRs: ev.PCRs, Events: ev.Events, Enrolled: someDay}
	if k.form.Approvals != nil {
		kiosk.Approvals = k.form.Approvals.Marshal()
	}
	if _, err := kiosk.Marshal(); err != nil {
		t.Fatal(err)
	}
	return kiosk
}

func newSeal(t testing.TB, k *Key, payload string) *Sealed {
	t.Helper()
	if _, err := k.Increment(); err != nil {
		t.Fatal(err)
	}
	s, err := k.Seal(testType, []byte(payload))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestRoundTrip(t *testing.T) {
	k := newKey(t, openIn(t, newFolder(t)))
	kiosk := enrol(t, k, "k3")
	for _, size := range []int{1, 1023, 1024, 1025, 8 << 10, MaxPayload} {
		n, err := k.Increment()
		if err != nil {
			t.Fatal(err)
		}
		want := bytes.Repeat([]byte{0xA5}, size)
		s, err := k.Seal(testType, want)
		if err != nil {
			t.Fatalf("%d bytes: %v", size, err)
		}
		if len(s.Envelope) > MaxEnvelope {
			t.Errorf("%d bytes: envelope has %d, want at most %d", size, len(s.Envelope), MaxEnvelope)
		}
		ev, err := EvidenceOf(s.Evidence.Files())
		if err != nil {
			t.Fatal(err)
		}
		payload, by, err := Open(testType, s.Envelope, ev, []*Kiosk{kiosk})
		if err != nil {
			t.Fatalf("%d bytes: %v", size, err)
		}
		if !bytes.Equal(payload, want) {
			t.Errorf("%d bytes: another payload came out", size)
		}
		if by.Kiosk != kiosk || by.Counter != n || !by.Software || len(by.PCRs) != 14 || by.ResetCount == 0 || by.Firmware == 0 {
			t.Errorf("opened as %+v, want counter %d of %p", by, n, kiosk)
		}
	}
	for _, size := range []int{0, MaxPayload + 1} {
		if s, err := k.Seal(testType, make([]byte, size)); err == nil || s != nil {
			t.Errorf("sealed %d bytes", size)
		}
	}
	if s, err := k.Seal("two words", []byte("x")); err == nil || s != nil {
		t.Error("sealed a payload type with a space")
	}
}

func TestMeasuredStateIsSealed(t *testing.T) {
	tpm := openIn(t, newFolder(t))
	k := newKey(t, tpm)
	kiosk := enrol(t, k, "k3")
	state := func() map[int][32]byte {
		s := newSeal(t, k, "x")
		_, by, err := Open(testType, s.Envelope, s.Evidence, []*Kiosk{kiosk})
		if err != nil {
			t.Fatal(err)
		}
		return by.PCRs
	}
	before := state()
	extend(t, tpm, 13)
	after := state()
	for pcr := range before {
		if changed := before[pcr] != after[pcr]; changed != (pcr == 13) {
			t.Errorf("PCR %d changed: %v", pcr, changed)
		}
	}
}

func extend(t *testing.T, tpm *TPM, pcr tpm2.TPMHandle) {
	t.Helper()
	_, err := tpm2.PCRExtend{
		PCRHandle: noPassword(pcr),
		Digests:   tpm2.TPMLDigestValues{Digests: []tpm2.TPMTHA{{HashAlg: tpm2.TPMAlgSHA256, Digest: make([]byte, 32)}}},
	}.Execute(tpm.link)
	if err != nil {
		t.Fatal(err)
	}
}

func TestConcurrentUse(t *testing.T) {
	k := newKey(t, openIn(t, newFolder(t)))
	kiosk := enrol(t, k, "k3")
	var mu sync.Mutex
	var values []uint64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			n, err := k.Increment()
			if err != nil {
				t.Error(err)
				return
			}
			s, err := k.Seal(testType, bytes.Repeat([]byte("x"), 5000))
			if err != nil {
				t.Error(err)
				return
			}
			_, by, err := Open(testType, s.Envelope, s.Evidence, []*Kiosk{kiosk})
			if err != nil || by.Counter < n {
				t.Errorf("opened as %+v, %v", by, err)
			}
			mu.Lock()
			values = append(values, n)
			mu.Unlock()
		})
	}
	wg.Wait()
	slices.Sort(values)
	if len(slices.Compact(values)) != 8 {
		t.Errorf("eight increments gave %v", values)
	}
	n, err := k.Counter()
	if err != nil || n != values[len(values)-1] {
		t.Errorf("counter is %d (%v), want %d", n, err, values[len(values)-1])
	}
	if h := loaded(t, k.tpm); len(h) > 0 {
		t.Errorf("left loaded in the TPM: %x", h)
	}
}

// loaded lists what occupies the TPM's slots for keys and sequences.
func loaded(t *testing.T, tpm *TPM) []tpm2.TPMHandle {
	t.Helper()
	rsp, err := tpm2.GetCapability{Capability: tpm2.TPMCapHandles, Property: 0x80000000, PropertyCount: 16}.Execute(tpm.link)
	if err != nil {
		t.Fatal(err)
	}
	list, err := rsp.CapabilityData.Data.Handles()
	if err != nil {
		t.Fatal(err)
	}
	return list.Handle
}

func TestFailedHashLeavesNothingLoaded(t *testing.T) {
	tpm := openIn(t, newFolder(t))
	newKey(t, tpm)
	tpm.inputMax = 1500 // more than the TPM takes
	for range 5 {
		if _, _, err := tpm.hash(make([]byte, 2000)); !errors.Is(err, tpm2.TPMRCSize) {
			t.Fatalf("hashing too much at once: %v", err)
		}
	}
	if h := loaded(t, tpm); len(h) > 0 {
		t.Errorf("left loaded in the TPM: %x", h)
	}
}

func TestEvidenceFiles(t *testing.T) {
	good := func() map[string][]byte {
		return Evidence{[]byte("a"), []byte("b"), []byte("c"), []byte("d"), []byte("e"), []byte("f")}.Files()
	}
	if ev, err := EvidenceOf(good()); err != nil || string(ev.QuoteSig) != "d" {
		t.Fatalf("got %v, %v", ev, err)
	}
	for name, change := range map[string]func(map[string][]byte){
		"missing": func(f map[string][]byte) { delete(f, "quote.pcrs") },
		"extra":   func(f map[string][]byte) { f["quote.more"] = []byte("x") },
		"renamed": func(f map[string][]byte) { f["Quote.sig"] = f["quote.sig"]; delete(f, "quote.sig") },
		"empty":   func(f map[string][]byte) { f["counter.sig"] = nil },
		"large":   func(f map[string][]byte) { f["counter.sig"] = make([]byte, maxStructure+1) },
		"events":  func(f map[string][]byte) { f["events.json"] = make([]byte, MaxEvidence+1) },
	} {
		files := good()
		change(files)
		ev, err := EvidenceOf(files)
		if !errors.Is(err, ErrMalformed) || ev.Files()["counter.attest"] != nil {
			t.Errorf("%s: got %v, %v", name, ev, err)
		}
	}
}

// noEvents is the list of a machine where nothing was measured.
func noEvents(t testing.TB) []byte {
	t.Helper()
	data, err := (&measure.List{Register: DefaultRegister}).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func withPassword(k *Key) tpm2.AuthHandle {
	return tpm2.AuthHandle{Handle: k.handle.Handle, Name: k.handle.Name, Auth: tpm2.PasswordAuth(nil)}
}

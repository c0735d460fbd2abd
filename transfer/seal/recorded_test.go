package seal

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-tpm/tpm2"
)

var record = flag.Bool("record", false, "record testdata/recorded anew, by a new software TPM")

// recorded reads a file of a seal that was made once and must open for ever.
func recorded(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", "recorded", name))
	if err != nil {
		t.Fatal(err)
	}
	if len(data) == 0 {
		t.Fatalf("%s is empty", name)
	}
	return data
}

func recordedSeal(t testing.TB) (envelope []byte, ev Evidence, kiosk *Kiosk) {
	t.Helper()
	files := map[string][]byte{}
	for name := range (Evidence{}).Files() {
		files[name] = recorded(t, name)
	}
	ev, err := EvidenceOf(files)
	if err != nil {
		t.Fatal(err)
	}
	if kiosk, err = ParseKiosk(recorded(t, "kiosk.json")); err != nil {
		t.Fatal(err)
	}
	return recorded(t, "statement.dsse.json"), ev, kiosk
}

// report is what an opened seal says, without the kiosk, for comparison.
func report(t *testing.T, by *Opened) []byte {
	t.Helper()
	said := *by
	said.Kiosk = nil
	data, err := json.MarshalIndent(said, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return append(data, '\n')
}

func TestRecordedSealOpens(t *testing.T) {
	if *record {
		makeRecord(t)
	}
	envelope, ev, kiosk := recordedSeal(t)
	payload, by, err := Open(testType, envelope, ev, []*Kiosk{kiosk})
	if err != nil {
		t.Fatal(err)
	}
	if string(payload) != firstPayload {
		t.Errorf("payload is %q", payload)
	}
	if got := report(t, by); !bytes.Equal(got, recorded(t, "opened.json")) {
		t.Errorf("opened as %s", got)
	}
}

func makeRecord(t *testing.T) {
	k := newKey(t, openIn(t, t.TempDir()))
	if err := k.tpm.Measure(someList(3)); err != nil {
		t.Fatal(err)
	}
	rsa := endorsementRSA(t, k.tpm).Public
	kiosk := enrol(t, k, "k3")
	kiosk.EK = fmt.Sprintf("%x", sum(rsa))
	enrolled, err := kiosk.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	s := newSeal(t, k, firstPayload)
	_, by, err := Open(testType, s.Envelope, s.Evidence, []*Kiosk{kiosk})
	if err != nil {
		t.Fatal(err)
	}
	files := s.Evidence.Files()
	files["statement.dsse.json"], files["kiosk.json"], files["opened.json"] = s.Envelope, enrolled, report(t, by)
	files["ek-rsa.public"], files["ek-ecc.public"] = rsa, endorsementECC(t, k.tpm)
	b := newBound(t, k.tpm)
	b.Authorized([]Authorization{b.authorize(t)})
	if err := b.Provision(); err != nil {
		t.Fatal(err)
	}
	files["ticket"] = tpm2.Marshal(*b.chosen.ticket)
	dir := filepath.Join("testdata", "recorded")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, data := range files {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

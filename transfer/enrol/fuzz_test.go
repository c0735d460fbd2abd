package enrol

import (
	"bytes"
	"testing"

	"sekisho/transfer/seal"
)

// fuzz feeds a parser; what it accepts comes out again as it went in.
func fuzz(f *testing.F, names ...string) {
	for _, name := range names {
		f.Add(recorded(f, name))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if got, err := documents[names[0]](data); err == nil && !bytes.Equal(got, data) {
			t.Errorf("accepted %q, which marshals to %q", data, got)
		}
	})
}

func FuzzRequest(f *testing.F)   { fuzz(f, "request.json", "bound.json") }
func FuzzChallenge(f *testing.F) { fuzz(f, "challenge.json") }
func FuzzAnswer(f *testing.F)    { fuzz(f, "answer.json") }
func FuzzPending(f *testing.F)   { fuzz(f, "pending.json") }

// No certificate that an attacker made is certified, and none panics.
func FuzzCertificate(f *testing.F) {
	r, err := ParseRequest(recorded(f, "request.json"))
	if err != nil {
		f.Fatal(err)
	}
	roots, err := parseRoots(recorded(f, "roots.pem"), true)
	if err != nil {
		f.Fatal(err)
	}
	genuine := r.Endorsement.Certificate
	f.Add(genuine)
	f.Fuzz(func(t *testing.T, der []byte) {
		o, err := roots.origin(Endorsement{r.Endorsement.Public, der}, false, r.Time)
		if err != nil && o != (Origin{}) {
			t.Error("an error and a result")
		}
		if err == nil && o.Mode == seal.ModeCertified && !bytes.Equal(der, genuine) {
			t.Errorf("certified by %x", der)
		}
		if err == nil && o.check() != nil {
			t.Errorf("origin %+v", o)
		}
	})
}

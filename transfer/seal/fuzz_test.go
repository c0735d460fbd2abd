package seal

import (
	"bytes"
	"testing"

	"github.com/google/go-tpm/tpm2"

	"sekisho/transfer/canonical"
)

// unchanged fails unless what was accepted marshals to the same bytes.
func unchanged(t *testing.T, data, again []byte, err error) {
	t.Helper()
	if err != nil || !bytes.Equal(data, again) {
		t.Errorf("accepted %q, which marshals to %q (%v)", data, again, err)
	}
}

func FuzzEnvelope(f *testing.F) {
	f.Add(recorded(f, "statement.dsse.json"))
	f.Fuzz(func(t *testing.T, data []byte) {
		e, err := parseEnvelope(data)
		if err != nil {
			if e != nil {
				t.Error("an error and a result")
			}
			return
		}
		again, err := canonical.Marshal(e)
		unchanged(t, data, again, err)
	})
}

// Of all evidence only the recorded opens the recorded envelope.
func FuzzEvidence(f *testing.F) {
	envelope, ev, kiosk := recordedSeal(f)
	f.Add(ev.Counter, ev.CounterSig, ev.Quote, ev.QuoteSig, ev.PCRs, ev.Events)
	f.Fuzz(func(t *testing.T, counter, counterSig, quote, quoteSig, pcrs, events []byte) {
		got := Evidence{counter, counterSig, quote, quoteSig, pcrs, events}
		payload, by, err := Open(testType, envelope, got, []*Kiosk{kiosk})
		if err != nil {
			if payload != nil || by != nil {
				t.Error("an error and a result")
			}
			return
		}
		for name, data := range ev.Files() {
			if !bytes.Equal(got.Files()[name], data) {
				t.Errorf("opened with another %s: %x", name, got.Files()[name])
			}
		}
	})
}

// FuzzAttestation goes past the signatures, which stop FuzzEvidence.
func FuzzAttestation(f *testing.F) {
	f.Add(recorded(f, "counter.attest"))
	f.Add(recorded(f, "quote.attest"))
	f.Add(recorded(f, "quote.sig"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if a, err := parseAttestation(data); err == nil {
			a.nv()
			a.quote()
		} else if a != nil {
			t.Error("an error and a result")
		}
		if der, err := signatureDER(data); err != nil && der != nil {
			t.Error("an error and a result")
		}
	})
}

func FuzzKiosk(f *testing.F) {
	f.Add(recorded(f, "kiosk.json"))
	f.Fuzz(func(t *testing.T, data []byte) {
		k, err := ParseKiosk(data)
		if err != nil {
			if k != nil {
				t.Error("an error and a result")
			}
			return
		}
		again, err := k.Marshal()
		unchanged(t, data, again, err)
	})
}

func FuzzPublicKey(f *testing.F) {
	_, _, kiosk := recordedSeal(f)
	key, err := kiosk.PublicKey()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(key.Marshal())
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := ParsePublicKey(data)
		if err != nil {
			if p != nil {
				t.Error("an error and a result")
			}
			return
		}
		unchanged(t, data, p.Marshal(), nil)
	})
}

func FuzzTicket(f *testing.F) {
	f.Add(recorded(f, "ticket"))
	f.Fuzz(func(t *testing.T, data []byte) {
		ticket, err := parseTicket(data)
		if err != nil {
			if ticket != nil {
				t.Error("an error and a result")
			}
			return
		}
		unchanged(t, data, tpm2.Marshal(*ticket), nil)
	})
}

func FuzzPCRs(f *testing.F) {
	f.Add(recorded(f, "quote.pcrs"))
	f.Fuzz(func(t *testing.T, data []byte) {
		values, err := parsePCRs(data)
		if err != nil {
			if values != nil {
				t.Error("an error and a result")
			}
			return
		}
		unchanged(t, data, marshalPCRs(values), nil)
	})
}

// FuzzEndorsement: whatever is taken for an endorsement key is encrypted to, or
// refused, and comes out as it went in.
func FuzzEndorsement(f *testing.F) {
	f.Add(recorded(f, "ek-rsa.public"))
	f.Add(recorded(f, "ek-ecc.public"))
	f.Fuzz(func(t *testing.T, data []byte) {
		public, err := parseEndorsement(data)
		if err != nil {
			if public != nil {
				t.Error("an error and a result")
			}
			return
		}
		unchanged(t, data, tpm2.Marshal(*public), nil)
		if _, err := tpm2.ImportEncapsulationKey(public); err != nil {
			t.Errorf("cannot be encrypted to: %v", err)
		}
	})
}

// FuzzIdentity holds what is read by hand against the TPM library: whatever is
// accepted is, but for the point, what the templates say.
func FuzzIdentity(f *testing.F) {
	_, _, kiosk := recordedSeal(f)
	f.Add(kiosk.Key, kiosk.CounterPublic)
	f.Fuzz(func(t *testing.T, key, counter []byte) {
		id, err := parseIdentity(key, counter, nil)
		if err != nil {
			if id != nil {
				t.Error("an error and a result")
			}
			return
		}
		public, err := tpm2.Unmarshal[tpm2.TPMTPublic](key)
		if err != nil {
			t.Fatal(err)
		}
		template := keyTemplate(nil)
		template.Unique = public.Unique
		unchanged(t, key, tpm2.Marshal(template), nil)
		written := counterTemplate(nil)
		written.Attributes.Written = true
		unchanged(t, counter, tpm2.Marshal(written), nil)
	})
}

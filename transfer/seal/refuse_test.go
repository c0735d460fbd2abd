package seal

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-tpm/tpm2"

	"sekisho/transfer/canonical"
)

// vectors are two seals of one kiosk and one of another, with everything that
// can be spliced together from them.
type vectors struct {
	key                  *Key
	kiosk, otherKiosk    *Kiosk
	first, second, other *Sealed
}

const (
	firstPayload  = `{"transfer":1,"text":"invented"}`
	secondPayload = `{"transfer":2,"text":"invented"}`
)

var otherFolder = sync.OnceValue(func() string { return filepath.Join(scratch(), "other") })

func newVectors(t testing.TB) *vectors {
	t.Helper()
	v := &vectors{key: newKey(t, openIn(t, newFolder(t)))}
	// Manufactured by itself: a copy would have the same seed, and so the same key.
	other := newKey(t, openIn(t, otherFolder()))
	v.kiosk, v.otherKiosk = enrol(t, v.key, "k1"), enrol(t, other, "k2")
	v.first, v.second = newSeal(t, v.key, firstPayload), newSeal(t, v.key, secondPayload)
	v.other = newSeal(t, other, firstPayload)
	return v
}

// refused opens a seal that must not open, for the reason given.
func refused(t *testing.T, payloadType string, envelope []byte, ev Evidence, trusted []*Kiosk, class error, reason string) {
	t.Helper()
	payload, by, err := Open(payloadType, envelope, ev, trusted)
	if payload != nil || by != nil {
		t.Fatalf("opened as %+v", by)
	}
	if !errors.Is(err, class) || !strings.Contains(err.Error(), reason) {
		t.Errorf("got %q, want %q with %q", err, class, reason)
	}
	for _, other := range []error{ErrMalformed, ErrUnknownKiosk, ErrBadSeal} {
		if other != class && errors.Is(err, other) {
			t.Errorf("%q is of class %q too", err, other)
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	v := newVectors(t)
	trusted := []*Kiosk{v.otherKiosk, v.kiosk}
	if payload, by, err := Open(testType, v.first.Envelope, v.first.Evidence, trusted); err != nil || string(payload) != firstPayload || by.Kiosk != v.kiosk {
		t.Fatalf("the sound seal: %v", err)
	}
	resigned := func(payload string) []byte { // by the right key, at the second's counter
		s, err := v.key.Seal(testType, []byte(payload))
		if err != nil {
			t.Fatal(err)
		}
		return s.Envelope
	}
	edit := func(old, new string) []byte {
		t.Helper()
		out := bytes.Replace(v.first.Envelope, []byte(old), []byte(new), 1)
		if bytes.Equal(out, v.first.Envelope) {
			t.Fatalf("no %q in the envelope", old)
		}
		return out
	}
	with := func(change func(*Evidence)) Evidence {
		ev := v.first.Evidence
		change(&ev)
		return ev
	}
	same := v.first.Evidence
	altered, err := canonical.Marshal(envelope{testType, []byte(secondPayload), signatures(t, v.first)})
	if err != nil {
		t.Fatal(err)
	}
	two, err := canonical.Marshal(envelope{testType, []byte(firstPayload), append(signatures(t, v.first), signatures(t, v.first)...)})
	if err != nil {
		t.Fatal(err)
	}
	none, err := canonical.Marshal(envelope{testType, []byte(firstPayload), []signature{}})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name     string
		envelope []byte
		evidence Evidence
		class    error
		reason   string
	}{
		{"changed statement", altered, same, ErrBadSeal, "envelope's signature is wrong"},
		{"other kiosk's evidence", v.first.Envelope, v.other.Evidence, ErrBadSeal, "counter: signature is wrong"},
		{"other kiosk's envelope", v.other.Envelope, same, ErrBadSeal, "counter: signature is wrong"},
		{"other seal's evidence", v.first.Envelope, v.second.Evidence, ErrBadSeal, "counter: made for something else"},
		{"other seal's envelope", v.second.Envelope, same, ErrBadSeal, "counter: made for something else"},
		{"same payload signed again", resigned(secondPayload), same, ErrBadSeal, "counter: made for something else"},
		{"other seal's counter", v.first.Envelope, with(func(e *Evidence) {
			e.Counter, e.CounterSig = v.second.Evidence.Counter, v.second.Evidence.CounterSig
		}), ErrBadSeal, "counter: made for something else"},
		{"other seal's quote", v.first.Envelope, with(func(e *Evidence) {
			e.Quote, e.QuoteSig = v.second.Evidence.Quote, v.second.Evidence.QuoteSig
		}), ErrBadSeal, "quote: made for something else"},
		{"other kiosk's quote", v.first.Envelope, with(func(e *Evidence) {
			e.Quote, e.QuoteSig = v.other.Evidence.Quote, v.other.Evidence.QuoteSig
		}), ErrBadSeal, "quote: signature is wrong"},
		{"other seal's signature of the counter", v.first.Envelope, with(func(e *Evidence) {
			e.CounterSig = v.second.Evidence.CounterSig
		}), ErrBadSeal, "counter: signature is wrong"},
		{"quote for the counter", v.first.Envelope, with(func(e *Evidence) {
			e.Counter, e.CounterSig = e.Quote, e.QuoteSig
		}), ErrBadSeal, "counter: attestation is of type 0x8018"},
		{"counter for the quote", v.first.Envelope, with(func(e *Evidence) {
			e.Quote, e.QuoteSig = e.Counter, e.CounterSig
		}), ErrBadSeal, "quote: attestation is of type 0x8014"},
		{"changed PCR value", v.first.Envelope, with(func(e *Evidence) {
			e.PCRs = bytes.Clone(e.PCRs)
			e.PCRs[valueAt(7)] ^= 1
		}), ErrBadSeal, "quote: PCR values are not those quoted"},
		{"bytes between the PCR values", v.first.Envelope, with(func(e *Evidence) {
			e.PCRs = bytes.Clone(e.PCRs)
			e.PCRs[valueAt(7)+32] = 1
		}), ErrBadSeal, "not laid out"},
		{"PCR value missing", v.first.Envelope, with(func(e *Evidence) { e.PCRs = e.PCRs[32:] }), ErrBadSeal, "1168 bytes of PCR values"},
		{"bytes after the PCR values", v.first.Envelope, with(func(e *Evidence) { e.PCRs = append(bytes.Clone(e.PCRs), 0) }), ErrBadSeal, "1201 bytes of PCR values"},
		{"bytes after the counter", v.first.Envelope, with(func(e *Evidence) { e.Counter = append(bytes.Clone(e.Counter), 0) }), ErrBadSeal, "counter: signature is wrong"},
		{"bytes after a signature", v.first.Envelope, with(func(e *Evidence) { e.QuoteSig = append(bytes.Clone(e.QuoteSig), 0) }), ErrBadSeal, "signature has 73 bytes"},
		{"signature of another scheme", v.first.Envelope, with(func(e *Evidence) {
			e.QuoteSig = bytes.Clone(e.QuoteSig)
			e.QuoteSig[1] = 0x1A // ECDAA
		}), ErrBadSeal, "signature is not ECDSA"},
		{"no evidence", v.first.Envelope, Evidence{}, ErrMalformed, "counter.attest has 0 bytes"},
		{"huge evidence", v.first.Envelope, with(func(e *Evidence) { e.PCRs = make([]byte, maxStructure+1) }), ErrMalformed, "quote.pcrs has 2049 bytes"},

		{"empty envelope", nil, same, ErrMalformed, "envelope"},
		{"bytes after the envelope", append(bytes.Clone(v.first.Envelope), '\n'), same, ErrMalformed, "canonical"},
		{"second document", append(bytes.Clone(v.first.Envelope), v.first.Envelope...), same, ErrMalformed, "envelope"},
		{"no line feed", bytes.TrimSpace(v.first.Envelope), same, ErrMalformed, "canonical"},
		{"space", edit(`":"`, `": "`), same, ErrMalformed, "canonical"},
		{"key of another case", edit("payloadType", "PayloadType"), same, ErrMalformed, "canonical"},
		{"repeated key", edit(`{"payloadType`, `{"payloadType":"x","payloadType`), same, ErrMalformed, "canonical"},
		{"unknown key", edit(`{"payloadType`, `{"more":1,"payloadType`), same, ErrMalformed, "canonical"},
		{"escaped letter", edit("application", `\u0061pplication`), same, ErrMalformed, "canonical"},
		{"line feed in base64", edit(`"payload":"`, `"payload":"\n`), same, ErrMalformed, "canonical"},
		{"two signatures", two, same, ErrMalformed, "2 signatures"},
		{"no signature", none, same, ErrMalformed, "0 signatures"},
		{"huge envelope", bytes.Repeat([]byte(" "), MaxEnvelope+1), same, ErrMalformed, "more than"},
		{"key id in capitals", edit(v.key.Public().KeyID(), strings.ToUpper(v.key.Public().KeyID())), same, ErrUnknownKiosk, "no enrolled kiosk"},
	} {
		t.Run(c.name, func(t *testing.T) {
			refused(t, testType, c.envelope, c.evidence, trusted, c.class, c.reason)
		})
	}
	t.Run("other payload type", func(t *testing.T) {
		refused(t, "text/plain", v.first.Envelope, same, trusted, ErrBadSeal, `of type "application/vnd.in-toto+json", want "text/plain"`)
	})
	t.Run("not enrolled", func(t *testing.T) {
		refused(t, testType, v.first.Envelope, same, []*Kiosk{v.otherKiosk}, ErrUnknownKiosk, v.key.Public().KeyID())
		refused(t, testType, v.first.Envelope, same, nil, ErrUnknownKiosk, "no enrolled kiosk")
	})
	t.Run("register is defective", func(t *testing.T) {
		for _, trusted := range [][]*Kiosk{{v.kiosk, v.kiosk}, {v.kiosk, {Name: "empty"}}} {
			if payload, by, err := Open(testType, v.first.Envelope, same, trusted); err == nil || payload != nil || by != nil {
				t.Errorf("opened as %+v", by)
			}
		}
	})
}

func signatures(t *testing.T, s *Sealed) []signature {
	t.Helper()
	e, err := parseEnvelope(s.Envelope)
	if err != nil {
		t.Fatal(err)
	}
	return e.Signatures
}

// What the enrolled key itself may be made to attest, by whoever has the TPM,
// is still not a seal.
func TestOpenRefusesOtherAttestationsOfTheKey(t *testing.T) {
	tpm := openIn(t, newFolder(t))
	k := newKey(t, tpm)
	trusted := []*Kiosk{enrol(t, k, "k1")}
	digest := sum(pae(testType, []byte(firstPayload)))
	envelope := newSeal(t, k, firstPayload).Envelope

	other := counterTemplate(nil)
	other.NVIndex++
	if _, err := (tpm2.NVDefineSpace{AuthHandle: noPassword(tpm2.TPMRHOwner), PublicInfo: tpm2.New2B(other)}).Execute(tpm.link); err != nil {
		t.Fatal(err)
	}
	otherIndex, err := tpm.readIndex(other.NVIndex)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := (tpm2.NVIncrement{AuthHandle: otherIndex.auth(), NVIndex: otherIndex.handle}).Execute(tpm.link); err != nil {
		t.Fatal(err)
	}
	if otherIndex, err = tpm.readIndex(other.NVIndex); err != nil {
		t.Fatal(err)
	}

	certify := func(i index, size, offset uint16, nonce [32]byte) Evidence {
		t.Helper()
		var e Evidence
		rsp, err := tpm2.NVCertify{SignHandle: withPassword(k), AuthHandle: i.auth(), NVIndex: i.handle,
			QualifyingData: tpm2.TPM2BData{Buffer: nonce[:]}, InScheme: scheme, Size: size, Offset: offset}.Execute(tpm.link)
		if err != nil {
			t.Fatal(err)
		}
		e.Counter = rsp.CertifyInfo.Bytes()
		if e.CounterSig, err = signatureOf(rsp.Signature); err != nil {
			t.Fatal(err)
		}
		if err := k.quote(&e, digest); err != nil {
			t.Fatal(err)
		}
		return e
	}
	quote := func(nonce [32]byte, selections ...tpm2.TPMSPCRSelection) Evidence {
		t.Helper()
		e := certify(k.counter, 8, 0, digest)
		if nonce == ([32]byte{}) {
			nonce = quoteNonce(digest, e.Counter, e.Events)
		}
		rsp, err := tpm2.Quote{SignHandle: withPassword(k), QualifyingData: tpm2.TPM2BData{Buffer: nonce[:]}, InScheme: scheme,
			PCRSelect: tpm2.TPMLPCRSelection{PCRSelections: selections}}.Execute(tpm.link)
		if err != nil {
			t.Fatal(err)
		}
		e.Quote = rsp.Quoted.Bytes()
		if e.QuoteSig, err = signatureOf(rsp.Signature); err != nil {
			t.Fatal(err)
		}
		return e
	}
	sha256Bank := func(bits ...byte) tpm2.TPMSPCRSelection {
		return tpm2.TPMSPCRSelection{Hash: tpm2.TPMAlgSHA256, PCRSelect: bits}
	}
	if _, _, err := Open(testType, envelope, certify(k.counter, 8, 0, digest), trusted); err != nil {
		t.Fatalf("the sound one: %v", err)
	}
	if _, _, err := Open(testType, envelope, quote([32]byte{}, sha256Bank(quotedBits...)), trusted); err != nil {
		t.Fatalf("the sound one: %v", err)
	}
	for _, c := range []struct {
		name, reason string
		evidence     Evidence
	}{
		{"counter of another index", "another than the enrolled one", certify(otherIndex, 8, 0, digest)},
		{"part of the counter", "not certified as a whole", certify(k.counter, 4, 0, digest)},
		{"end of the counter", "not certified as a whole", certify(k.counter, 4, 4, digest)},
		{"counter for nothing", "counter: made for something else", certify(k.counter, 8, 0, [32]byte{})},
		{"quote for the statement alone", "quote: made for something else", quote(digest, sha256Bank(quotedBits...))},
		{"quote of fewer PCRs", "not of the SHA-256 PCRs", quote([32]byte{}, sha256Bank(0xFF, 0x03, 0))},
		{"quote of more PCRs", "not of the SHA-256 PCRs", quote([32]byte{}, sha256Bank(0xFF, 0x7F, 0))},
		{"quote of resettable PCRs", "not of the SHA-256 PCRs", quote([32]byte{}, sha256Bank(0xFF, 0x03, 0x81))},
		{"quote of no PCRs", "not of the SHA-256 PCRs", quote([32]byte{}, sha256Bank(0, 0, 0))},
		{"quote of another bank", "not of the SHA-256 PCRs", quote([32]byte{}, tpm2.TPMSPCRSelection{Hash: tpm2.TPMAlgSHA384, PCRSelect: quotedBits})},
		{"quote of two lists", "not of the SHA-256 PCRs", quote([32]byte{}, sha256Bank(quotedBits...), sha256Bank(0, 0, 0))},
	} {
		t.Run(c.name, func(t *testing.T) {
			refused(t, testType, envelope, c.evidence, trusted, ErrBadSeal, c.reason)
		})
	}
	t.Run("after a reset in between", func(t *testing.T) {
		e := certify(k.counter, 8, 0, digest)
		dir := filepath.Dir(tpm.child.state)
		if err := tpm.Close(); err != nil {
			t.Fatal(err)
		}
		again, err := openIn(t, dir).Key(Form{})
		if err != nil {
			t.Fatal(err)
		}
		if err := again.quote(&e, digest); err != nil {
			t.Fatal(err)
		}
		refused(t, testType, envelope, e, trusted, ErrBadSeal, "made in another run of the TPM")
	})
}

// Ten thousand altered seals: none opens, none panics.
func TestNoMutationOpens(t *testing.T) {
	v := newVectors(t)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	for i := range 10_000 {
		sealed := Sealed{v.first.Envelope, v.first.Evidence}
		target := &sealed.Envelope
		if n := r.IntN(1 + len(sealed.Evidence.parts())); n > 0 {
			target = sealed.Evidence.parts()[n-1].data
		}
		*target = mutate(r, *target)
		if payload, by, err := Open(testType, sealed.Envelope, sealed.Evidence, []*Kiosk{v.kiosk}); err == nil || payload != nil || by != nil {
			t.Fatalf("mutation %d opened (%v): %q %x", i, err, sealed.Envelope, sealed.Evidence)
		}
	}
}

// mutate returns a copy of data that differs from it.
func mutate(r *rand.Rand, data []byte) []byte {
	out := bytes.Clone(data)
	at := r.IntN(len(out))
	switch r.IntN(5) {
	case 0:
		out[at] ^= 1 << r.IntN(8)
	case 1:
		out[at] += byte(1 + r.IntN(255))
	case 2:
		out = out[:at]
	case 3:
		out = append(out[:at], append([]byte{byte(r.Uint32())}, data[at:]...)...)
	case 4:
		out = append(out[:at], data[at+1:]...)
	}
	return out
}

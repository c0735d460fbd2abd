package seal

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-tpm/tpm2"
)

var someDay = time.Date(2026, 4, 1, 0, 0, 0, 0, time.UTC)

func sum(b []byte) [32]byte { return sha256.Sum256(b) }

func TestEnrolment(t *testing.T) {
	k := newKey(t, openIn(t, newFolder(t)))
	r, err := k.Request("ward-2")
	if err != nil {
		t.Fatal(err)
	}
	data, err := r.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	carried, err := ParseRequest(data)
	if err != nil {
		t.Fatal(err)
	}
	again, err := k.Request("ward-2")
	if err != nil {
		t.Fatal(err)
	}
	if f := carried.Fingerprint(); f != r.Fingerprint() || f != again.Fingerprint() || !regexp.MustCompile(`^([A-Z2-7]{4}-){4}[A-Z2-7]{4}$`).MatchString(f) {
		t.Errorf("fingerprints %q, %q, %q", f, r.Fingerprint(), again.Fingerprint())
	}
	kiosk, err := carried.Accept(time.Date(2026, 4, 1, 9, 0, 0, 99, time.FixedZone("JST", 9*3600)))
	if err != nil {
		t.Fatal(err)
	}
	count, err := k.Counter()
	if err != nil {
		t.Fatal(err)
	}
	if kiosk.Name != "ward-2" || kiosk.Mode != ModePinned || !kiosk.Software || kiosk.Counter != count || !kiosk.Enrolled.Equal(someDay) || len(kiosk.EKCertificate) == 0 {
		t.Errorf("enrolled as %+v", kiosk)
	}
	if data, err = kiosk.Marshal(); err != nil {
		t.Fatal(err)
	}
	kept, err := ParseKiosk(data)
	if err != nil {
		t.Fatal(err)
	}
	s := newSeal(t, k, "x")
	if _, by, err := Open(testType, s.Envelope, s.Evidence, []*Kiosk{kept}); err != nil || by.Kiosk != kept {
		t.Errorf("sealed by the enrolled kiosk: %+v, %v", by, err)
	}
	if p, err := kept.PublicKey(); err != nil || p.KeyID() != k.Public().KeyID() {
		t.Errorf("kept another key: %v", err)
	}
}

func TestRequestRefusesNames(t *testing.T) {
	k := newKey(t, openIn(t, newFolder(t)))
	for _, name := range []string{"", "K1", "-k", "k/1", "k 1", "外来", strings.Repeat("k", maxName+1)} {
		if _, err := k.Request(name); err == nil {
			t.Errorf("requested enrolment as %q", name)
		}
	}
}

// As the key's attributes are only what the request says, each is checked by
// itself; and the proof is over all of them.
func TestAcceptRefusesClaims(t *testing.T) {
	v := newVectors(t)
	good, err := v.key.Request("k1")
	if err != nil {
		t.Fatal(err)
	}
	attributes := func(public []byte, at int, change func(uint32) uint32) []byte {
		out := bytes.Clone(public)
		binary.BigEndian.PutUint32(out[at:], change(binary.BigEndian.Uint32(out[at:])))
		return out
	}
	type vector struct {
		name, reason string
		change       func(*Request)
	}
	all := []vector{
		{"another name", "proof: counter: made for something else", func(r *Request) { r.Name = "k2" }},
		{"said to be hardware", "proof: counter: made for something else", func(r *Request) { r.Software = false }},
		{"no certificate", "proof: counter: made for something else", func(r *Request) { r.EKCertificate = nil }},
		{"broken certificate", "not one DER element", func(r *Request) { r.EKCertificate = r.EKCertificate[1:] }},
		{"proof of a seal", "proof: counter: made for something else", func(r *Request) { r.Proof = v.first.Evidence }},
		{"proof of another TPM", "proof: counter: signature is wrong", func(r *Request) { r.Proof = v.other.Evidence }},
		{"key of another TPM", "proof: counter: signature is wrong", func(r *Request) { r.Key = v.otherKiosk.Key }},
		{"no proof", "counter.attest has 0 bytes", func(r *Request) { r.Proof = Evidence{} }},
		{"further key attribute", "further attributes 0x20000", func(r *Request) {
			r.Key = attributes(r.Key, 4, func(a uint32) uint32 { return a | 1<<17 })
		}},
		{"decryption key", "key lacks the attribute sign", func(r *Request) {
			r.Key = attributes(r.Key, 4, func(a uint32) uint32 { return a&^(1<<18) | 1<<17 })
		}},
		{"RSA key", "want ECC", func(r *Request) { r.Key = append([]byte{0, 1}, r.Key[2:]...) }},
		{"key named by SHA-1", "key is named by algorithm 0x4", func(r *Request) { r.Key = append([]byte{0, 0x23, 0, 4}, r.Key[4:]...) }},
		{"key with a policy", "key has a policy", func(r *Request) {
			r.Key = append(append(bytes.Clone(r.Key[:8]), append([]byte{0, 32}, make([]byte, 32)...)...), r.Key[10:]...)
		}},
		{"key of another curve", "not P-256", func(r *Request) { r.Key = bytes.Replace(r.Key, []byte{0, 3, 0, 0x10}, []byte{0, 4, 0, 0x10}, 1) }},
		{"key of another scheme", "not ECDSA", func(r *Request) { r.Key = bytes.Replace(r.Key, []byte{0, 0x18}, []byte{0, 0x1A}, 1) }},
		{"point not on the curve", "not on the curve", func(r *Request) { r.Key = bytes.Clone(r.Key); r.Key[len(r.Key)-1] ^= 1 }},
		{"bytes after the key", "point is malformed", func(r *Request) { r.Key = append(bytes.Clone(r.Key), 0) }},
		{"key cut short", "cut short", func(r *Request) { r.Key = r.Key[:9] }},
		{"no key", "cut short", func(r *Request) { r.Key = nil }},
		{"huge key", "more than 2048 bytes", func(r *Request) { r.Key = make([]byte, maxStructure+1) }},
		{"another index", "counter is index 0x1800a02", func(r *Request) { r.CounterPublic = append([]byte{1, 0x80, 10, 2}, r.CounterPublic[4:]...) }},
		{"owner may write the counter", "counter has further attributes 0x2", func(r *Request) {
			r.CounterPublic = attributes(r.CounterPublic, 6, func(a uint32) uint32 { return a | 1<<1 })
		}},
		{"counter is orderly", "counter has further attributes 0x4000000", func(r *Request) {
			r.CounterPublic = attributes(r.CounterPublic, 6, func(a uint32) uint32 { return a | 1<<26 })
		}},
		{"counter of four bytes", "counter has 4 bytes", func(r *Request) {
			r.CounterPublic = append(bytes.Clone(r.CounterPublic[:len(r.CounterPublic)-1]), 4)
		}},
		{"counter cut short", "malformed", func(r *Request) { r.CounterPublic = r.CounterPublic[:5] }},
		{"bytes after the counter", "malformed", func(r *Request) { r.CounterPublic = append(bytes.Clone(r.CounterPublic), 0) }},
	}
	for _, a := range append(slices.Clone(keyAttributes), plainKey) {
		all = append(all, vector{"key without " + a.name, "key lacks the attribute " + a.name, func(r *Request) {
			r.Key = attributes(r.Key, 4, func(v uint32) uint32 { return v &^ a.bit })
		}})
	}
	for _, a := range append(slices.Clone(counterAttributes), plainCounter) {
		all = append(all, vector{"counter without " + a.name, "counter lacks the attribute " + a.name, func(r *Request) {
			r.CounterPublic = attributes(r.CounterPublic, 6, func(v uint32) uint32 { return v &^ a.bit })
		}})
	}
	if _, err := good.Accept(someDay); err != nil {
		t.Fatalf("the sound request: %v", err)
	}
	for _, c := range all {
		t.Run(c.name, func(t *testing.T) {
			r := good
			c.change(&r)
			kiosk, err := r.Accept(someDay)
			if !errors.Is(err, ErrBadRequest) || kiosk != nil || !strings.Contains(err.Error(), c.reason) {
				t.Errorf("got %v, %q, want %q", kiosk, err, c.reason)
			}
		})
	}
}

// Real keys of another kind, with a proof that each of them can give.
func TestAcceptRefusesKeysOfAnotherKind(t *testing.T) {
	tpm := openIn(t, newFolder(t))
	k := newKey(t, tpm)
	for _, c := range []struct {
		name, reason string
		hierarchy    tpm2.TPMHandle
		change       func(*tpm2.TPMTPublic)
	}{
		{"not restricted", "key lacks the attribute restricted", tpm2.TPMRHEndorsement, func(p *tpm2.TPMTPublic) {
			p.ObjectAttributes.Restricted = false
		}},
		{"may leave its TPM", "key lacks the attribute fixedTPM", tpm2.TPMRHEndorsement, func(p *tpm2.TPMTPublic) {
			p.ObjectAttributes.FixedTPM, p.ObjectAttributes.FixedParent = false, false
		}},
		{"has a policy", "key has a policy", tpm2.TPMRHEndorsement, func(p *tpm2.TPMTPublic) {
			p.AuthPolicy.Buffer = make([]byte, 32)
		}},
		{"of the storage hierarchy", "not a primary key of the endorsement hierarchy", tpm2.TPMRHOwner, func(*tpm2.TPMTPublic) {}},
	} {
		t.Run(c.name, func(t *testing.T) {
			template := keyTemplate(nil)
			c.change(&template)
			made, err := tpm2.CreatePrimary{PrimaryHandle: noPassword(c.hierarchy), InPublic: tpm2.New2B(template)}.Execute(tpm.link)
			if err != nil {
				t.Fatal(err)
			}
			defer tpm.forget(made.ObjectHandle)
			weak := *k
			weak.handle = tpm2.NamedHandle{Handle: made.ObjectHandle, Name: made.Name}
			weak.public = made.OutPublic.Bytes()
			r := Request{Name: "k1", Key: weak.public, CounterPublic: k.counterPublic}
			digest, err := r.digest()
			if err != nil {
				t.Fatal(err)
			}
			if r.Proof, err = weak.evidence(digest); err != nil {
				t.Fatal(err)
			}
			if kiosk, err := r.Accept(someDay); !errors.Is(err, ErrBadRequest) || kiosk != nil || !strings.Contains(err.Error(), c.reason) {
				t.Errorf("got %v, %q, want %q", kiosk, err, c.reason)
			}
		})
	}
}

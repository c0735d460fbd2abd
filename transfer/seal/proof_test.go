package seal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-tpm/tpm2"
)

// attested is a key with evidence for digest, and what it takes to accept it.
type attested struct {
	Identity
	approvals *PublicKey
	ev        Evidence
}

var someDigest = sum([]byte("a request"))

func attestedBy(t *testing.T, k *Key) attested {
	t.Helper()
	ev, err := k.Attest(someDigest)
	if err != nil {
		t.Fatal(err)
	}
	a := attested{k.Identity(), k.form.Approvals, ev}
	if by, err := a.Check(a.approvals, someDigest, ev); err != nil || by.Kiosk != nil || by.Counter == 0 {
		t.Fatalf("the sound one: %+v, %v", by, err)
	}
	return a
}

// Each claim of an identity is checked by itself, in both forms.
func TestIdentityRefusesClaims(t *testing.T) {
	tpm := openIn(t, newFolder(t))
	k := newKey(t, tpm)
	sealed := newSeal(t, k, firstPayload)
	plain, stranger := attestedBy(t, k), attestedBy(t, newKey(t, openIn(t, otherFolder())))
	b := newBound(t, tpm)
	b.Authorized([]Authorization{b.authorize(t)})
	if err := b.Provision(); err != nil {
		t.Fatal(err)
	}
	bound := attestedBy(t, b.Key)
	other, _ := newPrivate(t)
	set := func(public []byte, at int, change func(uint32) uint32) []byte {
		out := bytes.Clone(public)
		binary.BigEndian.PutUint32(out[at:], change(binary.BigEndian.Uint32(out[at:])))
		return out
	}
	refuse := func(name string, a attested, digest [32]byte, class error, reason string) {
		t.Run(name, func(t *testing.T) {
			by, err := a.Check(a.approvals, digest, a.ev)
			if by != nil || !errors.Is(err, class) || !strings.Contains(err.Error(), reason) {
				t.Errorf("got %+v, %q, want %q", by, err, reason)
			}
		})
	}
	for form, good := range map[string]attested{"plain": plain, "bound": bound} {
		for _, a := range keyAttributes {
			bad := good
			bad.Key = set(good.Key, 4, func(v uint32) uint32 { return v &^ a.bit })
			refuse(form+" key without "+a.name, bad, someDigest, ErrBadRequest, "key lacks the attribute "+a.name)
		}
		for _, a := range counterAttributes {
			bad := good
			bad.CounterPublic = set(good.CounterPublic, 6, func(v uint32) uint32 { return v &^ a.bit })
			refuse(form+" counter without "+a.name, bad, someDigest, ErrBadRequest, "counter lacks the attribute "+a.name)
		}
		bad := good
		bad.ev.Quote = nil
		refuse(form+" without a quote", bad, someDigest, ErrMalformed, "quote.attest has 0 bytes")
		refuse(form+" for something else", good, [32]byte{}, ErrBadRequest, "proof: counter: made for something else")
	}
	swap := func(a attested, change func(*attested)) attested { change(&a); return a }
	for _, c := range []struct {
		name, reason string
		a            attested
	}{
		{"plain key taken for bound", "key has further attributes 0x40", swap(plain, func(a *attested) { a.approvals = bound.approvals })},
		{"bound key taken for plain", "key lacks the attribute userWithAuth", swap(bound, func(a *attested) { a.approvals = nil })},
		{"bound to another approvals key", "key has a policy of another approvals key", swap(bound, func(a *attested) { a.approvals = other.Public() })},
		{"bound, but an empty password will do", "key has further attributes 0x40", swap(bound, func(a *attested) {
			a.Key = set(a.Key, 4, func(v uint32) uint32 { return v | plainKey.bit })
		})},
		{"bound, administered by policy", "key has further attributes 0x80", swap(bound, func(a *attested) {
			a.Key = set(a.Key, 4, func(v uint32) uint32 { return v | 1<<7 })
		})},
		{"bound key, plain counter", "counter lacks the attribute POLICYWRITE", swap(bound, func(a *attested) { a.CounterPublic = plain.CounterPublic })},
		{"bound, but an empty password moves the counter", "counter has further attributes 0x4", swap(bound, func(a *attested) {
			a.CounterPublic = set(a.CounterPublic, 6, func(v uint32) uint32 { return v | plainCounter.bit })
		})},
		{"plain key, bound counter", "counter lacks the attribute AUTHWRITE", swap(plain, func(a *attested) { a.CounterPublic = bound.CounterPublic })},
		{"counter of another policy", "counter has a policy of another approvals key", swap(bound, func(a *attested) {
			a.CounterPublic = bytes.Clone(a.CounterPublic)
			a.CounterPublic[20] ^= 1
		})},
		{"further key attribute", "key has further attributes 0x20000", swap(plain, func(a *attested) {
			a.Key = set(a.Key, 4, func(v uint32) uint32 { return v | 1<<17 })
		})},
		{"decryption key", "key lacks the attribute sign", swap(plain, func(a *attested) {
			a.Key = set(a.Key, 4, func(v uint32) uint32 { return v&^(1<<18) | 1<<17 })
		})},
		{"RSA key", "want ECC", swap(plain, func(a *attested) { a.Key = append([]byte{0, 1}, a.Key[2:]...) })},
		{"key named by SHA-1", "key is named by algorithm 0x4", swap(plain, func(a *attested) { a.Key = append([]byte{0, 0x23, 0, 4}, a.Key[4:]...) })},
		{"key of another curve", "not P-256", swap(plain, func(a *attested) { a.Key = bytes.Replace(a.Key, []byte{0, 3, 0, 0x10}, []byte{0, 4, 0, 0x10}, 1) })},
		{"key of another scheme", "not ECDSA", swap(plain, func(a *attested) { a.Key = bytes.Replace(a.Key, []byte{0, 0x18}, []byte{0, 0x1A}, 1) })},
		{"point not on the curve", "not on the curve", swap(plain, func(a *attested) { a.Key = bytes.Clone(a.Key); a.Key[len(a.Key)-1] ^= 1 })},
		{"bytes after the key", "point is malformed", swap(plain, func(a *attested) { a.Key = append(bytes.Clone(a.Key), 0) })},
		{"key cut short", "cut short", swap(plain, func(a *attested) { a.Key = a.Key[:9] })},
		{"no key", "cut short", swap(plain, func(a *attested) { a.Key = nil })},
		{"key of another TPM", "proof: counter: signature is wrong", swap(plain, func(a *attested) { a.Key = stranger.Key })},
		{"another index", "counter is index 0x1800a02", swap(plain, func(a *attested) { a.CounterPublic = append([]byte{1, 0x80, 10, 2}, a.CounterPublic[4:]...) })},
		{"owner may write the counter", "counter has further attributes 0x2", swap(plain, func(a *attested) {
			a.CounterPublic = set(a.CounterPublic, 6, func(v uint32) uint32 { return v | 1<<1 })
		})},
		{"counter is orderly", "counter has further attributes 0x4000000", swap(plain, func(a *attested) {
			a.CounterPublic = set(a.CounterPublic, 6, func(v uint32) uint32 { return v | 1<<26 })
		})},
		{"counter of four bytes", "counter has 4 bytes", swap(plain, func(a *attested) {
			a.CounterPublic = append(bytes.Clone(a.CounterPublic[:len(a.CounterPublic)-1]), 4)
		})},
		{"counter cut short", "malformed", swap(plain, func(a *attested) { a.CounterPublic = a.CounterPublic[:5] })},
		{"bytes after the counter", "malformed", swap(plain, func(a *attested) { a.CounterPublic = append(bytes.Clone(a.CounterPublic), 0) })},
		{"proof of a seal", "proof: counter: made for something else", swap(plain, func(a *attested) { a.ev = sealed.Evidence })},
		{"proof of another TPM", "proof: counter: signature is wrong", swap(plain, func(a *attested) { a.ev = stranger.ev })},
		{"the other form's evidence", "proof: counter: signature is wrong", swap(bound, func(a *attested) { a.ev = plain.ev })},
	} {
		refuse(c.name, c.a, someDigest, ErrBadRequest, c.reason)
	}
}

// Real keys of another kind attest as well as the right one. What they are shows.
func TestIdentityRefusesOtherKeys(t *testing.T) {
	tpm := openIn(t, newFolder(t))
	k := newKey(t, tpm)
	for _, c := range []struct {
		name, reason string
		hierarchy    tpm2.TPMHandle
		change       func(*tpm2.TPMTPublic)
	}{
		{"not restricted", "key lacks the attribute restricted", tpm2.TPMRHEndorsement, func(p *tpm2.TPMTPublic) { p.ObjectAttributes.Restricted = false }},
		{"may leave its TPM", "key lacks the attribute fixedTPM", tpm2.TPMRHEndorsement, func(p *tpm2.TPMTPublic) {
			p.ObjectAttributes.FixedTPM, p.ObjectAttributes.FixedParent = false, false
		}},
		{"has a policy", "key has a policy", tpm2.TPMRHEndorsement, func(p *tpm2.TPMTPublic) { p.AuthPolicy.Buffer = make([]byte, 32) }},
		{"of the owner's hierarchy", "not a primary key of the endorsement hierarchy", tpm2.TPMRHOwner, func(*tpm2.TPMTPublic) {}},
		{"of the null hierarchy", "not a primary key of the endorsement hierarchy", tpm2.TPMRHNull, func(*tpm2.TPMTPublic) {}},
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
			ev, err := weak.evidence(someDigest)
			if err != nil {
				t.Fatal(err)
			}
			i := Identity{made.OutPublic.Bytes(), k.counterPublic}
			if by, err := i.Check(nil, someDigest, ev); by != nil || !errors.Is(err, ErrBadRequest) || !strings.Contains(err.Error(), c.reason) {
				t.Errorf("got %+v, %q, want %q", by, err, c.reason)
			}
		})
	}
}

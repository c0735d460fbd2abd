package enrol

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"sekisho/transfer/manifest"
	"sekisho/transfer/seal"
)

const testType = "application/vnd.sekisho.test"

// Both forms in both modes, from the request to a seal that opens.
func TestEnrolment(t *testing.T) {
	for _, bound := range []bool{false, true} {
		for _, mode := range []string{seal.ModeCertified, seal.ModeFingerprint} {
			t.Run(fmt.Sprintf("%s, bound %v", mode, bound), func(t *testing.T) {
				g := newGate(t, "g1")
				form := seal.Form{}
				if bound {
					form.Approvals = g.it.Public()
				}
				m := newMachine(t, firstTPM, form)
				var claim func(*Request)
				if mode == seal.ModeCertified {
					g.trust(t, m)
				} else {
					// Nothing in the files shows that this is a lie, which is why
					// such a kiosk is recorded as compared by people.
					claim = func(r *Request) { r.Software, r.Endorsement.Certificate = false, nil }
				}
				r := m.request(t, claim)
				c, p := g.challenge(t, r)
				if bound {
					if a, err := Respond(t.Context(), m.key, r, c); !errors.Is(err, seal.ErrUnapproved) || a != nil {
						t.Fatalf("answered in a state that IT did not approve: %v", err)
					}
					m.approve(t, g.it)
				}
				kiosk, err := p.Finish(m.respond(t, r, c), someDay.Add(99*time.Millisecond))
				if err != nil {
					t.Fatal(err)
				}
				checkKiosk(t, m, kiosk, mode, bound)
				if set, err := c.KeySet(); err != nil || *set != *withFormat(g.keys) {
					t.Errorf("pinned %+v, %v", set, err)
				}
			})
		}
	}
}

func withFormat(k *manifest.KeySet) *manifest.KeySet {
	set := *k
	set.Format = "sekisho-keys/1"
	return &set
}

func checkKiosk(t *testing.T, m *machine, kiosk *seal.Kiosk, mode string, bound bool) {
	t.Helper()
	count, err := m.key.Counter()
	if err != nil {
		t.Fatal(err)
	}
	ek := sha256.Sum256(m.ek.Public)
	if kiosk.Name != "ward-2" || kiosk.Mode != mode || kiosk.Counter != count || !kiosk.Enrolled.Equal(someDay) ||
		kiosk.EK != fmt.Sprintf("%x", ek) || kiosk.Software != (mode == seal.ModeCertified) || (kiosk.Root != "") != (mode == seal.ModeCertified) ||
		(len(kiosk.Approvals) > 0) != bound {
		t.Errorf("enrolled as %+v", kiosk)
	}
	data, err := kiosk.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	kept, err := seal.ParseKiosk(data)
	if err != nil {
		t.Fatal(err)
	}
	s, err := m.key.Seal(testType, []byte("payload"))
	if err != nil {
		t.Fatal(err)
	}
	payload, by, err := seal.Open(testType, s.Envelope, s.Evidence, []*seal.Kiosk{kept})
	if err != nil || string(payload) != "payload" || by.Kiosk != kept {
		t.Fatalf("sealed by the enrolled kiosk: %q, %+v, %v", payload, by, err)
	}
	if by.ResetCount != kiosk.ResetCount || !bytes.Equal(s.Evidence.PCRs, kiosk.PCRs) || !bytes.Equal(s.Evidence.Events, kiosk.Events) {
		t.Errorf("state at enrolment is %d, %x, %s", kiosk.ResetCount, kiosk.PCRs, kiosk.Events)
	}
}

// Whoever holds the drive answers the request with keys of his own. The digests
// that people compare differ; and when they do not compare, the answer that the
// kiosk makes for his keys is worth nothing at the true gate.
func TestDriveHolderWithKeysOfHisOwn(t *testing.T) {
	m := newMachine(t, firstTPM, seal.Form{})
	g, thief := newGate(t, "g1", m), newGate(t, "g1", m)
	r := m.request(t, nil)
	c, p := g.challenge(t, r)

	// He makes his own challenge, or puts his keys into the gate's.
	own, _ := thief.challenge(t, r)
	swapped := *c
	swapped.Keys = own.Keys
	for name, c := range map[string]*Challenge{"his challenge": own, "the gate's with his keys": carry(t, &swapped, ParseChallenge)} {
		if c.Fingerprint() == KeysFingerprint(p.Keys) {
			t.Errorf("%s: people would see the same digest %s", name, c.Fingerprint())
		}
		kiosk, err := p.Finish(m.respond(t, r, c), someDay)
		if !errors.Is(err, ErrRefused) || kiosk != nil || !strings.Contains(err.Error(), "another gate's keys") {
			t.Errorf("%s: finished with %+v, %v", name, kiosk, err)
		}
	}
	if c.Fingerprint() != KeysFingerprint(p.Keys) {
		t.Errorf("people see %s and %s of the true gate", c.Fingerprint(), KeysFingerprint(p.Keys))
	}
	if _, err := p.Finish(m.respond(t, r, c), someDay); err != nil {
		t.Errorf("the true answer: %v", err)
	}
}

func TestRespondRefuses(t *testing.T) {
	m, other := newMachine(t, firstTPM, seal.Form{}), newMachine(t, otherTPM, seal.Form{})
	g := newGate(t, "g1", m, other)
	r, earlier, others := m.request(t, nil), m.request(t, nil), other.request(t, nil)
	c, _ := g.challenge(t, r)
	mixed, _ := g.challenge(t, others)
	mixed.Request = c.Request
	altered := *c
	altered.Credential.Blob = bytes.Clone(c.Credential.Blob)
	altered.Credential.Blob[len(altered.Credential.Blob)-1] ^= 1
	for name, v := range map[string]struct {
		key       *seal.Key
		request   *Request
		challenge *Challenge
		says      string
	}{
		"to an earlier request":    {m.key, earlier, c, "challenge is for request"},
		"to another kiosk":         {other.key, others, c, "challenge is for request"},
		"by another TPM":           {other.key, r, c, "another sealing key"},
		"credential for another":   {m.key, r, mixed, "another TPM or another sealing key"},
		"credential, a bit turned": {m.key, r, &altered, "another TPM or another sealing key"},
	} {
		a, err := Respond(t.Context(), v.key, v.request, v.challenge)
		if !errors.Is(err, ErrRefused) || a != nil || !strings.Contains(err.Error(), v.says) {
			t.Errorf("%s: %+v, %v, want %q", name, a, err, v.says)
		}
	}
	if _, err := Respond(t.Context(), m.key, r, c); err != nil {
		t.Errorf("the true challenge: %v", err)
	}
}

func TestFinishRefuses(t *testing.T) {
	m, other := newMachine(t, firstTPM, seal.Form{}), newMachine(t, otherTPM, seal.Form{})
	g := newGate(t, "g1", m, other)
	earlier, r, others := m.request(t, nil), m.request(t, nil), other.request(t, nil)
	c, p := g.challenge(t, r)
	good := m.respond(t, r, c)
	c0, _ := g.challenge(t, earlier)
	c1, _ := g.challenge(t, r)
	c2, _ := g.challenge(t, others)
	s, err := m.key.Seal(testType, []byte("payload"))
	if err != nil {
		t.Fatal(err)
	}
	byOther, err := other.key.Attest(proofDigest(good.Request, p.Keys, good.MAC))
	if err != nil {
		t.Fatal(err)
	}
	for name, v := range map[string]struct {
		change func(*Answer)
		says   string
	}{
		"to an earlier request":       {func(a *Answer) { *a = *m.respond(t, earlier, c0) }, "to request"},
		"its digest made to fit":      {func(a *Answer) { *a = *m.respond(t, earlier, c0); a.Request = good.Request }, "another TPM"},
		"to an earlier challenge":     {func(a *Answer) { *a = *m.respond(t, r, c1) }, "earlier challenge"},
		"of another TPM":              {func(a *Answer) { *a = *other.respond(t, others, c2) }, "to request"},
		"of another TPM, made to fit": {func(a *Answer) { *a = *other.respond(t, others, c2); a.Request = good.Request }, "another TPM"},
		"under another name":          {func(a *Answer) { a.Name = "ward-3" }, `kiosk "ward-3"`},
		"a bit of the MAC turned":     {func(a *Answer) { a.MAC[31] ^= 1 }, "another TPM"},
		"without a MAC":               {func(a *Answer) { a.MAC = manifest.Hash{} }, "another TPM"},
		"proof by another TPM":        {func(a *Answer) { a.Proof = byOther }, "signature is wrong"},
		"proof of a seal":             {func(a *Answer) { a.Proof = s.Evidence }, "made for something else"},
		"proof of another answer":     {func(a *Answer) { a.Proof = m.respond(t, r, c1).Proof }, "made for something else"},
		"without proof":               {func(a *Answer) { a.Proof = seal.Evidence{} }, "0 bytes"},
		"other registers":             {func(a *Answer) { a.Proof.PCRs = bytes.Clone(a.Proof.PCRs); a.Proof.PCRs[len(a.Proof.PCRs)-200] ^= 1 }, "quote"},
	} {
		a := *good
		v.change(&a)
		kiosk, err := p.Finish(&a, someDay)
		if !errors.Is(err, ErrRefused) || kiosk != nil || !strings.Contains(err.Error(), v.says) {
			t.Errorf("%s: %+v, %v, want %q", name, kiosk, err, v.says)
		}
	}
	if _, err := p.Finish(good, someDay); err != nil {
		t.Errorf("the true answer: %v", err)
	}
}

// What a request claims of key and counter is checked before the gate makes a
// challenge for it.
func TestChallengeRefusesKeys(t *testing.T) {
	m, other := newMachine(t, firstTPM, seal.Form{}), newMachine(t, otherTPM, seal.Form{})
	g := newGate(t, "g1", m, other)
	foreign := newGate(t, "g2")
	bound := newMachine(t, firstTPM, seal.Form{Approvals: g.it.Public()})
	turn := func(area []byte, at int, bits uint32) []byte {
		out := bytes.Clone(area)
		binary.BigEndian.PutUint32(out[at:], binary.BigEndian.Uint32(out[at:])^bits)
		return out
	}
	for name, v := range map[string]struct {
		machine *machine
		change  func(*Request)
		class   error
		says    string
	}{
		"key not restricted":       {m, func(r *Request) { r.Key = turn(r.Key, 4, 1<<16) }, ErrRefused, "key lacks the attribute restricted"},
		"key not fixedTPM":         {m, func(r *Request) { r.Key = turn(r.Key, 4, 1<<1) }, ErrRefused, "key lacks the attribute fixedTPM"},
		"key imported":             {m, func(r *Request) { r.Key = turn(r.Key, 4, 1<<5) }, ErrRefused, "key lacks the attribute sensitiveDataOrigin"},
		"key decrypts":             {m, func(r *Request) { r.Key = turn(r.Key, 4, 1<<17) }, ErrRefused, "further attributes"},
		"counter never written":    {m, func(r *Request) { r.CounterPublic = turn(r.CounterPublic, 6, 1<<29) }, ErrRefused, "counter lacks the attribute WRITTEN"},
		"counter is orderly":       {m, func(r *Request) { r.CounterPublic = turn(r.CounterPublic, 6, 1<<26) }, ErrRefused, "counter has further attributes"},
		"another index":            {m, func(r *Request) { r.CounterPublic = turn(r.CounterPublic, 0, 1) }, ErrRefused, "counter is index"},
		"key cut short":            {m, func(r *Request) { r.Key = r.Key[:9] }, ErrRefused, "cut short"},
		"bound, asks as plain":     {bound, func(r *Request) { r.Approvals = "" }, ErrRefused, "userWithAuth"},
		"plain, asks as bound":     {m, func(r *Request) { r.Approvals, r.State = g.it.Public().KeyID(), []byte("x") }, ErrRefused, "key has further attributes 0x40"},
		"bound to another's key":   {bound, func(r *Request) { r.Approvals = foreign.it.Public().KeyID() }, ErrRefused, "approvals key"},
		"bound by another policy":  {bound, func(r *Request) { r.Key = turn(r.Key, 10, 1) }, ErrRefused, "policy of another approvals key"},
		"another's EK certificate": {m, func(r *Request) { r.Endorsement.Certificate = other.ek.Certificate }, ErrChain, "another endorsement key's"},
		"another's EK":             {m, func(r *Request) { r.Endorsement.Public = other.ek.Public }, ErrChain, "another endorsement key's"},
		"EK of another template":   {m, func(r *Request) { r.Endorsement.Public = turn(r.Endorsement.Public, 4, 1<<6) }, ErrRefused, "endorsement key"},
		"sealing key as EK": {m, func(r *Request) {
			r.Software, r.Endorsement = false, Endorsement{Public: r.Key}
		}, ErrRefused, "endorsement key"},
		"malformed": {m, func(r *Request) { r.Name = "Ward" }, ErrRefused, "name"},
	} {
		r := v.machine.request(t, nil)
		v.change(r)
		c, p, err := NewChallenge(r, g.keys, g.roots, nil)
		if !errors.Is(err, v.class) || c != nil || p != nil || !strings.Contains(err.Error(), v.says) {
			t.Errorf("%s: %v, want %v %q", name, err, v.class, v.says)
		}
	}
}

// A software TPM is enrolled only where its own root is configured, as one of
// software TPMs; the two certificates are both needed.
func TestSoftwareTPM(t *testing.T) {
	m, other := newMachine(t, firstTPM, seal.Form{}), newMachine(t, otherTPM, seal.Form{})
	both, err := SoftwareRoots(m.dir)
	if err != nil {
		t.Fatal(err)
	}
	roots, err := parseRoots(both, true)
	if err != nil || len(roots) != 2 {
		t.Fatalf("%d roots, %v", len(roots), err)
	}
	for name, roots := range map[string]Roots{
		"none": nil, "root without issuer": roots[:1], "issuer without root": roots[1:], "another's": newGate(t, "g", other).roots,
	} {
		for _, software := range []bool{true, false} { // its certificate says so in any case
			r := m.request(t, func(r *Request) { r.Software = software })
			if c, p, err := NewChallenge(r, newGate(t, "g1").keys, roots, nil); !errors.Is(err, ErrSoftware) || c != nil || p != nil {
				t.Errorf("%s, says software %v: %v", name, software, err)
			}
		}
	}
	o, err := roots.origin(Endorsement(m.ek), false, time.Now())
	if err != nil || o.Mode != seal.ModeCertified || !o.Software || o.Root != fmt.Sprintf("%x", sha256.Sum256(roots[0].certificate.Raw)) {
		t.Errorf("%+v, %v", o, err)
	}
}

// A TPM that a maker certified, in a kiosk that does not call it a program.
func TestCertifiedHardware(t *testing.T) {
	long := validity{time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)}
	short := validity{long.from, long.from.AddDate(1, 0, 0)}
	m := newMachine(t, firstTPM, seal.Form{})
	own, err := x509.ParseCertificate(m.ek.Certificate)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		root validity
		err  error
	}{{"valid", long, nil}, {"expired root", short, ErrChain}} {
		t.Run(c.name, func(t *testing.T) {
			maker := newMaker(t, "Ishi", c.root, long)
			g := newGate(t, "g1")
			g.roots = mustLoad(t, false, maker.write(t, maker.root, maker.issuer))
			r := m.request(t, func(r *Request) {
				r.Software, r.Endorsement.Certificate = false, maker.endorse(t, own.PublicKey, "T1", long)
			})
			if c.err != nil {
				if c2, p, err := NewChallenge(r, g.keys, g.roots, nil); !errors.Is(err, c.err) || c2 != nil || p != nil {
					t.Errorf("got %v, want %v", err, c.err)
				}
				return
			}
			c2, p := g.challenge(t, r)
			kiosk, err := p.Finish(m.respond(t, r, c2), someDay)
			if err != nil {
				t.Fatal(err)
			}
			if kiosk.Mode != seal.ModeCertified || kiosk.Software || kiosk.Root != fmt.Sprintf("%x", sha256.Sum256(maker.root.Raw)) {
				t.Errorf("enrolled as %+v", kiosk)
			}
		})
	}
}

// The gate's memory of an enrolment must not get into a log.
func TestPendingKeepsItsSecret(t *testing.T) {
	m := newMachine(t, firstTPM, seal.Form{})
	_, p := newGate(t, "g1", m).challenge(t, m.request(t, nil))
	for _, said := range []string{fmt.Sprint(p), fmt.Sprintf("%v %+v %#v %s", p, p, p, *p)} {
		if strings.Contains(said, fmt.Sprintf("%x", p.secret)) || strings.Contains(said, fmt.Sprint(p.secret[:4])[1:]) || !strings.Contains(said, "pending enrolment of ward-2") {
			t.Errorf("said %q", said)
		}
	}
	if _, err := ParsePending(bytes.Replace(must(p.Marshal()), []byte(`"secret":"`), []byte(`"secret":"!`), 1)); !errors.Is(err, ErrMalformed) {
		t.Errorf("parsed a damaged file: %v", err)
	}
}

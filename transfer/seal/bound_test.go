package seal

import (
	"bytes"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-tpm/tpm2"
)

// bound is a TPM with a key in the bound form, and IT's key of approvals.
type bound struct {
	*Key
	it   *PrivateKey
	form Form
}

func newBound(t testing.TB, tpm *TPM) *bound {
	t.Helper()
	it, _ := newPrivate(t)
	f := Form{Approvals: it.Public(), Tickets: filepath.Join(t.TempDir(), "tickets")}
	k, err := tpm.CreateKey(f)
	if err != nil {
		t.Fatal(err)
	}
	return &bound{k, it, f}
}

// authorize has IT approve the present state of registers 7 and 13.
func (b *bound) authorize(t testing.TB) Authorization {
	t.Helper()
	present, err := b.tpm.Registers()
	if err != nil {
		t.Fatal(err)
	}
	a, err := Authorize(b.it, map[int][32]byte{7: present[7], 13: present[13]})
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Verify(b.it.Public()); err != nil {
		t.Fatal(err)
	}
	return a
}

// sessions lists what is open in the TPM: a leak stops everything after three.
func sessions(t *testing.T, tpm *TPM) []tpm2.TPMHandle {
	t.Helper()
	rsp, err := tpm2.GetCapability{Capability: tpm2.TPMCapHandles, Property: 0x02000000, PropertyCount: 16}.Execute(tpm.link)
	if err != nil {
		t.Fatal(err)
	}
	list, err := rsp.CapabilityData.Data.Handles()
	if err != nil {
		t.Fatal(err)
	}
	return append(list.Handle, loaded(t, tpm)...)
}

func TestBoundFormSealsInApprovedStatesOnly(t *testing.T) {
	for _, register := range []tpm2.TPMHandle{7, 13} {
		tpm := openIn(t, newFolder(t))
		b := newBound(t, tpm)
		first := b.authorize(t)
		if err := b.Provision(); !errors.Is(err, ErrUnapproved) || !strings.Contains(err.Error(), "there is no approval") {
			t.Fatalf("provisioned without an approval: %v", err)
		}
		if _, err := b.Seal(testType, []byte("x")); err == nil {
			t.Fatal("sealed before the counter was provisioned")
		}
		b.Authorized([]Authorization{first})
		for range 2 {
			if err := b.Provision(); err != nil {
				t.Fatal(err)
			}
		}
		before, err := b.Counter()
		if err != nil {
			t.Fatal(err)
		}
		kiosk := enrol(t, b.Key, "k1")
		seal := func() {
			t.Helper()
			s := newSeal(t, b.Key, firstPayload)
			if payload, by, err := Open(testType, s.Envelope, s.Evidence, []*Kiosk{kiosk}); err != nil || string(payload) != firstPayload || by.Kiosk != kiosk {
				t.Fatalf("opened as %+v, %v", by, err)
			}
		}
		seal()
		extend(t, tpm, register)
		for range 10 {
			if _, err := b.Increment(); !errors.Is(err, ErrUnapproved) || !strings.Contains(err.Error(), "registers ["+map[tpm2.TPMHandle]string{7: "7", 13: "13"}[register]+"]") {
				t.Fatalf("incremented in another state: %v", err)
			}
			if s, err := b.Seal(testType, []byte("x")); !errors.Is(err, ErrUnapproved) || s != nil {
				t.Fatalf("sealed in another state: %v", err)
			}
			if _, err := b.Attest([32]byte{}); !errors.Is(err, ErrUnapproved) {
				t.Fatalf("attested in another state: %v", err)
			}
		}
		if n, err := b.Counter(); err != nil || n != before+1 {
			t.Errorf("counter is %d (%v), want %d", n, err, before+1)
		}
		b.Authorized([]Authorization{first, b.authorize(t)})
		seal()
		if h := sessions(t, tpm); len(h) > 0 {
			t.Errorf("left in the TPM: %x", h)
		}
	}
}

// Changing the form makes another key and counter, which nothing old opens.
func TestChangingTheForm(t *testing.T) {
	tpm := openIn(t, newFolder(t))
	plain := newKey(t, tpm)
	before, err := plain.Counter()
	if err != nil {
		t.Fatal(err)
	}
	kiosk := enrol(t, plain, "k1")
	it, _ := newPrivate(t)
	other, _ := newPrivate(t)
	if k, err := tpm.Key(Form{Approvals: it.Public()}); !errors.Is(err, ErrNoKey) || k != nil {
		t.Errorf("the bound form of a plain key: %v", err)
	}
	b := newBound(t, tpm)
	if k, err := tpm.Key(Form{}); !errors.Is(err, ErrNoKey) || k != nil {
		t.Errorf("the plain form of a bound key: %v", err)
	}
	if k, err := tpm.Key(Form{Approvals: other.Public()}); !errors.Is(err, ErrNoKey) || k != nil {
		t.Errorf("another approvals key: %v", err)
	}
	b.Authorized([]Authorization{b.authorize(t)})
	if err := b.Provision(); err != nil {
		t.Fatal(err)
	}
	if n, err := b.Counter(); err != nil || n <= before {
		t.Errorf("counter went from %d to %d (%v)", before, n, err)
	}
	s := newSeal(t, b.Key, "x")
	refused(t, testType, s.Envelope, s.Evidence, []*Kiosk{kiosk}, ErrUnknownKiosk, "no enrolled kiosk")
	if k := newKey(t, tpm); k.Public().KeyID() != plain.Public().KeyID() {
		t.Error("back in the plain form it is another key")
	}
	if h := sessions(t, tpm); len(h) > 0 {
		t.Errorf("left in the TPM: %x", h)
	}
}

// The identity is known, and the same, before the counter is provisioned.
func TestIdentityIsKnownBeforeProvisioning(t *testing.T) {
	b := newBound(t, openIn(t, newFolder(t)))
	before := b.Identity()
	if err := before.Verify(b.it.Public()); err != nil {
		t.Fatal(err)
	}
	b.Authorized([]Authorization{b.authorize(t)})
	if err := b.Provision(); err != nil {
		t.Fatal(err)
	}
	again, err := b.tpm.Key(b.form)
	if err != nil {
		t.Fatal(err)
	}
	for _, after := range []Identity{b.Identity(), again.Identity()} {
		if !bytes.Equal(after.Key, before.Key) || !bytes.Equal(after.CounterPublic, before.CounterPublic) {
			t.Errorf("went from %+v to %+v", before, after)
		}
	}
	if n, err := again.Counter(); err != nil || n == 0 {
		t.Errorf("counter is %d, %v", n, err)
	}
}

// PCRs that change between policy and command cost a retry, nothing else.
func TestPCRsChangingMeanwhile(t *testing.T) {
	tpm := openIn(t, newFolder(t))
	b := newBound(t, tpm)
	b.Authorized([]Authorization{b.authorize(t)})
	if err := b.Provision(); err != nil {
		t.Fatal(err)
	}
	raw := tpm.link.raw
	changed := 0
	tpm.link.raw = &injecting{raw, func(command []byte) []byte {
		if tpm2.TPMCC(commandCode(command)) == tpm2.TPMCCSign && changed < 2 {
			changed++
			other := &link{raw: raw, timeout: commandTimeout}
			if _, err := (tpm2.PCRExtend{PCRHandle: noPassword(5), Digests: tpm2.TPMLDigestValues{Digests: []tpm2.TPMTHA{
				{HashAlg: tpm2.TPMAlgSHA256, Digest: make([]byte, 32)}}}}).Execute(other); err != nil {
				t.Error(err)
			}
		}
		return nil
	}}
	newSeal(t, b.Key, "x")
	if changed != 2 {
		t.Errorf("changed %d times", changed)
	}
	if h := sessions(t, tpm); len(h) > 0 {
		t.Errorf("left in the TPM: %x", h)
	}
}

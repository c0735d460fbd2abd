package seal

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"
)

// The TPM itself refuses, whatever a program on the kiosk asks of it.
func TestTPMRefusesByItself(t *testing.T) {
	tpm := openIn(t, newFolder(t))
	b := newBound(t, tpm)
	approved := b.authorize(t)
	b.Authorized([]Authorization{approved})
	if err := b.Provision(); err != nil {
		t.Fatal(err)
	}
	sign := func(auth tpm2.Session) error {
		digest, ticket, err := tpm.hash([]byte(firstPayload))
		if err != nil {
			t.Fatal(err)
		}
		handle := tpm2.AuthHandle{Handle: b.handle.Handle, Name: b.handle.Name, Auth: auth}
		_, err = tpm2.Sign{KeyHandle: handle, Digest: digest, InScheme: scheme, Validation: ticket}.Execute(tpm.link)
		return err
	}
	use := func(a Authorization) func(*testing.T) error {
		return func(t *testing.T) (err error) {
			if b.chosen, err = a.approved(); err != nil {
				t.Fatal(err)
			}
			return sign(b.session())
		}
	}
	other, _ := newPrivate(t)
	forged, err := Authorize(other, approved.PCRs)
	if err != nil {
		t.Fatal(err)
	}
	if err := forged.Verify(b.it.Public()); !errors.Is(err, ErrBadSeal) {
		t.Errorf("a forged approval: %v", err)
	}
	if err := use(approved)(t); err != nil {
		t.Fatalf("the sound one: %v", err)
	}
	ticket := b.chosen.ticket
	b.Key.form.Tickets = "" // so that each signature is looked at
	empty := func(fill func(session tpm2.TPMISHPolicy) error) func(*testing.T) error {
		return func(*testing.T) error {
			return sign(tpm2.Policy(tpm2.TPMAlgSHA256, 16, func(_ transport.TPM, s tpm2.TPMISHPolicy, _ tpm2.TPM2BNonce) error {
				if err := fill(s); err != nil {
					return errors.Join(err, tpm.forget(s))
				}
				return nil
			}))
		}
	}
	refusals := []struct {
		name string
		want tpm2.TPMRC
		try  func(*testing.T) error
	}{
		{"empty password", tpm2.TPMRCAuthUnavailable, func(*testing.T) error { return sign(tpm2.PasswordAuth(nil)) }},
		{"empty policy", tpm2.TPMRCPolicyFail, empty(func(tpm2.TPMISHPolicy) error { return nil })},
		{"state without approval", tpm2.TPMRCPolicyFail, empty(func(s tpm2.TPMISHPolicy) error {
			_, err := tpm2.PolicyPCR{PolicySession: s, Pcrs: selection(b.chosen.bits)}.Execute(tpm.link)
			return err
		})},
		{"approval of another key", tpm2.TPMRCSignature, use(forged)},
	}
	for _, c := range refusals {
		t.Run(c.name, func(t *testing.T) {
			if err := c.try(t); !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
	extend(t, tpm, 13)
	t.Run("approval of another state", func(t *testing.T) {
		if err := use(approved)(t); !errors.Is(err, ErrUnapproved) || !errors.Is(err, tpm2.TPMRCValue) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("ticket of another state", func(t *testing.T) {
		err := empty(func(s tpm2.TPMISHPolicy) error {
			if _, err := (tpm2.PolicyPCR{PolicySession: s, Pcrs: selection(b.chosen.bits)}).Execute(tpm.link); err != nil {
				return err
			}
			a := *b.chosen
			a.ticket = ticket
			return b.authorizePolicy(s, &a)
		})(t)
		if !errors.Is(err, tpm2.TPMRCValue) {
			t.Errorf("got %v", err)
		}
	})
	if h := sessions(t, tpm); len(h) > 0 {
		t.Errorf("left in the TPM: %x", h)
	}
}

func TestForgedApprovalsAreNotUsed(t *testing.T) {
	b := newBound(t, openIn(t, newFolder(t)))
	good := b.authorize(t)
	other, _ := newPrivate(t)
	forged, err := Authorize(other, good.PCRs)
	if err != nil {
		t.Fatal(err)
	}
	b.Authorized([]Authorization{forged})
	if err := b.Provision(); !errors.Is(err, ErrUnapproved) || !strings.Contains(err.Error(), "none of 1 approvals is signed") {
		t.Errorf("with a forged one only: %v", err)
	}
	b.Authorized([]Authorization{forged, {}, {PCRs: good.PCRs}, good})
	if err := b.Provision(); err != nil {
		t.Errorf("with a good one among forged: %v", err)
	}
}

func TestAuthorizationRefuses(t *testing.T) {
	it, _ := newPrivate(t)
	for name, pcrs := range map[string]map[int][32]byte{
		"none": {}, "IMA's": {7: {}, 10: {}}, "resettable": {16: {}}, "negative": {-1: {}}, "24": {24: {}},
	} {
		if a, err := Authorize(it, pcrs); err == nil || a.PCRs != nil {
			t.Errorf("%s: authorized", name)
		}
		if err := (Authorization{PCRs: pcrs, Signature: []byte{0x30}}).Verify(it.Public()); !errors.Is(err, ErrBadSeal) {
			t.Errorf("%s: %v", name, err)
		}
	}
	good, err := Authorize(it, map[int][32]byte{7: {1}, 13: {2}})
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Authorization){
		"another value": func(a *Authorization) { a.PCRs[13] = [32]byte{3} },
		"swapped":       func(a *Authorization) { a.PCRs[7], a.PCRs[13] = a.PCRs[13], a.PCRs[7] },
		"one fewer":     func(a *Authorization) { delete(a.PCRs, 13) },
		"one more":      func(a *Authorization) { a.PCRs[0] = [32]byte{} },
		"no signature":  func(a *Authorization) { a.Signature = nil },
		"second form":   func(a *Authorization) { a.Signature = highS(t, a.Signature) },
	} {
		a := Authorization{map[int][32]byte{7: {1}, 13: {2}}, good.Signature}
		if err := a.Verify(it.Public()); err != nil {
			t.Fatal(err)
		}
		change(&a)
		if err := a.Verify(it.Public()); !errors.Is(err, ErrBadSeal) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

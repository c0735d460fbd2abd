package seal

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"
)

// Authorized replaces the authorizations that the key may use from now on. The
// one that fits the registers is chosen when one is needed. In the plain form
// they are of no use, and do no harm.
func (k *Key) Authorized(a []Authorization) {
	k.tpm.mu.Lock()
	defer k.tpm.mu.Unlock()
	k.authorizations, k.forged, k.chosen = nil, 0, nil
	if k.form.Approvals == nil {
		return
	}
	for _, a := range a {
		if a.Verify(k.form.Approvals) == nil {
			k.authorizations = append(k.authorizations, a)
		} else {
			k.forged++
		}
	}
}

// approved is an authorization as the TPM wants to have it.
type approved struct {
	bits   []byte   // the registers
	values [32]byte // the digest of their values
	policy []byte   // of both
	sig    []byte   // TPMT_SIGNATURE of the approvals key over policy
	ticket *tpm2.TPMTTKVerified
}

func (a Authorization) approved() (*approved, error) {
	bits, values, err := a.state()
	if err != nil {
		return nil, err
	}
	r, s, ok := parseDER(a.Signature)
	if !ok {
		return nil, errors.New("signature is malformed")
	}
	sig, err := marshalSignature(r.Bytes(), s.Bytes())
	if err != nil {
		return nil, err
	}
	return &approved{bits: bits, values: values, policy: statePolicy(bits, values), sig: sig}, nil
}

// choose takes the authorization that fits the present registers.
func (k *Key) choose() error {
	values, err := k.tpm.pcrs()
	if err != nil {
		return err
	}
	present := byRegister(values)
	var nearest []int
	for _, a := range k.authorizations {
		changed := a.differs(present)
		if len(changed) == 0 {
			k.chosen, err = a.approved()
			return err
		}
		if nearest == nil || len(changed) < len(nearest) {
			nearest = changed
		}
	}
	switch {
	case nearest != nil:
		return fmt.Errorf("%w: none of %d approvals fits; the nearest has other values in registers %v", ErrUnapproved, len(k.authorizations), nearest)
	case k.forged > 0:
		return fmt.Errorf("%w: none of %d approvals is signed by the approvals key", ErrUnapproved, k.forged)
	}
	return fmt.Errorf("%w: there is no approval", ErrUnapproved)
}

// authorize carries out a command that needs the authorization of the key or the
// counter: the empty password, or a policy session that exists only for this
// command. What fitted the registers before is tried first.
func authorize[R any](k *Key, h tpm2.NamedHandle, do func(tpm2.AuthHandle) (R, error)) (R, error) {
	handle := tpm2.AuthHandle{Handle: h.Handle, Name: h.Name, Auth: tpm2.PasswordAuth(nil)}
	if k.form.Approvals == nil {
		return do(handle)
	}
	var none R
	for pause := firstPause; ; pause *= 2 {
		if k.chosen == nil {
			if err := k.choose(); err != nil {
				return none, err
			}
		}
		handle.Auth = k.session()
		result, err := do(handle)
		if err == nil || pause > lastPause || !errors.Is(err, tpm2.TPMRCPCRChanged) && !errors.Is(err, errOtherState) {
			return result, err
		}
		k.chosen = nil // the registers moved on; perhaps to another approved state
		time.Sleep(pause)
	}
}

// errOtherState means that the TPM found other values in its registers than the
// chosen authorization has.
var errOtherState = fmt.Errorf("%w: the TPM refused", ErrUnapproved)

// session is a policy session for one command.
func (k *Key) session() tpm2.Session {
	return tpm2.Policy(tpm2.TPMAlgSHA256, 16, func(_ transport.TPM, session tpm2.TPMISHPolicy, _ tpm2.TPM2BNonce) error {
		err := k.satisfy(session)
		if err != nil { // go-tpm leaves the session of a callback that failed
			err = errors.Join(err, k.tpm.forget(session))
		}
		return err
	})
}

// satisfy has the TPM compare its registers, and know the approvals key's
// signature over what it found: by a ticket of its own when there is one.
func (k *Key) satisfy(session tpm2.TPMISHPolicy) error {
	a := k.chosen
	_, err := tpm2.PolicyPCR{
		PolicySession: session, PcrDigest: tpm2.TPM2BDigest{Buffer: a.values[:]}, Pcrs: selection(a.bits),
	}.Execute(k.tpm.link)
	if errors.Is(err, tpm2.TPMRCValue) {
		return fmt.Errorf("%w: %w", errOtherState, err)
	}
	if err != nil {
		return err
	}
	fresh := false
	if a.ticket == nil {
		a.ticket = k.form.readTicket(a)
	}
	if a.ticket == nil {
		if err := k.verifyApproval(a); err != nil {
			return err
		}
		fresh = true
	}
	err = k.authorizePolicy(session, a)
	if fresh || !errors.Is(err, tpm2.TPMRCTicket) && !errors.Is(err, tpm2.TPMRCValue) {
		return err
	}
	// The ticket is of another TPM, or the TPM was cleared.
	if err := k.verifyApproval(a); err != nil {
		return err
	}
	return k.authorizePolicy(session, a)
}

func (k *Key) authorizePolicy(session tpm2.TPMISHPolicy, a *approved) error {
	_, err := tpm2.PolicyAuthorize{
		PolicySession: session, ApprovedPolicy: tpm2.TPM2BDigest{Buffer: a.policy}, PolicyRef: tpm2.TPM2BDigest{Buffer: []byte(policyRef)},
		KeySign: tpm2.TPM2BName{Buffer: nameOf(externalPublic(k.form.Approvals))}, CheckTicket: *a.ticket,
	}.Execute(k.tpm.link)
	return err
}

// verifyApproval has the TPM check the approvals key's signature itself, and
// keeps the ticket that says so.
func (k *Key) verifyApproval(a *approved) error {
	// Under the owner's hierarchy: a ticket of the null hierarchy ends with a reset.
	loaded, err := tpm2.LoadExternal{
		InPublic: tpm2.BytesAs2B[tpm2.TPMTPublic](externalPublic(k.form.Approvals)), Hierarchy: tpm2.TPMRHOwner,
	}.Execute(k.tpm.link)
	if err != nil {
		return fmt.Errorf("loading the approvals key: %w", err)
	}
	sum := sum256(a.policy, []byte(policyRef))
	rsp, err := tpm2.VerifySignature{
		KeyHandle: loaded.ObjectHandle, Digest: tpm2.TPM2BDigest{Buffer: sum}, Signature: signatureTPM(a.sig),
	}.Execute(k.tpm.link)
	if err = errors.Join(err, k.tpm.forget(loaded.ObjectHandle)); err != nil {
		return fmt.Errorf("the TPM does not take the approval's signature: %w", err)
	}
	if a.ticket != nil && bytes.Equal(tpm2.Marshal(*a.ticket), tpm2.Marshal(rsp.Validation)) {
		return nil
	}
	a.ticket = &rsp.Validation
	k.form.writeTicket(a)
	return nil
}

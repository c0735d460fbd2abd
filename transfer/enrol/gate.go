package enrol

import (
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"time"

	"sekisho/transfer/manifest"
	"sekisho/transfer/seal"
)

// NewChallenge makes the challenge to a request, and what the gate keeps until
// the answer comes. approvals are envelopes by IT's key for the first increment
// of a kiosk in the bound form, and are sent along unread. On an error both are
// nil: ErrRefused when the sealing key, the counter or the endorsement key is
// not as Sekisho and the TCG make them, or bound to another approvals key than
// the gate's; ErrSoftware or ErrChain about the TPM's origin.
//
// In the mode "fingerprint", see [Pending.Origin], nothing but the comparison of
// the request's fingerprint by two people says which machine this is.
func NewChallenge(request *Request, keys *manifest.KeySet, roots Roots, approvals [][]byte) (*Challenge, *Pending, error) {
	digest, err := request.Digest()
	if err != nil {
		return nil, nil, refuse(err)
	}
	set, err := keys.Marshal()
	if err != nil {
		return nil, nil, fmt.Errorf("making enrolment challenge: key set: %w", err)
	}
	p := &Pending{Request: request, Keys: sha256.Sum256(set), Time: time.Now().UTC().Truncate(time.Second), secret: random()}
	if request.Bound() {
		p.approvals = []byte(keys.Approvals)
	}
	by, err := p.approvalsKey()
	if err != nil {
		return nil, nil, refuse(err)
	}
	if err := request.identity().Verify(by); err != nil {
		return nil, nil, refuse(err)
	}
	credential, err := seal.MakeCredential(request.Endorsement.Public, request.Key, p.secret[:])
	if err != nil {
		return nil, nil, refuse(err)
	}
	if p.Origin, err = roots.origin(request.Endorsement, request.Software, time.Now()); err != nil {
		return nil, nil, err
	}
	c := &Challenge{digest, set, Credential(credential), approvals}
	if err := c.check(); err != nil {
		return nil, nil, fmt.Errorf("making enrolment challenge: %w", err)
	}
	return c, p, nil
}

// Finish checks the answer and returns the kiosk for the gate to keep, with the
// state that the answer proves: the one claimed in the request plays no part.
// Whether the challenge still stands is for the caller to ask before. On an error,
// which is ErrRefused with the reason, the kiosk is nil.
func (p *Pending) Finish(a *Answer, now time.Time) (*seal.Kiosk, error) {
	r := p.Request
	digest, err := r.Digest()
	if err != nil {
		return nil, refuse(err)
	}
	if a.Request != digest || a.Name != r.Name {
		return nil, refused("the answer is of kiosk %.80q to request %s, want %q and %s", a.Name, a.Request, r.Name, digest)
	}
	mac := answerMAC(p.secret[:], digest, p.Keys)
	if !hmac.Equal(a.MAC[:], mac[:]) {
		return nil, refused("the answer is by another TPM, to an earlier challenge, or for another gate's keys")
	}
	by, err := p.approvalsKey()
	if err != nil {
		return nil, refuse(err)
	}
	proved, err := r.identity().Check(by, proofDigest(digest, p.Keys, mac), a.Proof)
	if err != nil {
		return nil, refuse(err)
	}
	kiosk := &seal.Kiosk{
		Name: r.Name, Mode: p.Origin.Mode, Software: p.Origin.Software,
		Key: r.Key, CounterPublic: r.CounterPublic, Counter: proved.Counter, ResetCount: proved.ResetCount,
		EKCertificate: r.Endorsement.Certificate, EK: fmt.Sprintf("%x", sha256.Sum256(r.Endorsement.Public)), Root: p.Origin.Root,
		Approvals: p.approvals, PCRs: a.Proof.PCRs, Events: a.Proof.Events, Enrolled: now.UTC().Truncate(time.Second),
	}
	if _, err := kiosk.Marshal(); err != nil {
		return nil, refuse(err)
	}
	return kiosk, nil
}

package enrol

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"sekisho/transfer/seal"
)

// NewRequest asks to enrol a TPM's sealing key under a kiosk's name. The form is
// the one that key was created in; state, as package approval marshals it, is
// what IT approves before the first increment in the bound form. The kiosk keeps
// the request until the challenge comes.
func NewRequest(name string, ek seal.Endorsement, key *seal.Key, form seal.Form, state []byte, now time.Time) (*Request, error) {
	id := key.Identity()
	r := &Request{
		Name: name, Software: key.Software(), Endorsement: Endorsement(ek), Key: id.Key, CounterPublic: id.CounterPublic,
		State: state, Nonce: random(), Time: now.UTC().Truncate(time.Second),
	}
	if form.Approvals != nil {
		r.Approvals = form.Approvals.KeyID()
	}
	if err := r.check(); err != nil {
		return nil, fmt.Errorf("requesting enrolment: %w", err)
	}
	return r, nil
}

// Respond answers the challenge to a request of this kiosk's. Two people have
// compared the challenge's fingerprint before; afterwards the kiosk pins its key
// set. In the bound form the key has been given the challenge's approvals with
// [seal.Key.Authorized]. The counter has been incremented once, if it was not
// yet, when Respond returns; it may be called again. ErrRefused means that the
// challenge is for another request, key or TPM; other errors are the TPM's own,
// of package seal.
func Respond(ctx context.Context, key *seal.Key, request *Request, challenge *Challenge) (*Answer, error) {
	digest, err := request.Digest()
	if err != nil {
		return nil, err
	}
	if challenge.Request != digest {
		return nil, refused("the challenge is for request %s, ours is %s", challenge.Request, digest)
	}
	if id := key.Identity(); !bytes.Equal(id.Key, request.Key) || !bytes.Equal(id.CounterPublic, request.CounterPublic) {
		return nil, refused("the request was made with another sealing key than this TPM has")
	}
	secret, err := key.Activate(ctx, seal.Credential(challenge.Credential))
	if errors.Is(err, seal.ErrBadRequest) {
		return nil, fmt.Errorf("the challenge is for another TPM or another sealing key: %w", err)
	}
	if err != nil {
		return nil, fmt.Errorf("answering enrolment: %w", err)
	}
	keys := sha256.Sum256(challenge.Keys)
	a := &Answer{Request: digest, Name: request.Name, MAC: answerMAC(secret, digest, keys)}
	if err := key.Provision(); err != nil {
		return nil, fmt.Errorf("answering enrolment: %w", err)
	}
	if a.Proof, err = key.Attest(proofDigest(digest, keys, a.MAC)); err != nil {
		return nil, fmt.Errorf("answering enrolment: %w", err)
	}
	return a, nil
}

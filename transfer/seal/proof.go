package seal

import "fmt"

// Identity is what a kiosk says its sealing key and counter are. Nothing proves
// yet that they are in a TPM.
type Identity struct {
	Key           []byte // TPMT_PUBLIC
	CounterPublic []byte // TPMS_NV_PUBLIC, with the attribute WRITTEN
}

// Identity returns the key's public areas as they are once the counter was
// incremented first; in the bound form they are known before that.
func (k *Key) Identity() Identity { return Identity{k.public, k.counterPublic} }

// Attest certifies counter and state for digest, as a seal does for what it
// seals, but seals nothing. digest must be a SHA-256 of something that does not
// begin with "DSSEv1".
func (k *Key) Attest(digest [32]byte) (ev Evidence, err error) {
	err = k.tpm.operate("attesting", func() error {
		ev, err = k.attest(digest)
		return err
	})
	return ev, err
}

// Verify checks that key and counter are exactly as CreateKey makes them in the
// form that has this approvals key, nil for the plain form. Anything else is
// ErrBadRequest, which says what.
func (i Identity) Verify(approvals *PublicKey) error {
	_, err := i.parse(approvals)
	return err
}

// Check is Verify, and checks evidence made by [Key.Attest] for digest. Whether
// a TPM holds the key, only the activation of a credential shows. Opened has no
// kiosk.
func (i Identity) Check(approvals *PublicKey, digest [32]byte, ev Evidence) (*Opened, error) {
	id, err := i.parse(approvals)
	if err != nil {
		return nil, err
	}
	if err := ev.bounded(); err != nil {
		return nil, err
	}
	by, err := id.check(digest, ev)
	if err != nil {
		return nil, fmt.Errorf("%w: proof: %w", ErrBadRequest, err)
	}
	return by, nil
}

func (i Identity) parse(approvals *PublicKey) (*identity, error) {
	id, err := parseIdentity(i.Key, i.CounterPublic, Form{Approvals: approvals}.policy())
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBadRequest, err)
	}
	return id, nil
}

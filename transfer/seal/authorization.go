package seal

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
)

// Authorization lets a TPM seal while some of its registers have these values.
// It is signed by IT's key of approvals and is no secret. A TPM knows neither
// expiry nor revocation: both are the gate's.
type Authorization struct {
	// PCRs are the registers that must have these values: one or more of the
	// quoted ones, usually 7 (Secure Boot) and the software register.
	PCRs map[int][32]byte
	// Signature is a DER signature over policy ‖ "kiosk-state-v1", hashed by
	// SHA-256, where policy is the TPM's own digest of these registers.
	Signature []byte
}

// Authorize signs an authorization for the registers, which it copies.
func Authorize(key *PrivateKey, pcrs map[int][32]byte) (Authorization, error) {
	a := Authorization{PCRs: make(map[int][32]byte)}
	for register, value := range pcrs {
		a.PCRs[register] = value
	}
	message, err := a.message()
	if err != nil {
		return Authorization{}, fmt.Errorf("authorizing: %w", err)
	}
	if a.Signature, err = key.sign(message); err != nil {
		return Authorization{}, fmt.Errorf("authorizing: %w", err)
	}
	return a, nil
}

// Verify checks that by signed exactly this; anything else is ErrBadSeal.
func (a Authorization) Verify(by *PublicKey) error {
	message, err := a.message()
	if err != nil {
		return fmt.Errorf("%w: authorization: %w", ErrBadSeal, err)
	}
	if !by.verify(message, a.Signature) {
		return fmt.Errorf("%w: authorization's signature is wrong", ErrBadSeal)
	}
	return nil
}

// message is what the signature's digest is over.
func (a Authorization) message() ([]byte, error) {
	bits, values, err := a.state()
	if err != nil {
		return nil, err
	}
	return append(statePolicy(bits, values), policyRef...), nil
}

// state gives the registers as a selection, and the digest of their values.
func (a Authorization) state() (bits []byte, values [32]byte, err error) {
	if len(a.PCRs) == 0 {
		return nil, values, errors.New("it names no register")
	}
	bits = make([]byte, len(quotedBits))
	h := sha256.New()
	for _, register := range quotedPCRs {
		if value, ok := a.PCRs[register]; ok {
			bits[register/8] |= 1 << (register % 8)
			h.Write(value[:])
		}
	}
	for register := range a.PCRs {
		if !slices.Contains(quotedPCRs, register) {
			return nil, values, fmt.Errorf("it names register %d, which is not one of %v", register, quotedPCRs)
		}
	}
	return bits, [32]byte(h.Sum(nil)), nil
}

// differs lists, ascending, the registers that have other values than these.
func (a Authorization) differs(present map[int][32]byte) []int {
	var out []int
	for _, register := range quotedPCRs {
		if want, ok := a.PCRs[register]; ok && present[register] != want {
			out = append(out, register)
		}
	}
	return out
}

// sign returns a DER signature over message in the one form that [PublicKey]
// accepts.
func (p *PrivateKey) sign(message []byte) ([]byte, error) {
	sum := sha256.Sum256(message)
	der, err := ecdsa.SignASN1(rand.Reader, p.key, sum[:])
	if err != nil {
		return nil, err
	}
	r, s, ok := parseDER(der)
	if !ok {
		return nil, errors.New("signature is not one of P-256")
	}
	return marshalDER(r, lowS(s))
}

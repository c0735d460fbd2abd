package seal

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"
)

// maxPEM bounds a key in PEM, in bytes; one of P-256 has under 300.
const maxPEM = 4 << 10

// PublicKey is an ECDSA P-256 public key, immutable.
type PublicKey struct {
	key  *ecdsa.PublicKey
	spki []byte
}

func newPublicKey(key *ecdsa.PublicKey) (*PublicKey, error) {
	if key.Curve != elliptic.P256() {
		return nil, fmt.Errorf("key is on curve %s, want P-256", key.Curve.Params().Name)
	}
	spki, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return nil, err
	}
	return &PublicKey{key, spki}, nil
}

// ParsePublicKey reads what Marshal wrote, and nothing else.
func ParsePublicKey(data []byte) (*PublicKey, error) {
	der, err := parsePEM(data, "PUBLIC KEY")
	if err != nil {
		return nil, fmt.Errorf("%w: public key: %w", ErrMalformed, err)
	}
	parsed, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		return nil, fmt.Errorf("%w: public key: %w", ErrMalformed, err)
	}
	key, ok := parsed.(*ecdsa.PublicKey)
	if !ok {
		return nil, fmt.Errorf("%w: public key is a %T, want ECDSA", ErrMalformed, parsed)
	}
	p, err := newPublicKey(key)
	if err != nil {
		return nil, fmt.Errorf("%w: public key: %w", ErrMalformed, err)
	}
	if !bytes.Equal(p.Marshal(), data) {
		return nil, fmt.Errorf("%w: public key is not in canonical form", ErrMalformed)
	}
	return p, nil
}

// Marshal returns the key as PEM of its SubjectPublicKeyInfo, as openssl and
// tpm2-tools read it.
func (p *PublicKey) Marshal() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: p.spki})
}

// ECDSA is the key for packages that verify something else than envelopes.
func (p *PublicKey) ECDSA() *ecdsa.PublicKey { return p.key }

// KeyID returns the SHA-256 of the SubjectPublicKeyInfo in lower-case hex.
func (p *PublicKey) KeyID() string {
	sum := sha256.Sum256(p.spki)
	return hex.EncodeToString(sum[:])
}

// verify checks a DER signature over the SHA-256 of message. It refuses the
// second form that every signature has.
func (p *PublicKey) verify(message, der []byte) bool {
	sum := sha256.Sum256(message)
	_, s, ok := parseDER(der)
	return ok && s.Cmp(half) <= 0 && ecdsa.VerifyASN1(p.key, sum[:], der)
}

// OpenSigned returns the payload of an envelope that by signed, and nothing
// otherwise: ErrMalformed, or ErrBadSeal when the key, the type or the
// signature is another. It is the counterpart of [PrivateKey.Sign].
func OpenSigned(payloadType string, envelope []byte, by *PublicKey) ([]byte, error) {
	e, err := parseEnvelope(envelope)
	if err != nil {
		return nil, err
	}
	if id := e.Signatures[0].KeyID; id != by.KeyID() {
		return nil, fmt.Errorf("%w: signed by key %q, want %s", ErrBadSeal, id, by.KeyID())
	}
	if err := e.verify(payloadType, by); err != nil {
		return nil, err
	}
	return e.Payload, nil
}

// parsePEM takes the single block of data, which holds nothing else.
func parsePEM(data []byte, kind string) ([]byte, error) {
	if len(data) > maxPEM {
		return nil, fmt.Errorf("%d bytes are more than %d", len(data), maxPEM)
	}
	block, rest := pem.Decode(data)
	if block == nil || block.Type != kind || len(block.Headers) > 0 || len(rest) > 0 {
		return nil, fmt.Errorf("not one PEM block of type %s", kind)
	}
	return block.Bytes, nil
}

package ledger

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/mod/sumdb/note"
)

// key is the signed-note signature type 0x02 on P-256: the signature is
// ASN.1 DER over the SHA-256 of the text, the key's id the first four bytes of
// the SHA-256 of its SubjectPublicKeyInfo. Many TPMs have no Ed25519.
type key struct {
	name   string
	id     uint32
	public *ecdsa.PublicKey
}

// NewVerifier is the note.Verifier of a P-256 key under a name, a ledger's
// origin or a cosigner's.
func NewVerifier(name string, pub crypto.PublicKey) (note.Verifier, error) { return newKey(name, pub) }

func newKey(name string, pub crypto.PublicKey) (*key, error) {
	if !isOrigin(name) {
		return nil, fmt.Errorf("key name %q", name)
	}
	p, ok := pub.(*ecdsa.PublicKey)
	if !ok || p.Curve != elliptic.P256() {
		return nil, errors.New("ledger key is not ECDSA P-256")
	}
	der, err := x509.MarshalPKIXPublicKey(p)
	if err != nil {
		return nil, fmt.Errorf("ledger key: %w", err)
	}
	sum := sha256.Sum256(der)
	return &key{name, binary.BigEndian.Uint32(sum[:4]), p}, nil
}

func (k *key) Name() string    { return k.name }
func (k *key) KeyHash() uint32 { return k.id }

func (k *key) Verify(msg, sig []byte) bool {
	digest := sha256.Sum256(msg)
	return ecdsa.VerifyASN1(k.public, digest[:], sig)
}

// ring is the keys of one ledger, oldest first: it has one key at a time, which
// hands over to the next.
type ring struct {
	name string
	keys []*key
}

func newRing(origin string, pubs ...crypto.PublicKey) (*ring, error) {
	if len(pubs) == 0 {
		return nil, errors.New("no key for the ledger")
	}
	r := &ring{name: origin}
	for _, pub := range pubs {
		k, err := newKey(origin, pub)
		if err != nil {
			return nil, err
		}
		if r.place(k.id) >= 0 {
			return nil, errors.New("ledger keys with one id")
		}
		r.keys = append(r.keys, k)
	}
	return r, nil
}

// place is where the key of that id stands, or -1.
func (r *ring) place(id uint32) int {
	return slices.IndexFunc(r.keys, func(k *key) bool { return k.id == id })
}

// newest is the place of the key that signs now.
func (r *ring) newest() int { return len(r.keys) - 1 }

func (r *ring) verifiers() note.Verifiers {
	all := make([]note.Verifier, len(r.keys))
	for i, k := range r.keys {
		all[i] = k
	}
	return note.VerifierList(all...)
}

// signer is a key with its private half, wherever that is.
type signer struct {
	*key
	private crypto.Signer
}

func newSigner(origin string, private crypto.Signer) (*signer, error) {
	k, err := newKey(origin, private.Public())
	if err != nil {
		return nil, err
	}
	return &signer{k, private}, nil
}

// NewSigner is the note.Signer of a P-256 key under a name. It checks each
// signature before handing it on: hardware fails too.
func NewSigner(name string, private crypto.Signer) (note.Signer, error) {
	return newSigner(name, private)
}

func (s *signer) Sign(msg []byte) ([]byte, error) {
	digest := sha256.Sum256(msg)
	sig, err := s.private.Sign(rand.Reader, digest[:], crypto.SHA256)
	if err != nil {
		return nil, fmt.Errorf("signing: %w", err)
	}
	if !s.Verify(msg, sig) {
		return nil, errors.New("signing: the key made a signature that does not verify")
	}
	return sig, nil
}

// isOrigin accepts 1 to 128 printable ASCII characters without space, plus,
// quotation mark and backslash that do not begin like a record.
func isOrigin(s string) bool {
	return s != "" && len(s) <= 128 && isText(s) && !strings.ContainsAny(s, " +") && s[0] != '{'
}

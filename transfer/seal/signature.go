package seal

import (
	"crypto/elliptic"
	"errors"
	"fmt"
	"math/big"
	"slices"

	"github.com/google/go-tpm/tpm2"
	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// With (r, s) also (r, n-s) is a signature, which anyone can compute. Only the
// one with the smaller s is accepted, so that nobody but the key's holder can
// make a second form of a seal. A TPM gives either; what we write is the smaller.
var (
	order = elliptic.P256().Params().N
	half  = new(big.Int).Rsh(order, 1)
)

// lowS returns s or n-s, whichever is smaller.
func lowS(s *big.Int) *big.Int {
	if s.Cmp(half) > 0 && s.Cmp(order) < 0 {
		return new(big.Int).Sub(order, s)
	}
	return s
}

// signatureSize is that of a TPMT_SIGNATURE as we keep it.
const signatureSize = 2 + 2 + 2 + 32 + 2 + 32

// marshalSignature gives the only form we accept. TPMs differ in whether they
// strip leading zeros from r and s.
func marshalSignature(r, s []byte) ([]byte, error) {
	if len(r) > signatureSize || len(s) > signatureSize {
		return nil, errors.New("signature is not one of P-256")
	}
	r, s = new(big.Int).SetBytes(r).Bytes(), lowS(new(big.Int).SetBytes(s)).Bytes()
	if len(r) > 32 || len(s) > 32 {
		return nil, errors.New("signature is not one of P-256")
	}
	sig := make([]byte, signatureSize)
	copy(sig, []byte{0, algECDSA, 0, algSHA256, 0, 32})
	copy(sig[6+32-len(r):], r)
	sig[39] = 32
	copy(sig[40+32-len(s):], s)
	return sig, nil
}

// signatureDER converts a TPMT_SIGNATURE in that form.
func signatureDER(sig []byte) ([]byte, error) {
	if len(sig) != signatureSize {
		return nil, fmt.Errorf("signature has %d bytes, want %d", len(sig), signatureSize)
	}
	r, s := new(big.Int).SetBytes(sig[6:38]), new(big.Int).SetBytes(sig[40:])
	if s.Cmp(half) > 0 {
		return nil, errors.New("signature is in its second form")
	}
	if again, err := marshalSignature(sig[6:38], sig[40:]); err != nil || !slices.Equal(again, sig) {
		return nil, errors.New("signature is not ECDSA with SHA-256")
	}
	return marshalDER(r, s)
}

func marshalDER(r, s *big.Int) ([]byte, error) {
	var b cryptobyte.Builder
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1BigInt(r)
		b.AddASN1BigInt(s)
	})
	return b.Bytes()
}

// parseDER reads a DER signature; crypto/ecdsa checks the rest of it.
func parseDER(der []byte) (r, s *big.Int, ok bool) {
	input := cryptobyte.String(der)
	var inner cryptobyte.String
	r, s = new(big.Int), new(big.Int)
	if !input.ReadASN1(&inner, asn1.SEQUENCE) || !input.Empty() ||
		!inner.ReadASN1Integer(r) || !inner.ReadASN1Integer(s) || !inner.Empty() {
		return nil, nil, false
	}
	return r, s, true
}

// signatureTPM is a TPMT_SIGNATURE in that form as go-tpm has it.
func signatureTPM(sig []byte) tpm2.TPMTSignature {
	return tpm2.TPMTSignature{SigAlg: tpm2.TPMAlgECDSA, Signature: tpm2.NewTPMUSignature(tpm2.TPMAlgECDSA, &tpm2.TPMSSignatureECC{
		Hash: tpm2.TPMAlgSHA256, SignatureR: tpm2.TPM2BECCParameter{Buffer: sig[6:38]}, SignatureS: tpm2.TPM2BECCParameter{Buffer: sig[40:]},
	})}
}

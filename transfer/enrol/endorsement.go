package enrol

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"errors"
	"math/big"

	"golang.org/x/crypto/cryptobyte"
)

// Numbers from Trusted Platform Module Library, Part 2: Structures.
const (
	algRSA    = 0x0001
	algECC    = 0x0023
	curveP256 = 0x0003
)

// sameKey compares the key in an endorsement key's public area with the one in
// its certificate, as crypto/x509 gives it. That the area is otherwise as the
// TCG's templates have it is for [seal.MakeCredential] to check.
func sameKey(public []byte, certified any) error {
	s := cryptobyte.String(public)
	var kind, alg uint16
	var policy cryptobyte.String
	// Then attributes, and the symmetric algorithm with key size and mode.
	if !s.ReadUint16(&kind) || !s.Skip(2+4) || !s.ReadUint16LengthPrefixed(&policy) || !s.Skip(3*2) || !s.ReadUint16(&alg) {
		return errors.New("endorsement key is cut short")
	}
	switch certified := certified.(type) {
	case *rsa.PublicKey:
		var exponent uint32
		var n cryptobyte.String
		if kind != algRSA || !s.Skip(2) || !s.ReadUint32(&exponent) || !s.ReadUint16LengthPrefixed(&n) || !s.Empty() {
			return errors.New("endorsement key is not RSA as its certificate's")
		}
		if exponent == 0 { // as TPMs write the usual one
			exponent = 1<<16 + 1
		}
		if int64(certified.E) != int64(exponent) || certified.N.Cmp(new(big.Int).SetBytes(n)) != 0 {
			return errors.New("certificate is another endorsement key's")
		}
	case *ecdsa.PublicKey:
		var curve, kdf uint16
		var x, y cryptobyte.String
		if kind != algECC || !s.ReadUint16(&curve) || !s.ReadUint16(&kdf) || !s.ReadUint16LengthPrefixed(&x) ||
			!s.ReadUint16LengthPrefixed(&y) || !s.Empty() || curve != curveP256 || len(x) > 32 || len(y) > 32 {
			return errors.New("endorsement key is not on P-256")
		}
		point := make([]byte, 65)
		point[0] = 4 // uncompressed
		copy(point[33-len(x):], x)
		copy(point[65-len(y):], y)
		key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
		if err != nil {
			return errors.New("endorsement key is not on the curve")
		}
		if !key.Equal(certified) {
			return errors.New("certificate is another endorsement key's")
		}
	default: // also what crypto/x509 cannot read, as RSA-OAEP keys
		return errors.New("certificate's key is neither RSA nor ECDSA")
	}
	return nil
}

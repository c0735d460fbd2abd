package seal

import (
	"bytes"
	"crypto/ecdh"
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/google/go-tpm/tpm2"
	"golang.org/x/crypto/cryptobyte"
)

const (
	rsaSize   = 256          // bytes of an RSA 2048 modulus, or of what is encrypted to it
	pointSize = 2 * (2 + 32) // bytes of a TPMS_ECC_POINT of P-256
	maxBlob   = 256          // bytes of a TPMS_ID_OBJECT; one for 32 bytes has 68
	maxSecret = 32           // bytes: a digest's, which is all that a credential carries
)

// Credential is a secret that only the TPM with a certain endorsement key can
// decrypt, and only while it also holds a certain other key. It carries the
// contents of TPM2B_ID_OBJECT and TPM2B_ENCRYPTED_SECRET.
type Credential struct {
	Blob, Secret []byte
}

func (c Credential) check() error {
	if n := len(c.Blob); n == 0 || n > maxBlob {
		return fmt.Errorf("credential has %d bytes, want 1 to %d", n, maxBlob)
	}
	if n := len(c.Secret); n != rsaSize && n != pointSize {
		return fmt.Errorf("credential's secret has %d bytes, want %d or %d", n, rsaSize, pointSize)
	}
	return nil
}

// MakeCredential encrypts secret, 16 to 32 bytes, for the TPM that has this
// endorsement key and this sealing key, both as TPMT_PUBLIC. It needs no TPM.
// An endorsement key that is not made by the TCG's template L-1 or L-2, whose
// attributes forbid it to decrypt for anyone who asks, is ErrBadRequest; so is
// any key but a sealing key. Whether a TPM's maker certified the endorsement key
// is for the caller to know.
func MakeCredential(ekPublic, keyPublic, secret []byte) (Credential, error) {
	if n := len(secret); n < 16 || n > maxSecret {
		return Credential{}, fmt.Errorf("making credential: secret has %d bytes, want 16 to %d", n, maxSecret)
	}
	if _, err := parseKey(keyPublic, policyOf(keyPublic, 8)); err != nil {
		return Credential{}, fmt.Errorf("making credential: %w: %w", ErrBadRequest, err)
	}
	public, err := parseEndorsement(ekPublic)
	if err != nil {
		return Credential{}, fmt.Errorf("making credential: %w: endorsement key: %w", ErrBadRequest, err)
	}
	key, err := tpm2.ImportEncapsulationKey(public)
	if err != nil {
		return Credential{}, fmt.Errorf("making credential: %w: endorsement key: %w", ErrBadRequest, err)
	}
	var c Credential
	if c.Blob, c.Secret, err = tpm2.CreateCredential(rand.Reader, key, nameOf(keyPublic), secret); err != nil {
		return Credential{}, fmt.Errorf("making credential: %w", err)
	}
	return c, nil
}

// parseEndorsement reads the TPMT_PUBLIC of an endorsement key: one of the
// templates, with a key in it.
func parseEndorsement(data []byte) (*tpm2.TPMTPublic, error) {
	// The templates end with the room for the key, which is all that may differ.
	rsa, ecc := tpm2.Marshal(tpm2.RSAEKTemplate), tpm2.Marshal(tpm2.ECCEKTemplate)
	rsa, ecc = rsa[:len(rsa)-2-rsaSize], ecc[:len(ecc)-pointSize]
	var first, second cryptobyte.String
	if key, ok := bytes.CutPrefix(data, rsa); ok {
		s := cryptobyte.String(key)
		if !s.ReadUint16LengthPrefixed(&first) || !s.Empty() || len(first) != rsaSize || first[0]&0x80 == 0 || first[rsaSize-1]&1 == 0 {
			return nil, errors.New("not a key of 2048 bits")
		}
	} else if key, ok := bytes.CutPrefix(data, ecc); ok {
		s := cryptobyte.String(key)
		if !s.ReadUint16LengthPrefixed(&first) || !s.ReadUint16LengthPrefixed(&second) || !s.Empty() || len(first) > 32 || len(second) > 32 {
			return nil, errors.New("point is malformed")
		}
		point := make([]byte, 65)
		point[0] = 4 // uncompressed
		copy(point[33-len(first):], first)
		copy(point[65-len(second):], second)
		if _, err := ecdh.P256().NewPublicKey(point); err != nil {
			return nil, errors.New("point is not on the curve")
		}
	} else {
		return nil, errors.New("not of the TCG's template L-1 or L-2")
	}
	return tpm2.Unmarshal[tpm2.TPMTPublic](data)
}

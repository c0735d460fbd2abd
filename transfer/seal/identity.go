package seal

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/crypto/cryptobyte"
)

// The TPM structures a seal consists of, read by hand: they are few, small and
// almost wholly determined, so what opens a seal needs no TPM library.
// Numbers are from Trusted Platform Module Library, Part 2: Structures.

const (
	keyHandle    = 0x81008001 // persistent, owner's range
	counterIndex = 0x01800A01 // NV, owner's range
	endorsement  = 0x4000000B // TPM_RH_ENDORSEMENT

	algSHA256 = 0x000B
	algNull   = 0x0010
	algECDSA  = 0x0018
	algECC    = 0x0023
	curveP256 = 0x0003
)

// keyAttributes are those of the sealing key (TPMA_OBJECT), and why.
var keyAttributes = []struct {
	bit  uint32
	name string
}{
	{1 << 1, "fixedTPM"},            // never leaves this TPM
	{1 << 4, "fixedParent"},         // not even with its parent
	{1 << 5, "sensitiveDataOrigin"}, // made inside the TPM, not imported
	{1 << 6, "userWithAuth"},        // plain form: empty password
	{1 << 10, "noDA"},               // no lockout can stop the night
	{1 << 16, "restricted"},         // signs only what the TPM made or hashed
	{1 << 18, "sign"},               // attestations are signatures
}

// counterAttributes are those of the counter (TPMA_NV), and why.
var counterAttributes = []struct {
	bit  uint32
	name string
}{
	{1 << 2, "AUTHWRITE"}, // plain form: empty password; a counter takes increments only
	{1 << 4, "COUNTER"},   // TPM_NT_COUNTER: never goes back
	{1 << 18, "AUTHREAD"}, // plain form: empty password
	{1 << 25, "NO_DA"},    // no lockout can stop the night
	{1 << 29, "WRITTEN"},  // incremented once, so its Name is final
}

// identity is what attestations are checked against.
type identity struct {
	key     *PublicKey
	signer  []byte // the key's qualified name under the endorsement hierarchy
	counter []byte // the counter's Name
}

// parseIdentity reads TPMT_PUBLIC and TPMS_NV_PUBLIC, refusing any that are not
// as [TPM.CreateKey] makes them.
func parseIdentity(keyPublic, counterPublic []byte) (*identity, error) {
	key, err := parseKey(keyPublic)
	if err != nil {
		return nil, err
	}
	if err := checkCounter(counterPublic); err != nil {
		return nil, err
	}
	// A primary key of another hierarchy, or a child key, has another qualified
	// name; under the storage hierarchy resetCount would be obfuscated.
	signer := binary.BigEndian.AppendUint32(nil, endorsement)
	signer = append(signer, nameOf(keyPublic)...)
	return &identity{key, nameOf(signer), nameOf(counterPublic)}, nil
}

// nameOf is the Name of a public area whose nameAlg is SHA-256.
func nameOf(public []byte) []byte {
	sum := sha256.Sum256(public)
	return append([]byte{algSHA256 >> 8, algSHA256}, sum[:]...)
}

// parseKey reads a TPMT_PUBLIC of the sealing key.
func parseKey(public []byte) (*PublicKey, error) {
	s := cryptobyte.String(public)
	var kind, nameAlg, symmetric, scheme, hash, curve, kdf uint16
	var attributes uint32
	var policy, x, y cryptobyte.String
	if !s.ReadUint16(&kind) || !s.ReadUint16(&nameAlg) || !s.ReadUint32(&attributes) || !s.ReadUint16LengthPrefixed(&policy) {
		return nil, errors.New("key is cut short")
	}
	if kind != algECC {
		return nil, fmt.Errorf("key has type %#x, want ECC", kind)
	}
	if nameAlg != algSHA256 {
		return nil, fmt.Errorf("key is named by algorithm %#x, want SHA-256", nameAlg)
	}
	var all uint32
	for _, a := range keyAttributes {
		if attributes&a.bit == 0 {
			return nil, fmt.Errorf("key lacks the attribute %s", a.name)
		}
		all |= a.bit
	}
	if attributes != all {
		return nil, fmt.Errorf("key has further attributes %#x", attributes&^all)
	}
	if len(policy) > 0 {
		return nil, errors.New("key has a policy")
	}
	if !s.ReadUint16(&symmetric) || !s.ReadUint16(&scheme) || symmetric != algNull || scheme != algECDSA {
		return nil, errors.New("key's scheme is not ECDSA")
	}
	if !s.ReadUint16(&hash) || !s.ReadUint16(&curve) || !s.ReadUint16(&kdf) || hash != algSHA256 || curve != curveP256 || kdf != algNull {
		return nil, errors.New("key is not P-256 with SHA-256")
	}
	if !s.ReadUint16LengthPrefixed(&x) || !s.ReadUint16LengthPrefixed(&y) || !s.Empty() || len(x) > 32 || len(y) > 32 {
		return nil, errors.New("key's point is malformed")
	}
	point := make([]byte, 65)
	point[0] = 4 // uncompressed
	copy(point[33-len(x):], x)
	copy(point[65-len(y):], y)
	key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
	if err != nil {
		return nil, errors.New("key's point is not on the curve")
	}
	return newPublicKey(key)
}

// checkCounter checks a TPMS_NV_PUBLIC of the counter.
func checkCounter(public []byte) error {
	s := cryptobyte.String(public)
	var index, attributes uint32
	var nameAlg, size uint16
	var policy cryptobyte.String
	if !s.ReadUint32(&index) || !s.ReadUint16(&nameAlg) || !s.ReadUint32(&attributes) ||
		!s.ReadUint16LengthPrefixed(&policy) || !s.ReadUint16(&size) || !s.Empty() {
		return errors.New("counter's public area is malformed")
	}
	if index != counterIndex {
		return fmt.Errorf("counter is index %#x, want %#x", index, counterIndex)
	}
	if nameAlg != algSHA256 {
		return fmt.Errorf("counter is named by algorithm %#x, want SHA-256", nameAlg)
	}
	var all uint32
	for _, a := range counterAttributes {
		if attributes&a.bit == 0 {
			return fmt.Errorf("counter lacks the attribute %s", a.name)
		}
		all |= a.bit
	}
	// Above all ORDERLY, whose value a power cut may lose, and other types.
	if attributes != all {
		return fmt.Errorf("counter has further attributes %#x", attributes&^all)
	}
	if len(policy) > 0 {
		return errors.New("counter has a policy")
	}
	if size != 8 {
		return fmt.Errorf("counter has %d bytes, want 8", size)
	}
	return nil
}

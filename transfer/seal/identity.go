package seal

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

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

// attribute is one bit of TPMA_OBJECT or TPMA_NV.
type attribute struct {
	bit  uint32
	name string
}

// keyAttributes are those of the sealing key (TPMA_OBJECT) in both forms, and why.
var keyAttributes = []attribute{
	{1 << 1, "fixedTPM"},            // never leaves this TPM
	{1 << 4, "fixedParent"},         // not even with its parent
	{1 << 5, "sensitiveDataOrigin"}, // made inside the TPM, not imported
	{1 << 10, "noDA"},               // no lockout can stop the night
	{1 << 16, "restricted"},         // signs only what the TPM made or hashed
	{1 << 18, "sign"},               // attestations are signatures
}

// counterAttributes are those of the counter (TPMA_NV) in both forms, and why.
var counterAttributes = []attribute{
	{1 << 4, "COUNTER"},    // TPM_NT_COUNTER: never goes back
	{1 << 18, "AUTHREAD"},  // empty password: anyone may read it
	{1 << 25, "NO_DA"},     // no lockout can stop the night
	{nvWritten, "WRITTEN"}, // incremented once, so its Name is final
}

const nvWritten = 1 << 29

// What the plain form has besides: an empty password. A counter takes nothing
// but increments.
var (
	plainKey     = attribute{1 << 6, "userWithAuth"}
	plainCounter = attribute{1 << 2, "AUTHWRITE"}
)

// What the bound form has instead: the policy, and for a key's use nothing else.
var boundCounter = attribute{1 << 3, "POLICYWRITE"}

// checkAttributes refuses an attribute too few, and one too many.
func checkAttributes(what string, have uint32, want ...attribute) error {
	var all uint32
	for _, a := range want {
		if have&a.bit == 0 {
			return fmt.Errorf("%s lacks the attribute %s", what, a.name)
		}
		all |= a.bit
	}
	if have != all {
		return fmt.Errorf("%s has further attributes %#x", what, have&^all)
	}
	return nil
}

// checkPolicy: an empty one is the plain form's.
func checkPolicy(what string, have, want []byte) error {
	switch {
	case bytes.Equal(have, want):
		return nil
	case len(want) == 0:
		return fmt.Errorf("%s has a policy", what)
	case len(have) == 0:
		return fmt.Errorf("%s has no policy", what)
	}
	return fmt.Errorf("%s has a policy of another approvals key", what)
}

// identity is what attestations are checked against.
type identity struct {
	key     *PublicKey
	signer  []byte // the key's qualified name under the endorsement hierarchy
	counter []byte // the counter's Name
}

// parseIdentity reads TPMT_PUBLIC and TPMS_NV_PUBLIC, refusing any that are not
// as [TPM.CreateKey] makes them in the form that has this policy.
func parseIdentity(keyPublic, counterPublic, policy []byte) (*identity, error) {
	key, err := parseKey(keyPublic, policy)
	if err != nil {
		return nil, err
	}
	if err := checkCounter(counterPublic, policy); err != nil {
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

// policyOf is the authPolicy of a TPMT_PUBLIC (at 8) or a TPMS_NV_PUBLIC (at 10),
// for telling one form of ours from another; nil when there is none.
func policyOf(public []byte, at int) []byte {
	var policy cryptobyte.String
	if len(public) < at {
		return nil
	}
	s := cryptobyte.String(public[at:])
	if !s.ReadUint16LengthPrefixed(&policy) || len(policy) == 0 {
		return nil
	}
	return policy
}

// parseKey reads a TPMT_PUBLIC of the sealing key.
func parseKey(public, want []byte) (*PublicKey, error) {
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
	attributesWanted := keyAttributes
	if len(want) == 0 {
		attributesWanted = append(slices.Clone(keyAttributes), plainKey)
	}
	if err := checkAttributes("key", attributes, attributesWanted...); err != nil {
		return nil, err
	}
	if err := checkPolicy("key", policy, want); err != nil {
		return nil, err
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
func checkCounter(public, want []byte) error {
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
	// Above all not ORDERLY, whose value a power cut may lose, nor another type.
	writer := boundCounter
	if len(want) == 0 {
		writer = plainCounter
	}
	if err := checkAttributes("counter", attributes, append(slices.Clone(counterAttributes), writer)...); err != nil {
		return err
	}
	if err := checkPolicy("counter", policy, want); err != nil {
		return err
	}
	if size != 8 {
		return fmt.Errorf("counter has %d bytes, want 8", size)
	}
	return nil
}

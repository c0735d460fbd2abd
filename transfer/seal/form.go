package seal

import (
	"crypto/sha256"
	"encoding/binary"
)

// Form is what lets the sealing key and its counter be used. The two forms have
// different Names: changing the form means enrolling again.
type Form struct {
	// Approvals is IT's key of approvals. With it the TPM seals only in a state
	// that an [Authorization] by that key names: the bound form. Nil means the
	// plain form: an empty password.
	Approvals *PublicKey
	// Tickets is a folder for what the TPM needs to know an authorization again
	// without a signature check. "" means that it checks once in each process.
	Tickets string
}

// policyRef says what an approvals key signed a policy for.
const policyRef = "kiosk-state-v1"

// TPM_CC of the policy commands, which begin what a policy's digest is over.
const (
	ccPolicyPCR       = 0x0000017F
	ccPolicyAuthorize = 0x0000016A
)

// policy is the authPolicy of key and counter: PolicyAuthorize by the approvals
// key; nil in the plain form.
// Trusted Platform Module Library, Part 3, 23.16, equations 25 and 26.
func (f Form) policy() []byte {
	if f.Approvals == nil {
		return nil
	}
	digest := policyStep(make([]byte, sha256.Size), ccPolicyAuthorize, nameOf(externalPublic(f.Approvals)))
	return sum256(digest, []byte(policyRef))
}

// statePolicy is the digest of a policy session that saw these PCRs: PolicyPCR.
// Part 3, 23.7, equation 13.
func statePolicy(bits []byte, values [32]byte) []byte {
	list := binary.BigEndian.AppendUint32(nil, 1)
	list = binary.BigEndian.AppendUint16(list, algSHA256)
	list = append(append(list, byte(len(bits))), bits...)
	return policyStep(make([]byte, sha256.Size), ccPolicyPCR, append(list, values[:]...))
}

// policyStep extends a policy's digest by a command and its arguments.
func policyStep(digest []byte, command uint32, arguments []byte) []byte {
	return sum256(digest, binary.BigEndian.AppendUint32(nil, command), arguments)
}

// sum256 is the SHA-256 of the parts, one after the other.
func sum256(parts ...[]byte) []byte {
	h := sha256.New()
	for _, p := range parts {
		h.Write(p)
	}
	return h.Sum(nil)
}

// externalPublic is the TPMT_PUBLIC under which a TPM knows a key of ours that
// is not its own: a signing key with an empty policy.
func externalPublic(p *PublicKey) []byte {
	const signEncrypt, userWithAuth = 1 << 18, 1 << 6
	be := binary.BigEndian
	out := be.AppendUint16(nil, algECC)
	out = be.AppendUint16(out, algSHA256)
	out = be.AppendUint32(out, signEncrypt|userWithAuth)
	for _, v := range []uint16{0 /* no policy */, algNull, algECDSA, algSHA256, curveP256, algNull} {
		out = be.AppendUint16(out, v)
	}
	point := p.spki[len(p.spki)-64:] // an uncompressed point ends the SubjectPublicKeyInfo
	out = append(be.AppendUint16(out, 32), point[:32]...)
	return append(be.AppendUint16(out, 32), point[32:]...)
}

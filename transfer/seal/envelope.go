package seal

import (
	"fmt"

	"sekisho/transfer/canonical"
)

// maxType bounds a payload type, in bytes.
const maxType = 128

// envelope is a DSSE envelope with one signature.
// https://github.com/secure-systems-lab/dsse/blob/master/envelope.md
type envelope struct {
	PayloadType string      `json:"payloadType"`
	Payload     []byte      `json:"payload"`
	Signatures  []signature `json:"signatures"`
}

type signature struct {
	KeyID string `json:"keyid"`
	Sig   []byte `json:"sig"`
}

// pae is DSSE's pre-authentication encoding: the bytes that are signed. The
// dsse module has the same line, and imports an SSH client beside it.
// https://github.com/secure-systems-lab/dsse/blob/master/protocol.md
func pae(payloadType string, payload []byte) []byte {
	return append(fmt.Appendf(nil, "DSSEv1 %d %s %d ", len(payloadType), payloadType, len(payload)), payload...)
}

// checkPayload refuses what no envelope may carry.
func checkPayload(payloadType string, payload []byte) error {
	if n := len(payloadType); n == 0 || n > maxType {
		return fmt.Errorf("payload type has %d bytes, want 1 to %d", n, maxType)
	}
	for _, c := range []byte(payloadType) {
		if c <= ' ' || c > '~' {
			return fmt.Errorf("payload type %q is not printable ASCII", payloadType)
		}
	}
	if n := len(payload); n == 0 || n > MaxPayload {
		return fmt.Errorf("payload has %d bytes, want 1 to %d", n, MaxPayload)
	}
	return nil
}

// newEnvelope puts payload and its DER signature by the key into an envelope.
func newEnvelope(payloadType string, payload []byte, by *PublicKey, der []byte) ([]byte, error) {
	return canonical.Marshal(envelope{payloadType, payload, []signature{{by.KeyID(), der}}})
}

// parseEnvelope reads an envelope that has exactly one signature. It verifies
// nothing; its bytes are its own.
func parseEnvelope(data []byte) (*envelope, error) {
	var e envelope
	if err := canonical.Parse(data, &e, MaxEnvelope); err != nil {
		return nil, fmt.Errorf("%w: envelope: %w", ErrMalformed, err)
	}
	if n := len(e.Signatures); n != 1 {
		return nil, fmt.Errorf("%w: envelope has %d signatures, want 1", ErrMalformed, n)
	}
	if err := checkPayload(e.PayloadType, e.Payload); err != nil {
		return nil, fmt.Errorf("%w: envelope: %w", ErrMalformed, err)
	}
	return &e, nil
}

// verify checks type and signature. A caller must not look at the payload
// before it returned nil.
func (e *envelope) verify(payloadType string, by *PublicKey) error {
	if e.PayloadType != payloadType {
		return fmt.Errorf("%w: payload is of type %q, want %q", ErrBadSeal, e.PayloadType, payloadType)
	}
	if !by.verify(pae(e.PayloadType, e.Payload), e.Signatures[0].Sig) {
		return fmt.Errorf("%w: envelope's signature is wrong", ErrBadSeal)
	}
	return nil
}

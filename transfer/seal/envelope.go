package seal

import (
	"bytes"
	"encoding/json"
	"fmt"
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
	return marshal(envelope{payloadType, payload, []signature{{by.KeyID(), der}}})
}

// parseEnvelope reads an envelope that has exactly one signature. It verifies
// nothing; its bytes are its own.
func parseEnvelope(data []byte) (*envelope, error) {
	var e envelope
	if err := parse(data, &e, MaxEnvelope); err != nil {
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

// marshal gives the canonical form of v: compact JSON in field order, and a
// line feed.
func marshal(v any) ([]byte, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	return append(data, '\n'), nil
}

// parse reads the canonical form into *v, a struct that marshals by its fields.
// encoding/json accepts keys of another case, repeated keys, unknown keys, other
// base64 and more; none of these come out again as they went in.
func parse[T any](data []byte, v *T, limit int) error {
	if len(data) > limit {
		return fmt.Errorf("%d bytes are more than %d", len(data), limit)
	}
	if err := json.Unmarshal(data, v); err != nil {
		return err
	}
	again, err := marshal(v)
	if err != nil {
		return err
	}
	if !bytes.Equal(again, data) {
		return fmt.Errorf("not in canonical form")
	}
	return nil
}

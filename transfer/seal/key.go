package seal

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/google/go-tpm/tpm2"
)

// Key is the sealing key of an open TPM, and its counter. It is usable until
// the TPM is closed, and safe for concurrent use.
type Key struct {
	tpm           *TPM
	public        []byte // TPMT_PUBLIC
	counterPublic []byte // TPMS_NV_PUBLIC
	handle        tpm2.NamedHandle
	counter       index
	id            *identity
}

var _ Signer = (*Key)(nil)

// Public returns the key's public half.
func (k *Key) Public() *PublicKey { return k.id.key }

// Software says that the TPM is a program.
func (k *Key) Software() bool { return k.tpm.software }

// Counter returns the counter's present value.
func (k *Key) Counter() (uint64, error) {
	k.tpm.mu.Lock()
	defer k.tpm.mu.Unlock()
	return k.count()
}

// Increment moves the counter by one and returns its new value, which survives
// a power cut. After an error the counter may have moved.
func (k *Key) Increment() (uint64, error) {
	k.tpm.mu.Lock()
	defer k.tpm.mu.Unlock()
	if _, err := (tpm2.NVIncrement{AuthHandle: k.counter.auth(), NVIndex: k.counter.handle}).Execute(k.tpm.link); err != nil {
		return 0, fmt.Errorf("incrementing counter: %w", err)
	}
	if err := k.tpm.flush(); err != nil {
		return 0, fmt.Errorf("incrementing counter: %w", err)
	}
	return k.count()
}

func (k *Key) count() (uint64, error) {
	data, err := k.tpm.read(k.counter)
	if err != nil {
		return 0, fmt.Errorf("reading counter: %w", err)
	}
	return binary.BigEndian.Uint64(data), nil
}

// Seal seals payload, 1 to MaxPayload bytes, at the counter's present value.
// What it returns has been verified as [Open] will verify it.
func (k *Key) Seal(payloadType string, payload []byte) (*Sealed, error) {
	if err := checkPayload(payloadType, payload); err != nil {
		return nil, fmt.Errorf("sealing: %w", err)
	}
	message := pae(payloadType, payload)
	digest := sha256.Sum256(message)

	k.tpm.mu.Lock()
	defer k.tpm.mu.Unlock()
	der, err := k.sign(message)
	if err != nil {
		return nil, fmt.Errorf("sealing: signing: %w", err)
	}
	evidence, err := k.attest(digest)
	if err != nil {
		return nil, fmt.Errorf("sealing: %w", err)
	}
	// A chip that errs is better found out here than at the gate.
	if !k.id.key.verify(message, der) {
		return nil, errors.New("sealing: the TPM signed something else")
	}
	if _, err := k.id.check(digest, evidence); err != nil {
		return nil, fmt.Errorf("sealing: the TPM attested something else: %w", err)
	}
	envelope, err := newEnvelope(payloadType, payload, k.id.key, der)
	if err != nil {
		return nil, fmt.Errorf("sealing: %w", err)
	}
	return &Sealed{envelope, evidence}, nil
}

// Request makes a request to enrol this key under a kiosk's name.
func (k *Key) Request(name string) (Request, error) {
	if err := checkName(name); err != nil {
		return Request{}, fmt.Errorf("requesting enrolment: %w", err)
	}
	k.tpm.mu.Lock()
	defer k.tpm.mu.Unlock()
	r := Request{
		Name: name, Software: k.tpm.software, Key: k.public, CounterPublic: k.counterPublic,
		EKCertificate: k.tpm.certificate(),
	}
	digest, err := r.digest()
	if err != nil {
		return Request{}, fmt.Errorf("requesting enrolment: %w", err)
	}
	if r.Proof, err = k.attest(digest); err != nil {
		return Request{}, fmt.Errorf("requesting enrolment: %w", err)
	}
	return r, nil
}

// certificates are where TPMs keep an EK certificate: for the P-256 key, the
// RSA one, and where swtpm has the one for its P-384 key.
// TCG EK Credential Profile, 2.2.1.4 and 2.2.1.5.
var certificates = []tpm2.TPMHandle{0x01C0000A, 0x01C00002, 0x01C00016}

// certificate returns the TPM's first EK certificate, or nil when it has none
// or does not give it out: nothing rests on it.
func (t *TPM) certificate() []byte {
	for _, handle := range certificates {
		i, err := t.readIndex(handle)
		if err != nil || i.size > maxCertificate {
			continue
		}
		data, err := t.read(i)
		if err != nil {
			continue
		}
		if n, err := derLen(data); err == nil { // some makers pad with 0xFF
			return bytes.Clone(data[:n])
		}
	}
	return nil
}

package seal

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/google/go-tpm/tpm2"
)

// Key is the sealing key of an open TPM, and its counter. It is usable until
// the TPM is closed, and safe for concurrent use.
type Key struct {
	tpm            *TPM
	form           Form
	public         []byte // TPMT_PUBLIC
	counterPublic  []byte // TPMS_NV_PUBLIC, as it is once the counter was incremented
	handle         tpm2.NamedHandle
	counter        index // as it is; under tpm.mu
	id             *identity
	authorizations []Authorization // signed by form.Approvals; under tpm.mu
	forged         int             // how many were not; under tpm.mu
	chosen         *approved       // of authorizations; nil until one is needed; under tpm.mu
}

var _ Signer = (*Key)(nil)

// Public returns the key's public half.
func (k *Key) Public() *PublicKey { return k.id.key }

// Software says that the TPM is a program.
func (k *Key) Software() bool { return k.tpm.software }

// errNotProvisioned: only the bound form is ever seen like this.
var errNotProvisioned = errors.New("the counter was never incremented: the enrolment is not finished")

// Counter returns the counter's present value.
func (k *Key) Counter() (n uint64, err error) {
	err = k.tpm.operate("reading counter", func() error {
		n, err = k.count()
		return err
	})
	return n, err
}

// Increment moves the counter by one and returns its new value, which survives
// a power cut. After an error the counter may have moved. In the bound form it
// fails with ErrUnapproved when no authorization fits.
func (k *Key) Increment() (n uint64, err error) {
	err = k.tpm.operate("incrementing counter", func() error {
		if err := k.increment(); err != nil {
			return err
		}
		n, err = k.count()
		return err
	})
	return n, err
}

// Provision makes the counter's first increment, if that was not made yet. Only
// the bound form needs it, which needs an authorization for it.
func (k *Key) Provision() error {
	return k.tpm.operate("provisioning counter", func() error {
		if k.counter.attributes.Written {
			return nil
		}
		return k.increment()
	})
}

func (k *Key) increment() error {
	_, err := authorize(k, k.counter.handle, func(auth tpm2.AuthHandle) (*tpm2.NVIncrementResponse, error) {
		return tpm2.NVIncrement{AuthHandle: auth, NVIndex: k.counter.handle}.Execute(k.tpm.link)
	})
	if err != nil {
		return err
	}
	if !k.counter.attributes.Written { // its Name is another now
		if k.counter, err = k.tpm.readIndex(counterIndex); err != nil {
			return err
		}
	}
	return k.tpm.flush()
}

func (k *Key) count() (uint64, error) {
	if !k.counter.attributes.Written {
		return 0, errNotProvisioned
	}
	data, err := k.tpm.read(k.counter)
	if err != nil {
		return 0, err
	}
	return binary.BigEndian.Uint64(data), nil
}

// Seal seals payload, 1 to MaxPayload bytes, at the counter's present value.
// What it returns has been verified as [Open] will verify it. In the bound form
// it fails with ErrUnapproved when no authorization fits.
func (k *Key) Seal(payloadType string, payload []byte) (s *Sealed, err error) {
	if err := checkPayload(payloadType, payload); err != nil {
		return nil, fmt.Errorf("sealing: %w", err)
	}
	message := pae(payloadType, payload)
	err = k.tpm.operate("sealing", func() error {
		der, err := k.sign(message)
		if err != nil {
			return fmt.Errorf("signing: %w", err)
		}
		evidence, err := k.attest(sha256.Sum256(message))
		if err != nil {
			return err
		}
		if !k.id.key.verify(message, der) {
			return errors.New("the TPM signed something else")
		}
		envelope, err := newEnvelope(payloadType, payload, k.id.key, der)
		s = &Sealed{envelope, evidence}
		return err
	})
	if err != nil {
		return nil, err
	}
	return s, nil
}

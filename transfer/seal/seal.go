package seal

import (
	"errors"

	"sekisho/transfer/measure"
)

// Bounds in bytes. Whoever reads a seal from a drive reads at most one byte
// more than these.
const (
	MaxPayload  = 64 << 10        // of a payload
	MaxEnvelope = 88 << 10        // of an envelope: a full payload in base64, and its frame
	MaxEvidence = measure.MaxList // of each file of evidence; only events.json may be so large
)

var (
	// ErrMalformed means that bytes are not of the form they should have. The
	// operator looks for a damaged drive or another version of Sekisho.
	ErrMalformed = errors.New("malformed")
	// ErrUnknownKiosk means that no enrolled key made the seal. The operator
	// enrols the kiosk, or asks where the drive comes from.
	ErrUnknownKiosk = errors.New("unknown kiosk")
	// ErrBadSeal means that a seal does not prove what it should. The operator
	// treats the drive as forged or altered.
	ErrBadSeal = errors.New("seal does not hold")
	// ErrBadRequest means that a key, a counter or a proof is not as enrolment
	// demands. The operator does not enrol that machine.
	ErrBadRequest = errors.New("enrolment refused")
	// ErrNoKey means that the TPM holds no sealing key. The operator enrols.
	ErrNoKey = errors.New("TPM holds no sealing key")
)

// Signer is what can seal: a *Key. Its methods may be called concurrently and
// are carried out one after the other.
type Signer interface {
	// Counter returns the counter's present value.
	Counter() (uint64, error)
	// Increment moves the counter and returns its new value, which is on disk
	// (or in the chip) then. After an error it may have moved all the same.
	Increment() (uint64, error)
	// Seal seals payload at the counter's present value. It does not move the
	// counter; payload should state the value, and one value should seal once.
	Seal(payloadType string, payload []byte) (*Sealed, error)
	// Software says that the TPM is a program.
	Software() bool
}

// Sealed is a seal, ready to be written to a drive.
type Sealed struct {
	Envelope []byte
	Evidence Evidence
}

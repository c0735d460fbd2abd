package seal

import (
	"errors"
	"fmt"
)

// Bounds in bytes. Whoever reads a seal from a drive reads at most one byte
// more than these.
const (
	MaxPayload  = 64 << 10 // of a payload
	MaxEnvelope = 88 << 10 // of an envelope: a full payload in base64, and its frame
	MaxEvidence = 2 << 10  // of each file of evidence; the largest in use has 1,200
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
	// ErrInUse means that another process owns the TPM. The operator ends it.
	ErrInUse = errors.New("TPM is in use by another process")
	// ErrNoAnswer means that the TPM did not answer a command in time. It is
	// not asked again until it is opened again.
	ErrNoAnswer = errors.New("TPM did not answer in time")
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

// Evidence is what the TPM attested for one seal, as plain TPM structures; the
// package comment has their content.
type Evidence struct {
	Counter, CounterSig, Quote, QuoteSig, PCRs []byte
}

// parts lists the files of evidence in the order they are checked.
func (e *Evidence) parts() []part {
	return []part{
		{"counter.attest", &e.Counter}, {"counter.sig", &e.CounterSig},
		{"quote.attest", &e.Quote}, {"quote.sig", &e.QuoteSig}, {"quote.pcrs", &e.PCRs},
	}
}

type part struct {
	name string
	data *[]byte
}

// Files returns the evidence by file name. The bytes are shared.
func (e Evidence) Files() map[string][]byte {
	files := make(map[string][]byte)
	for _, p := range e.parts() {
		files[p.name] = *p.data
	}
	return files
}

// EvidenceOf takes the evidence from its files: exactly those that
// [Evidence.Files] names. It checks names and sizes only. The bytes are shared.
func EvidenceOf(files map[string][]byte) (Evidence, error) {
	var e Evidence
	for _, p := range e.parts() {
		data, ok := files[p.name]
		if !ok {
			return Evidence{}, fmt.Errorf("%w: evidence lacks %s", ErrMalformed, p.name)
		}
		*p.data = data
	}
	if extra := len(files) - len(e.parts()); extra > 0 {
		return Evidence{}, fmt.Errorf("%w: evidence has %d more files than it should", ErrMalformed, extra)
	}
	if err := e.bounded(); err != nil {
		return Evidence{}, err
	}
	return e, nil
}

// bounded refuses what is too large to be looked at.
func (e *Evidence) bounded() error {
	for _, p := range e.parts() {
		if n := len(*p.data); n == 0 || n > MaxEvidence {
			return fmt.Errorf("%w: %s has %d bytes, want 1 to %d", ErrMalformed, p.name, n, MaxEvidence)
		}
	}
	return nil
}

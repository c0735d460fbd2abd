package seal

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"sekisho/transfer/canonical"
	"sekisho/transfer/measure"
)

// Mode says how it became known that a TPM holds a kiosk's key. It is written as
// it is into records and ledgers.
type Mode = string

const (
	// ModeCertified: the TPM activated a credential for its endorsement key, and
	// the maker's certificate of that chains to a root of the gate's.
	ModeCertified Mode = "certified"
	// ModeFingerprint: the TPM activated a credential for its endorsement key,
	// and two people compared the fingerprint of that on both screens.
	ModeFingerprint Mode = "fingerprint"
)

const (
	maxFile        = 80 << 10 // of a Kiosk, in bytes
	maxCertificate = 8 << 10  // of an EK certificate, in bytes
	maxName        = 32       // of a kiosk's name, in bytes

	kioskFormat = "sekisho-kiosk-v1"
)

// Kiosk is what the gate keeps of an enrolled kiosk, and checks seals against.
type Kiosk struct {
	Name          string    `json:"name"` // lower-case letters, digits and '-', at most 32
	Mode          Mode      `json:"mode"`
	Software      bool      `json:"software"`                // the TPM is a program, as the kiosk or its certificate says
	Key           []byte    `json:"key"`                     // the sealing key, a TPMT_PUBLIC
	CounterPublic []byte    `json:"counterPublic"`           // the counter, a TPMS_NV_PUBLIC
	Counter       uint64    `json:"counter"`                 // its value at enrolment
	ResetCount    uint32    `json:"resetCount"`              // the TPM's, at enrolment
	EKCertificate []byte    `json:"ekCertificate,omitempty"` // DER; its chain was checked in ModeCertified only
	EK            string    `json:"ek"`                      // SHA-256 of the EK's TPMT_PUBLIC, lower-case hex
	Root          string    `json:"root,omitempty"`          // SHA-256 of the root certificate's DER, likewise; ModeCertified
	Approvals     []byte    `json:"approvals,omitempty"`     // the approvals key, as [PublicKey.Marshal] gives it; the bound form
	PCRs          []byte    `json:"pcrs,omitempty"`          // the state at enrolment, as quote.pcrs, which counts as
	Events        []byte    `json:"events,omitempty"`        // approved, with its events.json; both empty once revoked
	Enrolled      time.Time `json:"enrolled"`                // UTC, whole seconds
}

type kioskFile struct {
	Format string `json:"format"`
	Kiosk
}

// Marshal returns the canonical form: one line of JSON.
func (k *Kiosk) Marshal() ([]byte, error) {
	if err := k.check(); err != nil {
		return nil, fmt.Errorf("kiosk %q: %w", k.Name, err)
	}
	return canonical.Marshal(kioskFile{kioskFormat, *k})
}

// ParseKiosk reads what Marshal wrote, and nothing else.
func ParseKiosk(data []byte) (*Kiosk, error) {
	var f kioskFile
	if err := canonical.Parse(data, &f, maxFile); err != nil {
		return nil, fmt.Errorf("%w: kiosk: %w", ErrMalformed, err)
	}
	if f.Format != kioskFormat {
		return nil, fmt.Errorf("%w: kiosk has format %q, want %q", ErrMalformed, f.Format, kioskFormat)
	}
	if err := f.Kiosk.check(); err != nil {
		return nil, fmt.Errorf("%w: kiosk: %w", ErrMalformed, err)
	}
	return &f.Kiosk, nil
}

// PublicKey returns the sealing key.
func (k *Kiosk) PublicKey() (*PublicKey, error) {
	id, err := k.identity()
	if err != nil {
		return nil, err
	}
	return id.key, nil
}

// State returns the state at enrolment, or nothing once it was revoked.
func (k *Kiosk) State() (pcrs map[int][32]byte, events *measure.List, err error) {
	if len(k.PCRs) == 0 && len(k.Events) == 0 {
		return nil, nil, nil
	}
	if pcrs, err = ParsePCRs(k.PCRs); err != nil {
		return nil, nil, err
	}
	if events, err = parseEvents(k.Events, pcrs); err != nil {
		return nil, nil, err
	}
	return pcrs, events, nil
}

func (k *Kiosk) check() error {
	if err := checkName(k.Name); err != nil {
		return err
	}
	if err := k.checkMode(); err != nil {
		return err
	}
	if err := checkCertificate(k.EKCertificate); err != nil {
		return err
	}
	if _, offset := k.Enrolled.Zone(); offset != 0 || k.Enrolled.Nanosecond() != 0 || k.Enrolled.IsZero() {
		return errors.New("time of enrolment is not in UTC and whole seconds")
	}
	if _, _, err := k.State(); err != nil {
		return fmt.Errorf("state at enrolment: %w", err)
	}
	_, err := k.identity()
	return err
}

// checkMode demands what a mode rests on, and refuses what it does not have.
func (k *Kiosk) checkMode() error {
	switch k.Mode {
	case ModeCertified:
		if len(k.EKCertificate) == 0 || !isHash(k.EK) || !isHash(k.Root) {
			return fmt.Errorf("mode %q lacks the certificate, or the hash of EK or root", k.Mode)
		}
	case ModeFingerprint:
		if !isHash(k.EK) || k.Root != "" {
			return fmt.Errorf("mode %q lacks the hash of the EK, or has one of a root", k.Mode)
		}
	default:
		return fmt.Errorf("mode is %q, want %q or %q", k.Mode, ModeCertified, ModeFingerprint)
	}
	return nil
}

func isHash(s string) bool {
	sum, err := hex.DecodeString(s)
	return err == nil && len(sum) == sha256.Size && hex.EncodeToString(sum) == s
}

func (k *Kiosk) identity() (*identity, error) {
	var f Form
	if len(k.Approvals) > 0 {
		var err error
		if f.Approvals, err = ParsePublicKey(k.Approvals); err != nil {
			return nil, fmt.Errorf("approvals key: %w", err)
		}
	}
	return parseIdentity(k.Key, k.CounterPublic, f.policy())
}

// checkName keeps names fit for file names on any filesystem.
func checkName(name string) error {
	if n := len(name); n == 0 || n > maxName {
		return fmt.Errorf("name has %d bytes, want 1 to %d", n, maxName)
	}
	for i, c := range []byte(name) {
		if !('a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-' && i > 0) {
			return fmt.Errorf("name %q is not of lower-case letters, digits and '-'", name)
		}
	}
	return nil
}

// checkCertificate accepts none, or one DER element. It does not look inside:
// TPM makers' certificates break many rules.
func checkCertificate(der []byte) error {
	if len(der) == 0 {
		return nil
	}
	if len(der) > maxCertificate {
		return fmt.Errorf("EK certificate has %d bytes, want at most %d", len(der), maxCertificate)
	}
	if n, err := derLen(der); err != nil || n != len(der) {
		return errors.New("EK certificate is not one DER element")
	}
	return nil
}

// derLen returns the length of the DER sequence that data begins with.
func derLen(data []byte) (int, error) {
	s := cryptobyte.String(data)
	var element cryptobyte.String
	if !s.ReadASN1Element(&element, asn1.SEQUENCE) {
		return 0, errors.New("no DER sequence")
	}
	return len(element), nil
}

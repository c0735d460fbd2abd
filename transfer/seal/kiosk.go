package seal

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// ModePinned is the only mode of enrolment yet: the key is trusted because two
// people compared its fingerprint. Nothing proved that a TPM holds it.
const ModePinned = "pinned"

const (
	maxFile        = 16 << 10 // of a Kiosk or a Request, in bytes
	maxCertificate = 8 << 10  // of an EK certificate, in bytes
	maxName        = 32       // of a kiosk's name, in bytes

	kioskFormat = "sekisho-kiosk-v1"
)

// Kiosk is what the gate keeps of an enrolled kiosk, and checks seals against.
type Kiosk struct {
	Name          string    `json:"name"`                    // lower-case letters, digits and '-', at most 32
	Mode          string    `json:"mode"`                    // ModePinned
	Software      bool      `json:"software"`                // the TPM is a program, as the kiosk said
	Key           []byte    `json:"key"`                     // the sealing key, a TPMT_PUBLIC
	CounterPublic []byte    `json:"counterPublic"`           // the counter, a TPMS_NV_PUBLIC
	Counter       uint64    `json:"counter"`                 // its value at enrolment
	EKCertificate []byte    `json:"ekCertificate,omitempty"` // DER; informative, no chain was checked
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
	return marshal(kioskFile{kioskFormat, *k})
}

// ParseKiosk reads what Marshal wrote, and nothing else.
func ParseKiosk(data []byte) (*Kiosk, error) {
	var f kioskFile
	if err := parse(data, &f, maxFile); err != nil {
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
func (k *Kiosk) PublicKey() (*PublicKey, error) { return parseKey(k.Key) }

func (k *Kiosk) check() error {
	if err := checkName(k.Name); err != nil {
		return err
	}
	if k.Mode != ModePinned {
		return fmt.Errorf("mode is %q, want %q", k.Mode, ModePinned)
	}
	if err := checkCertificate(k.EKCertificate); err != nil {
		return err
	}
	if _, offset := k.Enrolled.Zone(); offset != 0 || k.Enrolled.Nanosecond() != 0 || k.Enrolled.IsZero() {
		return errors.New("time of enrolment is not in UTC and whole seconds")
	}
	_, err := k.identity()
	return err
}

func (k *Kiosk) identity() (*identity, error) { return parseIdentity(k.Key, k.CounterPublic) }

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

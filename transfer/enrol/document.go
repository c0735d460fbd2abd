package enrol

import (
	"encoding/base32"
	"errors"
	"fmt"
	"strings"
	"time"

	"sekisho/transfer/canonical"
	"sekisho/transfer/manifest"
	"sekisho/transfer/seal"
)

// MaxDocument bounds each document, in bytes. Whoever reads one from a drive
// reads at most one byte more.
const MaxDocument = 64 << 10

var (
	// ErrMalformed means that bytes are not a document of enrolment. The
	// operator looks for a damaged drive or another version of Sekisho.
	ErrMalformed = seal.ErrMalformed
	// ErrRefused means that a document does not prove what it should: another
	// TPM's, another gate's, an earlier one, or forged. The operator does not
	// enrol that machine, or begins anew with a fresh request.
	ErrRefused = seal.ErrBadRequest
	// ErrSoftware means that the TPM is a program, which the gate takes only
	// when its certificate's root was configured as one of software TPMs.
	ErrSoftware = errors.New("a software TPM without a configured root")
	// ErrChain means that the endorsement key's certificate is another key's, or
	// that it or one of its issuers' is not valid at this time. The operator
	// looks at the clock, and asks the TPM's maker for newer certificates.
	ErrChain = errors.New("endorsement certificate does not hold")
)

// malformed makes err an ErrMalformed.
func malformed(document string, err error) error {
	if errors.Is(err, ErrMalformed) {
		return fmt.Errorf("%s: %w", document, err)
	}
	return fmt.Errorf("%w: %s: %w", ErrMalformed, document, err)
}

// refuse makes err an ErrRefused.
func refuse(err error) error {
	if errors.Is(err, ErrRefused) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrRefused, err)
}

func refused(format string, args ...any) error { return refuse(fmt.Errorf(format, args...)) }

// marshal gives the canonical form of v, if a document may be so large.
func marshal(v any) ([]byte, error) {
	data, err := canonical.Marshal(v)
	if err == nil && len(data) > MaxDocument {
		return nil, fmt.Errorf("%d bytes are more than %d", len(data), MaxDocument)
	}
	return data, err
}

// parse reads the canonical form into *v.
func parse[T any](data []byte, v *T) error { return canonical.Parse(data, v, MaxDocument) }

// checkName keeps names fit for file names on any filesystem.
func checkName(name string) error {
	if !manifest.ValidName(name) || strings.ContainsFunc(name, func(c rune) bool { return c == '_' || 'A' <= c && c <= 'Z' }) {
		return fmt.Errorf("name %.80q is not of 1 to 32 lower-case letters, digits and '-'", name)
	}
	return nil
}

func checkTime(t time.Time) error {
	if _, offset := t.Zone(); offset != 0 || t.Nanosecond() != 0 || t.IsZero() {
		return errors.New("time is not in UTC and whole seconds")
	}
	return nil
}

// groups writes 100 bits of a digest in five groups, for two people to compare
// on two screens.
func groups(digest [32]byte) string {
	text := base32.StdEncoding.EncodeToString(digest[:])
	five := make([]string, 5)
	for i := range five {
		five[i] = text[4*i : 4*i+4]
	}
	return strings.Join(five, "-")
}

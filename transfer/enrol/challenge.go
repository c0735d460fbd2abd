package enrol

import (
	"crypto/sha256"
	"errors"
	"fmt"

	"sekisho/transfer/manifest"
)

const (
	challengeFormat = "sekisho-enrol-challenge/1"

	maxCredential = 1 << 10 // of each part, in bytes; a secret for RSA 2048 has 256
	maxApprovals  = 16      // in a challenge
)

// Challenge is the gate's reply to a request.
type Challenge struct {
	Request    manifest.Hash `json:"request"` // digest of the request
	Keys       []byte        `json:"keys"`    // the gate's key set, as manifest.KeySet marshals
	Credential Credential    `json:"credential"`
	Approvals  [][]byte      `json:"approvals,omitempty"` // envelopes by IT's key, for the bound form's first increment
}

// Credential is a secret for one sealing key in one TPM.
type Credential struct {
	Blob   []byte `json:"blob"`   // content of a TPM2B_ID_OBJECT
	Secret []byte `json:"secret"` // content of a TPM2B_ENCRYPTED_SECRET
}

type challengeFile struct {
	Format string `json:"format"`
	Challenge
}

// Marshal returns the canonical form: one line of JSON.
func (c *Challenge) Marshal() ([]byte, error) {
	if err := c.check(); err != nil {
		return nil, fmt.Errorf("enrolment challenge: %w", err)
	}
	return marshal(challengeFile{challengeFormat, *c})
}

// ParseChallenge reads what Marshal wrote, and nothing else. Nothing in it is
// to be trusted before two people compared its fingerprint.
func ParseChallenge(data []byte) (*Challenge, error) {
	const document = "enrolment challenge"
	var f challengeFile
	if err := parse(data, &f); err != nil {
		return nil, malformed(document, err)
	}
	if f.Format != challengeFormat {
		return nil, malformed(document, fmt.Errorf("format %.80q, want %q", f.Format, challengeFormat))
	}
	if err := f.check(); err != nil {
		return nil, malformed(document, err)
	}
	return &f.Challenge, nil
}

func (c *Challenge) check() error {
	if _, err := c.KeySet(); err != nil {
		return err
	}
	for _, part := range [][]byte{c.Credential.Blob, c.Credential.Secret} {
		if n := len(part); n == 0 || n > maxCredential {
			return fmt.Errorf("a part of the credential has %d bytes, want 1 to %d", n, maxCredential)
		}
	}
	if n := len(c.Approvals); n > maxApprovals {
		return fmt.Errorf("%d approvals, want at most %d", n, maxApprovals)
	}
	for _, a := range c.Approvals {
		if len(a) == 0 {
			return errors.New("an empty approval")
		}
	}
	return nil
}

// KeySet returns the gate's key set, which the kiosk pins.
func (c *Challenge) KeySet() (*manifest.KeySet, error) { return manifest.ParseKeySet(c.Keys) }

// Fingerprint is [KeysFingerprint] of the key set, for the kiosk's screen.
func (c *Challenge) Fingerprint() string { return KeysFingerprint(sha256.Sum256(c.Keys)) }

// KeysFingerprint returns 100 bits of a key set's digest in five groups, for two
// people to compare on the gate's screen and on the kiosk's.
func KeysFingerprint(keys manifest.Hash) string { return groups(keys) }

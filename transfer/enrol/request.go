package enrol

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"sekisho/transfer/manifest"
	"sekisho/transfer/seal"
)

const (
	requestFormat  = "sekisho-enrol-request/1"
	fingerprintTag = "sekisho-enrol-fingerprint-v1\x00"

	maxArea        = 2 << 10  // of a TPM's public area, in bytes
	maxCertificate = 8 << 10  // of an endorsement certificate, in bytes
	maxState       = 32 << 10 // of a claimed state, in bytes
)

// Request asks a gate to enrol a kiosk. It is no secret, and all of it is the
// kiosk's own word until the answer.
type Request struct {
	Name          string        `json:"name"`                // lower-case letters, digits and '-', at most 32
	Software      bool          `json:"software"`            // the TPM is a program
	Endorsement   Endorsement   `json:"endorsement"`         // which TPM
	Key           []byte        `json:"key"`                 // the sealing key, a TPMT_PUBLIC
	CounterPublic []byte        `json:"counterPublic"`       // the counter, a TPMS_NV_PUBLIC
	Approvals     string        `json:"approvals,omitempty"` // KeyID of IT's key that the bound form obeys; none: plain
	State         []byte        `json:"state,omitempty"`     // for IT to approve before the first increment, in the bound form, without its time
	Nonce         manifest.Hash `json:"nonce"`               // random, so that no request is like another
	Time          time.Time     `json:"time"`
}

// Endorsement is a TPM's own key.
type Endorsement struct {
	Public      []byte `json:"public"`                // TPMT_PUBLIC
	Certificate []byte `json:"certificate,omitempty"` // its maker's, DER
}

type requestFile struct {
	Format string `json:"format"`
	Request
}

// Bound says that the kiosk's TPM seals only in states that IT approved.
func (r *Request) Bound() bool { return r.Approvals != "" }

// Marshal returns the canonical form: one line of JSON.
func (r *Request) Marshal() ([]byte, error) {
	if err := r.check(); err != nil {
		return nil, fmt.Errorf("enrolment request: %w", err)
	}
	return marshal(requestFile{requestFormat, *r})
}

// ParseRequest reads what Marshal wrote, and nothing else. It checks the form
// only.
func ParseRequest(data []byte) (*Request, error) {
	const document = "enrolment request"
	var f requestFile
	if err := parse(data, &f); err != nil {
		return nil, malformed(document, err)
	}
	if f.Format != requestFormat {
		return nil, malformed(document, fmt.Errorf("format %.80q, want %q", f.Format, requestFormat))
	}
	if err := f.check(); err != nil {
		return nil, malformed(document, err)
	}
	return &f.Request, nil
}

// check is about form: what cannot be written or read.
func (r *Request) check() error {
	if err := checkName(r.Name); err != nil {
		return err
	}
	for name, area := range map[string][]byte{
		"endorsement key": r.Endorsement.Public, "key": r.Key, "counter": r.CounterPublic,
	} {
		if n := len(area); n == 0 || n > maxArea {
			return fmt.Errorf("%s has %d bytes, want 1 to %d", name, n, maxArea)
		}
	}
	if n := len(r.Endorsement.Certificate); n > maxCertificate {
		return fmt.Errorf("certificate has %d bytes, want at most %d", n, maxCertificate)
	}
	if n := len(r.State); n > maxState {
		return fmt.Errorf("state has %d bytes, want at most %d", n, maxState)
	}
	if r.Bound() {
		if _, err := manifest.ParseHash(r.Approvals); err != nil {
			return fmt.Errorf("approvals key: %w", err)
		}
		if len(r.State) == 0 {
			return errors.New("bound to approved states, without the state to approve")
		}
	}
	return checkTime(r.Time)
}

// Digest identifies this request: challenge and answer name it.
func (r *Request) Digest() (manifest.Hash, error) {
	data, err := r.Marshal()
	if err != nil {
		return manifest.Hash{}, err
	}
	return sha256.Sum256(data), nil
}

// Fingerprint returns 100 bits in five groups, for two people to compare on the
// kiosk's screen and on the gate's. It is the machine's: name, TPM, keys and
// form, so it stays the same when the kiosk asks again, with another time or
// nonce. In the bound form it is the state's too: IT approves that before
// anything proves it.
func (r *Request) Fingerprint() string {
	machine := *r
	machine.Nonce, machine.Time = manifest.Hash{}, time.Time{}
	if !r.Bound() {
		machine.State = nil // the answer proves it
	}
	data, err := json.Marshal(requestFile{requestFormat, machine})
	if err != nil { // strings, bytes and a bool always marshal
		panic(err)
	}
	return groups(sha256.Sum256(append([]byte(fingerprintTag), data...)))
}

// identity is what the kiosk says its sealing key and counter are.
func (r *Request) identity() seal.Identity {
	return seal.Identity{Key: r.Key, CounterPublic: r.CounterPublic}
}

// random is 32 random bytes, for nonces and secrets.
func random() (b [32]byte) {
	rand.Read(b[:]) // never fails
	return b
}

package seal

import (
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"strings"
	"time"
)

const requestFormat = "sekisho-enrol-v1"

// Request asks a gate to enrol a kiosk. It is no secret, and travels on a drive.
type Request struct {
	Name          string `json:"name"`
	Software      bool   `json:"software"`
	Key           []byte `json:"key"`                     // TPMT_PUBLIC
	CounterPublic []byte `json:"counterPublic"`           // TPMS_NV_PUBLIC
	EKCertificate []byte `json:"ekCertificate,omitempty"` // DER; informative
	// Proof is evidence as in a seal, made for the digest of all the above:
	// whoever asks has the key and the counter.
	Proof Evidence `json:"-"`
}

type requestFile struct {
	Format string `json:"format"`
	Request
	Proof *proofFile `json:"proof,omitempty"`
}

type proofFile struct {
	Counter    []byte `json:"counter.attest"`
	CounterSig []byte `json:"counter.sig"`
	Quote      []byte `json:"quote.attest"`
	QuoteSig   []byte `json:"quote.sig"`
	PCRs       []byte `json:"quote.pcrs"`
	Events     []byte `json:"events.json"`
}

// Marshal returns the canonical form: one line of JSON.
func (r *Request) Marshal() ([]byte, error) {
	if err := r.check(); err != nil {
		return nil, fmt.Errorf("enrolment request: %w", err)
	}
	proof := proofFile(r.Proof)
	return marshal(requestFile{requestFormat, *r, &proof})
}

// ParseRequest reads what Marshal wrote, and nothing else. It checks the form
// only; [Request.Accept] checks the rest.
func ParseRequest(data []byte) (*Request, error) {
	var f requestFile
	if err := parse(data, &f, maxFile); err != nil {
		return nil, fmt.Errorf("%w: enrolment request: %w", ErrMalformed, err)
	}
	if f.Format != requestFormat || f.Proof == nil {
		return nil, fmt.Errorf("%w: enrolment request has format %q, want %q with a proof", ErrMalformed, f.Format, requestFormat)
	}
	f.Request.Proof = Evidence(*f.Proof)
	if err := f.Request.check(); err != nil {
		return nil, fmt.Errorf("%w: enrolment request: %w", ErrMalformed, err)
	}
	return &f.Request, nil
}

// check is about form: what cannot be written or read.
func (r *Request) check() error {
	if err := checkName(r.Name); err != nil {
		return err
	}
	if err := checkCertificate(r.EKCertificate); err != nil {
		return err
	}
	if len(r.Key) > maxStructure || len(r.CounterPublic) > maxStructure {
		return fmt.Errorf("key or counter has more than %d bytes", maxStructure)
	}
	return r.Proof.bounded()
}

// digest is over everything but the proof. What seals sign begins with
// "DSSEv1", so no proof is ever a seal.
func (r *Request) digest() ([32]byte, error) {
	data, err := marshal(requestFile{requestFormat, *r, nil})
	if err != nil {
		return [32]byte{}, err
	}
	return sha256.Sum256(append([]byte(requestFormat+"\x00"), data...)), nil
}

// Fingerprint returns 100 bits of the request's digest in five groups, for two
// people to compare on two screens. It covers everything but the proof, so it
// stays the same when the kiosk asks again.
func (r *Request) Fingerprint() string {
	sum, err := r.digest()
	if err != nil { // a struct of strings, bytes and a bool always marshals
		panic(err)
	}
	text := base32.StdEncoding.EncodeToString(sum[:])
	groups := make([]string, 5)
	for i := range groups {
		groups[i] = text[4*i : 4*i+4]
	}
	return strings.Join(groups, "-")
}

// Accept checks the request and returns the kiosk for the gate to keep. Key and
// counter must be exactly as CreateKey makes them and the proof must hold;
// anything else is ErrBadRequest with the reason. The caller has had the
// fingerprint compared, and decides about a software TPM.
func (r *Request) Accept(now time.Time) (*Kiosk, error) {
	if err := r.check(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBadRequest, err)
	}
	id, err := parseIdentity(r.Key, r.CounterPublic, nil)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBadRequest, err)
	}
	digest, err := r.digest()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBadRequest, err)
	}
	proof, err := id.check(digest, r.Proof)
	if err != nil {
		return nil, fmt.Errorf("%w: proof: %w", ErrBadRequest, err)
	}
	kiosk := &Kiosk{
		Name: r.Name, Mode: ModePinned, Software: r.Software,
		Key: r.Key, CounterPublic: r.CounterPublic, Counter: proof.Counter,
		EKCertificate: r.EKCertificate, Enrolled: now.UTC().Truncate(time.Second),
	}
	if err := kiosk.check(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBadRequest, err)
	}
	return kiosk, nil
}

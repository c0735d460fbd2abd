package enrol

import (
	"fmt"

	"sekisho/transfer/manifest"
	"sekisho/transfer/seal"
)

const pendingFormat = "sekisho-enrol-pending/1"

// Pending is what the gate keeps of a challenge until the answer comes. It
// holds the challenge's secret: the file is for the gate's owner alone (0600)
// and goes when the enrolment is finished, so that no answer finishes twice.
type Pending struct {
	Request *Request
	Keys    manifest.Hash // digest of the key set in the challenge
	Origin  Origin
	// approvals is the bound form's key, as PEM; empty: plain.
	approvals []byte
	secret    [32]byte
}

type pendingFile struct {
	Format    string        `json:"format"`
	Request   []byte        `json:"request"`
	Keys      manifest.Hash `json:"keys"`
	Approvals []byte        `json:"approvals,omitempty"`
	Secret    []byte        `json:"secret"`
	Origin    Origin        `json:"origin"`
}

// Marshal returns the canonical form: one line of JSON.
func (p *Pending) Marshal() ([]byte, error) {
	request, err := p.Request.Marshal()
	if err != nil {
		return nil, fmt.Errorf("pending enrolment: %w", err)
	}
	if err := p.check(); err != nil {
		return nil, fmt.Errorf("pending enrolment: %w", err)
	}
	return marshal(pendingFile{pendingFormat, request, p.Keys, p.approvals, p.secret[:], p.Origin})
}

// ParsePending reads what Marshal wrote, and nothing else.
func ParsePending(data []byte) (*Pending, error) {
	const document = "pending enrolment"
	var f pendingFile
	if err := parse(data, &f); err != nil {
		return nil, malformed(document, err)
	}
	if f.Format != pendingFormat {
		return nil, malformed(document, fmt.Errorf("format %.80q, want %q", f.Format, pendingFormat))
	}
	request, err := ParseRequest(f.Request)
	if err != nil {
		return nil, malformed(document, err)
	}
	if len(f.Secret) != 32 {
		return nil, malformed(document, fmt.Errorf("secret has %d bytes, want 32", len(f.Secret)))
	}
	p := &Pending{request, f.Keys, f.Origin, f.Approvals, [32]byte(f.Secret)}
	if err := p.check(); err != nil {
		return nil, malformed(document, err)
	}
	return p, nil
}

func (p *Pending) check() error {
	if err := p.Origin.check(); err != nil {
		return err
	}
	_, err := p.approvalsKey()
	return err
}

// approvalsKey returns the key that the bound form obeys, nil for the plain
// form. It must be the one that the request names.
func (p *Pending) approvalsKey() (*seal.PublicKey, error) {
	if len(p.approvals) == 0 && !p.Request.Bound() {
		return nil, nil
	}
	key, err := seal.ParsePublicKey(p.approvals)
	if err != nil {
		return nil, fmt.Errorf("approvals key: %w", err)
	}
	if key.KeyID() != p.Request.Approvals {
		return nil, fmt.Errorf("the kiosk is bound to the approvals key %.80q, ours is %s", p.Request.Approvals, key.KeyID())
	}
	return key, nil
}

// String and GoString keep the secret out of logs, of a copy too.
func (p Pending) String() string   { return "pending enrolment of " + p.Request.Name }
func (p Pending) GoString() string { return p.String() }

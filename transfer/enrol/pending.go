package enrol

import (
	"fmt"
	"time"

	"sekisho/transfer/manifest"
	"sekisho/transfer/seal"
)

const pendingFormat = "sekisho-enrol-pending/1"

// waits is how long a challenge waits for its answer.
const waits = 14 * 24 * time.Hour

// Pending is what the gate keeps of a challenge until the answer comes. It
// holds the challenge's secret: the file is for the gate's owner alone (0600)
// and goes when the enrolment is finished, so that no answer finishes twice.
type Pending struct {
	Request *Request
	Keys    manifest.Hash // digest of the key set in the challenge
	Time    time.Time     // when the challenge was made; UTC, whole seconds
	Origin  Origin
	// approvals is the bound form's key, as PEM; empty: plain.
	approvals []byte
	secret    [32]byte
}

type pendingFile struct {
	Format    string        `json:"format"`
	Request   []byte        `json:"request"`
	Keys      manifest.Hash `json:"keys"`
	Time      time.Time     `json:"time"`
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
	return marshal(pendingFile{pendingFormat, request, p.Keys, p.Time, p.approvals, p.secret[:], p.Origin})
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
	p := &Pending{request, f.Keys, f.Time, f.Origin, f.Approvals, [32]byte(f.Secret)}
	if err := p.check(); err != nil {
		return nil, malformed(document, err)
	}
	return p, nil
}

func (p *Pending) check() error {
	if err := p.Origin.check(); err != nil {
		return err
	}
	if err := checkTime(p.Time); err != nil {
		return err
	}
	_, err := p.approvalsKey()
	return err
}

// Until is the end of the time in which the answer must come.
func (p *Pending) Until() time.Time { return p.Time.Add(waits) }

// Stands says whether an answer may still finish it, at a gate whose key set has
// the digest keys. It never will after an error, which is ErrRefused: the kiosk
// asks again.
func (p *Pending) Stands(keys manifest.Hash, now time.Time) error {
	switch {
	case now.Before(p.Time):
		return refused("the challenge was made at %s, and it is %s: a clock was set", p.Time.Format(time.RFC3339), now.UTC().Format(time.RFC3339))
	case now.After(p.Until()):
		return refused("the challenge waited until %s: ask again", p.Until().Format(time.RFC3339))
	case p.Keys != keys:
		return refused("the gate's keys were replaced since the challenge was made: ask again")
	}
	return nil
}

// Key returns the sealing key that the request names.
func (p *Pending) Key() (*seal.PublicKey, error) {
	k := seal.Kiosk{Key: p.Request.Key, CounterPublic: p.Request.CounterPublic, Approvals: p.approvals}
	return k.PublicKey()
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

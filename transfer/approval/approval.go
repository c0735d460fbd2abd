package approval

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"sekisho/transfer/canonical"
	"sekisho/transfer/measure"
	"sekisho/transfer/seal"
)

const (
	payloadType = "application/vnd.sekisho.approval+json"
	maxYears    = 3 // that an approval lasts
	yearsGiven  = 1 // when IT names no end

	idBytes   = 8           // of a digest, that people read
	enrolment = "enrolment" // instead of an ID

	approvalFormat = "sekisho-approval/1"
)

// Standing is where an approval is in its time.
type Standing int

// In the order in which one is preferred to the next.
const (
	Holds Standing = iota
	NotYet
	Expired
)

// What Open refuses with beside [seal.ErrMalformed], and [seal.ErrBadSeal] when
// IT's key did not sign the bytes.
var (
	// ErrOtherKiosk: the approval is for another kiosk. The operator takes that
	// of this kiosk.
	ErrOtherKiosk = errors.New("approval is for another kiosk")
	// ErrAuthorization: IT signed it, but the signature inside, which the TPM
	// wants, is not of the same key and registers. The operator has IT approve
	// the state again.
	ErrAuthorization = errors.New("approval's authorization for the TPM does not hold")
)

// Approval is IT's word that a kiosk may seal while the registers that it covers
// have these values. Sign and Open make it; it is not changed after.
type Approval struct {
	Kiosk     string        // the kiosk's name
	Software  int           // index of the software register
	Registers Registers     // those that it covers: at least 7 and the software register
	Events    *measure.List // what the software register was extended with; empty: not known
	From      time.Time     // holds from here, UTC, whole seconds
	Until     time.Time     // up to, not including, here; zero for the state at enrolment: no end
	By        string        // staff number of who approved
	Reason    string        // why, for the record; may be empty

	authorization []byte // DER, over registers 7 and Software
	envelope      []byte
	id            string
}

type approvalFile struct {
	Format        string          `json:"format"`
	Kiosk         string          `json:"kiosk"`
	Software      int             `json:"softwareRegister"`
	Registers     Registers       `json:"registers"`
	Events        []measure.Event `json:"events"`
	Authorization []byte          `json:"authorization"`
	From          time.Time       `json:"from"`
	Until         time.Time       `json:"until"`
	By            string          `json:"by"`
	Reason        string          `json:"reason"`
}

// Terms are what IT decides when it approves a state.
type Terms struct {
	Without []int     // registers that are not covered: whatever they hold, the state is approved
	From    time.Time // holds from here; cut to whole seconds
	Until   time.Time // ends here, at most three years after From; zero: one year after
	By      string    // staff number of who approves: letters, digits, '-' and '_', at most 32
	Reason  string    // one line of at most 200 bytes; may be empty
}

// Sign approves the state. It covers every register of it except those that the
// terms leave out, which registers 7 and the software register cannot be.
func Sign(key *seal.PrivateKey, state State, terms Terms) (envelope []byte, a *Approval, err error) {
	if err := state.check(); err != nil {
		return nil, nil, fmt.Errorf("approving: state: %w", err)
	}
	registers := maps.Clone(state.Registers)
	for _, i := range terms.Without {
		if _, ok := registers[i]; !ok {
			return nil, nil, fmt.Errorf("approving: register %d cannot be left out: the state does not have it", i)
		}
		if i == secureBoot || i == state.Software {
			return nil, nil, fmt.Errorf("approving: register %d cannot be left out", i)
		}
		delete(registers, i)
	}
	authorization, err := seal.Authorize(key, bound(registers, state.Software))
	if err != nil {
		return nil, nil, fmt.Errorf("approving: %w", err)
	}
	f := approvalFile{
		approvalFormat, state.Kiosk, state.Software, registers, slices.Clone(state.Events.Events), authorization.Signature,
		terms.From.UTC().Truncate(time.Second), terms.Until.UTC().Truncate(time.Second), terms.By, terms.Reason,
	}
	if f.Events == nil {
		f.Events = []measure.Event{}
	}
	if terms.From.IsZero() {
		return nil, nil, errors.New("approving: the beginning is missing")
	}
	if terms.Until.IsZero() {
		f.Until = f.From.AddDate(yearsGiven, 0, 0)
	}
	payload, err := canonical.Marshal(f)
	if err != nil {
		return nil, nil, fmt.Errorf("approving: %w", err)
	}
	if err := f.check(); err != nil {
		return nil, nil, fmt.Errorf("approving: %w", err)
	}
	if envelope, err = key.Sign(payloadType, payload); err != nil {
		return nil, nil, fmt.Errorf("approving: %w", err)
	}
	// Nothing leaves this machine that the other side would refuse.
	if a, err = Open(envelope, key.Public(), state.Kiosk); err != nil {
		return nil, nil, fmt.Errorf("approving: %w", err)
	}
	return envelope, a, nil
}

// Open verifies an approval by IT's key for one kiosk, or for any when kiosk is
// empty. Whether it holds at this time is for Judge. On an error the result is
// nil; the error is seal.ErrMalformed, seal.ErrBadSeal, ErrOtherKiosk or
// ErrAuthorization.
func Open(envelope []byte, by *seal.PublicKey, kiosk string) (*Approval, error) {
	payload, err := seal.OpenSigned(payloadType, envelope, by)
	if err != nil {
		return nil, fmt.Errorf("approval: %w", err)
	}
	var f approvalFile
	if err := canonical.Parse(payload, &f, maxState); err != nil {
		return nil, fmt.Errorf("%w: approval: %w", seal.ErrMalformed, err)
	}
	if err := f.check(); err != nil {
		return nil, fmt.Errorf("%w: approval: %w", seal.ErrMalformed, err)
	}
	if kiosk != "" && f.Kiosk != kiosk {
		return nil, fmt.Errorf("%w: it is for %q, want %q", ErrOtherKiosk, f.Kiosk, kiosk)
	}
	digest := sha256.Sum256(payload)
	a := &Approval{
		f.Kiosk, f.Software, f.Registers, f.list(), f.From, f.Until, f.By, f.Reason,
		f.Authorization, slices.Clone(envelope), hex.EncodeToString(digest[:idBytes]),
	}
	if err := a.Authorization().Verify(by); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrAuthorization, err)
	}
	return a, nil
}

func (f *approvalFile) list() *measure.List {
	return &measure.List{Register: f.Software, Events: f.Events}
}

func (f *approvalFile) check() error {
	switch {
	case f.Format != approvalFormat:
		return fmt.Errorf("format is %.80q, want %q", f.Format, approvalFormat)
	case !validName(f.Kiosk):
		return fmt.Errorf("name of a kiosk is %.80q", f.Kiosk)
	case f.Events == nil: // "null" would come out again
		return errors.New("no events")
	case !validTime(f.From) || !validTime(f.Until):
		return errors.New("time is not in UTC and whole seconds")
	case !f.From.Before(f.Until):
		return errors.New("it ends before it begins")
	case f.Until.After(f.From.AddDate(maxYears, 0, 0)):
		return fmt.Errorf("it lasts longer than %d years", maxYears)
	case !validName(f.By):
		return fmt.Errorf("staff number is %.80q", f.By)
	case !ValidReason(f.Reason):
		return fmt.Errorf("reason is not one line of at most %d bytes", MaxReason)
	}
	if err := f.Registers.check(f.Software); err != nil {
		return err
	}
	return f.Registers.checkEvents(f.Software, f.list())
}

// bound is what a TPM's policy is about: registers 7 and the software register.
func bound(r Registers, software int) map[int][32]byte {
	return map[int][32]byte{secureBoot: r[secureBoot], software: r[software]}
}

// ID is the first eight bytes of the payload's SHA-256 in hex; of the state at
// enrolment "enrolment".
func (a *Approval) ID() string { return a.id }

// Envelope is what Sign made, for whom the approval is carried to; nil of the
// state at enrolment.
func (a *Approval) Envelope() []byte { return slices.Clone(a.envelope) }

// LastDay is the last day on which the approval holds, where the program runs.
func (a *Approval) LastDay() string { return day(a.Until.Add(-time.Second)) }

// Authorization is what the kiosk's TPM takes. That of the state at enrolment is
// no good.
func (a *Approval) Authorization() seal.Authorization {
	return seal.Authorization{PCRs: bound(a.Registers, a.Software), Signature: slices.Clone(a.authorization)}
}

// Standing says where the approval is in its time: it holds from From on, and no
// longer at Until.
func (a *Approval) Standing(now time.Time) Standing {
	switch {
	case now.Before(a.From):
		return NotYet
	case !a.Until.IsZero() && !now.Before(a.Until):
		return Expired
	}
	return Holds
}

// AtEnrolment makes the state in which a kiosk was enrolled an approval for
// Judge, without end: two people stood by. It is not signed, and no TPM takes it.
func AtEnrolment(s State) *Approval {
	return &Approval{Kiosk: s.Kiosk, Software: s.Software, Registers: s.Registers, Events: s.Events, id: enrolment}
}

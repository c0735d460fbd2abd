package approval

import (
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"

	"sekisho/transfer/canonical"
	"sekisho/transfer/measure"
	"sekisho/transfer/seal"
)

const (
	maxState = measure.MaxList + 8<<10 // bytes of a state or an approval

	stateGroups = 5 // of a state's ID
	groupLength = 4 // of base32 characters, 5 bits each

	stateFormat = "sekisho-state/1"
)

// State is what a kiosk's registers hold: a claim, until it comes from a seal.
// Its parts are not changed once it is made.
type State struct {
	Kiosk       string        // the kiosk's name
	Software    int           // index of the software register
	Registers   Registers     // all that a seal quotes
	Events      *measure.List // what the software register was extended with; empty: not known
	Firmware    uint64        // of the TPM, in its maker's own notation
	SoftwareTPM bool          // the TPM is a program
	Time        time.Time     // when the registers were read: UTC, whole seconds; zero: not known
}

type stateFile struct {
	Format      string          `json:"format"`
	Kiosk       string          `json:"kiosk"`
	Software    int             `json:"softwareRegister"`
	Registers   Registers       `json:"registers"`
	Events      []measure.Event `json:"events"`
	Firmware    uint64          `json:"firmware,string"`
	SoftwareTPM bool            `json:"softwareTPM"`
	Time        time.Time       `json:"time,omitzero"`
}

// StateOf is the state that a seal proved. The seal says nothing of the time;
// the evidence of an enrolment says neither the kiosk's name nor whether the TPM
// is a program. The caller sets these.
func StateOf(o *seal.Opened) State {
	s := stateOf(o.PCRs, o.Events)
	s.Firmware, s.SoftwareTPM = o.Firmware, o.Software
	if o.Kiosk != nil {
		s.Kiosk = o.Kiosk.Name
	}
	return s
}

// Enrolled is the state in which a kiosk was enrolled, or false once that was
// revoked, or when nothing was recorded.
func Enrolled(k *seal.Kiosk) (State, bool) {
	pcrs, events, err := k.State()
	if err != nil || pcrs == nil {
		return State{}, false
	}
	s := stateOf(pcrs, events)
	s.Kiosk, s.SoftwareTPM, s.Time = k.Name, k.Software, k.Enrolled
	return s, true
}

func stateOf(pcrs map[int][32]byte, events *measure.List) State {
	if events == nil {
		events = &measure.List{Register: measure.SoftwareRegister}
	}
	return State{Software: events.Register, Registers: maps.Clone(pcrs), Events: events}
}

// With is the state after an update: that in which the kiosk is when next was
// measured and nothing else changed. A list of another register than the
// kiosk's makes a state that is not valid.
func (s State) With(next *measure.List) State {
	registers := make(Registers)
	maps.Copy(registers, s.Registers)
	s.Registers = registers
	s.Registers[s.Software] = next.Replay()
	s.Events = next
	return s
}

// Marshal gives the state's canonical form: one line of JSON.
func (s State) Marshal() ([]byte, error) {
	if err := s.check(); err != nil {
		return nil, fmt.Errorf("state: %w", err)
	}
	events := s.Events.Events
	if events == nil {
		events = []measure.Event{}
	}
	return canonical.Marshal(stateFile{
		stateFormat, s.Kiosk, s.Software, s.Registers, events, s.Firmware, s.SoftwareTPM, s.Time,
	})
}

// ParseState reads what Marshal wrote, and nothing else.
func ParseState(data []byte) (State, error) {
	var f stateFile
	if err := canonical.Parse(data, &f, maxState); err != nil {
		return State{}, fmt.Errorf("%w: state: %w", seal.ErrMalformed, err)
	}
	if f.Format != stateFormat {
		return State{}, fmt.Errorf("%w: state has format %.80q, want %q", seal.ErrMalformed, f.Format, stateFormat)
	}
	s := State{f.Kiosk, f.Software, f.Registers, &measure.List{Register: f.Software, Events: f.Events}, f.Firmware, f.SoftwareTPM, f.Time}
	if f.Events == nil { // "null" would come out again
		return State{}, fmt.Errorf("%w: state without events", seal.ErrMalformed)
	}
	if err := s.check(); err != nil {
		return State{}, fmt.Errorf("%w: state: %w", seal.ErrMalformed, err)
	}
	return s, nil
}

func (s State) check() error {
	if !validName(s.Kiosk) {
		return fmt.Errorf("name of a kiosk is %.80q", s.Kiosk)
	}
	if !s.Time.IsZero() && !validTime(s.Time) {
		return errors.New("time is not in UTC and whole seconds")
	}
	if err := s.Registers.check(s.Software); err != nil {
		return err
	}
	return s.Registers.checkEvents(s.Software, s.Events)
}

// Digest identifies the state. The time does not count: a kiosk that was not
// changed is in the same state tomorrow.
func (s State) Digest() (measure.Digest, error) {
	s.Time = time.Time{}
	data, err := s.Marshal()
	if err != nil {
		return measure.Digest{}, err
	}
	return sha256.Sum256(data), nil
}

// ID is 100 bits of the digest in five groups, for file names and for two people
// to compare on two screens: a state that someone carried is no more than a
// claim. It is "" for a state that is not valid.
func (s State) ID() string {
	digest, err := s.Digest()
	if err != nil {
		return ""
	}
	text := base32.StdEncoding.EncodeToString(digest[:])
	groups := make([]string, stateGroups)
	for i := range groups {
		groups[i] = text[groupLength*i : groupLength*(i+1)]
	}
	return strings.Join(groups, "-")
}

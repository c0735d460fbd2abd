package scan

import (
	"fmt"
	"slices"
)

// Kind says whether the files of a workflow are of use without each other.
type Kind uint8

const (
	Files Kind = iota // each file stands for itself: SS-MIX2, PDF, DICOM
	Set               // the pieces of one database dump: all or none
)

var kindTexts = [...]string{Files: "files", Set: "set"}

func (k Kind) String() string {
	if int(k) < len(kindTexts) {
		return kindTexts[k]
	}
	return fmt.Sprintf("Kind(%d)", uint8(k))
}

// MarshalText refuses values that are none of the kinds.
func (k Kind) MarshalText() ([]byte, error) {
	if int(k) >= len(kindTexts) {
		return nil, fmt.Errorf("no such kind of workflow: %d", uint8(k))
	}
	return []byte(k.String()), nil
}

// UnmarshalText accepts exactly "files" and "set".
func (k *Kind) UnmarshalText(text []byte) error {
	i := slices.Index(kindTexts[:], string(text))
	if i < 0 {
		return fmt.Errorf("no such kind of workflow: %q (want files or set)", text)
	}
	*k = Kind(i)
	return nil
}

// Outcome is what becomes of a workflow's transfer. The zero value is Hold.
type Outcome uint8

const (
	Hold     Outcome = iota // nothing is carried; IT decides
	LeaveOut                // carried without the files that are not clean
	Carry                   // carried whole
)

func (o Outcome) String() string {
	switch o {
	case Carry:
		return "carry"
	case LeaveOut:
		return "leave-out"
	default:
		return "hold"
	}
}

// Policy is a workflow's rule for content that is not clean. A number left at
// zero means its default; a workflow that must stop at the first doubt is
// Strict. The zero Policy is the default for independent files.
type Policy struct {
	Kind        Kind        `toml:"kind"`
	Strict      bool        `toml:"strict"`       // anything not clean or exempt holds the workflow
	HoldFiles   int         `toml:"hold_files"`   // more files than this left out hold the workflow; default 20
	HoldPercent float64     `toml:"hold_percent"` // so does a larger share than this, in percent; default 1
	HoldFrom    int         `toml:"hold_from"`    // the share counts from this many files left out; default 3
	Exempt      []Exemption `toml:"exempt"`       // what IT has approved
}

// Validate refuses a policy that could not have been meant.
func (p *Policy) Validate() error {
	if int(p.Kind) >= len(kindTexts) {
		return fmt.Errorf("policy: no such kind of workflow: %d", uint8(p.Kind))
	}
	if p.HoldFiles < 0 || p.HoldFrom < 0 || !(p.HoldPercent >= 0 && p.HoldPercent <= 100) {
		return fmt.Errorf("policy: hold_files %d, hold_percent %g, hold_from %d: out of range", p.HoldFiles, p.HoldPercent, p.HoldFrom)
	}
	for i := range p.Exempt {
		if err := p.Exempt[i].Validate(); err != nil {
			return fmt.Errorf("policy: exemption %d: %w", i+1, err)
		}
	}
	return nil
}

// Tally counts one transfer's files.
type Tally struct {
	Files     int64    // all files of the transfer
	Bytes     int64    // and their content
	ByVerdict [4]int64 // index is Verdict
	LeftOut   int64    // files not carried, for any reason: also those that changed while they were read
}

// Add counts one scanned file of size bytes.
func (t *Tally) Add(v Verdict, size int64) {
	t.Files++
	t.Bytes += size
	if int(v) >= len(t.ByVerdict) {
		v = Unscannable
	}
	t.ByVerdict[v]++
	if v != Clean && v != Exempt {
		t.LeftOut++
	}
}

// Decide says what becomes of the transfer. Every file that is not known to be
// clean or exempt counts as left out, whatever LeftOut says, and a transfer
// with nothing to carry is held: an empty copy must not look like a good one.
func (p *Policy) Decide(t Tally) Outcome {
	good := t.ByVerdict[Clean] + t.ByVerdict[Exempt]
	left := max(t.LeftOut, t.Files-good)
	switch {
	case p.Validate() != nil, t.Files <= 0, good > t.Files, left >= t.Files:
		return Hold
	case left == 0:
		return Carry
	case p.Strict || p.Kind != Files:
		return Hold
	case left > int64(orDefault(p.HoldFiles, 20)):
		return Hold
	case left >= int64(orDefault(p.HoldFrom, 3)) && float64(left)*100 > orDefault(p.HoldPercent, 1)*float64(t.Files):
		return Hold
	default:
		return LeaveOut
	}
}

func orDefault[T int | float64](v, def T) T {
	if v == 0 {
		return def
	}
	return v
}

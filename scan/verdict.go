package scan

import (
	"fmt"
	"slices"
)

// Verdict is what the engines together say of a blob. The zero value is
// Unscannable, so that a verdict nobody gave is never clean.
type Verdict uint8

// The four verdicts. Unscannable covers everything no engine could look into:
// encrypted, over a limit, damaged, or the engine gave no answer.
const (
	Unscannable Verdict = iota
	Clean
	Detected
	Exempt
)

var verdictTexts = [...]string{Unscannable: "unscannable", Clean: "clean", Detected: "detected", Exempt: "exempt"}

func (v Verdict) String() string {
	if int(v) < len(verdictTexts) {
		return verdictTexts[v]
	}
	return fmt.Sprintf("Verdict(%d)", uint8(v))
}

// MarshalText refuses values that are none of the four.
func (v Verdict) MarshalText() ([]byte, error) {
	if int(v) >= len(verdictTexts) {
		return nil, fmt.Errorf("no such verdict: %d", uint8(v))
	}
	return []byte(v.String()), nil
}

// UnmarshalText accepts exactly the four words; on error v is Unscannable.
func (v *Verdict) UnmarshalText(text []byte) error {
	*v = Unscannable
	i := slices.Index(verdictTexts[:], string(text))
	if i < 0 {
		return fmt.Errorf("no such verdict: %q", text)
	}
	*v = Verdict(i)
	return nil
}

// Finding is one thing one engine says of a blob.
type Finding struct {
	Engine string `json:"engine"`          // "clamd" or "yara"
	Name   string `json:"name"`            // signature, rule, or reason; what an Exemption names
	Where  string `json:"where,omitempty"` // place within the content, when the engine told

	// Verdict is Detected or Unscannable. It is not stored: it belongs to a
	// fresh Result, and the zero value is the careful one.
	Verdict Verdict `json:"-"`
}

// Result is the verdict on one blob with everything that led to it.
type Result struct {
	Verdict  Verdict   `json:"verdict"`
	Findings []Finding `json:"findings,omitempty"`
}

// resultOf weighs findings: one detection outweighs any number of doubts, and
// only the absence of both is clean.
func resultOf(findings []Finding) Result {
	r := Result{Verdict: Clean, Findings: findings}
	for _, f := range findings {
		switch f.Verdict {
		case Detected:
			r.Verdict = Detected
			return r
		default:
			r.Verdict = Unscannable
		}
	}
	return r
}

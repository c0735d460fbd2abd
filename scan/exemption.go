package scan

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"path"
	"strings"
	"time"
)

// longestExemption is how far ahead an exemption may reach: a year and a day,
// so that one written for a year is not refused for the hour.
const longestExemption = 366 * 24 * time.Hour

// Magic is the bytes a file must start with, in configuration as lower-case hex.
type Magic []byte

// MarshalText writes hex.
func (m Magic) MarshalText() ([]byte, error) { return []byte(hex.EncodeToString(m)), nil }

// UnmarshalText accepts lower-case hex only; on error m is nil.
func (m *Magic) UnmarshalText(text []byte) error {
	*m = nil
	b, err := hex.DecodeString(string(text))
	if err != nil || hex.EncodeToString(b) != string(text) {
		return fmt.Errorf("magic %q is not lower-case hex", text)
	}
	*m = b
	return nil
}

// Exemption is a person's written word that certain content may be carried
// although an engine could not clear it. All fields that are set must match.
type Exemption struct {
	Path      string    `toml:"path"`      // glob on the slash-separated path; ** stands for any number of folders
	Signature string    `toml:"signature"` // the finding's name, exactly
	SHA256    string    `toml:"sha256"`    // of the content, 64 lower-case hex digits
	Magic     Magic     `toml:"magic"`     // at least four bytes
	MinSize   int64     `toml:"min_size"`  // bytes
	MaxSize   int64     `toml:"max_size"`  // bytes; 0: no size band
	Until     time.Time `toml:"until"`     // no longer valid from this moment on; at most a year ahead
	By        string    `toml:"by"`        // who approved it
	Reason    string    `toml:"reason"`
}

// Validate refuses an exemption that is wider than a person can answer for: it
// must name a content, a signature, or a producer's files by path, magic and
// size band together; and it must say by whom and until when, within a year.
func (e *Exemption) Validate() error { return e.validate(time.Now()) }

func (e *Exemption) validate(now time.Time) error {
	if err := e.narrow(); err != nil {
		return err
	}
	switch {
	case strings.TrimSpace(e.By) == "":
		return errors.New("by is missing: who approved it")
	case e.Until.IsZero():
		return errors.New("until is missing")
	case e.Until.After(now.Add(longestExemption)):
		return fmt.Errorf("until %s is more than a year ahead", e.Until.UTC().Format(time.RFC3339))
	}
	return nil
}

// narrow checks everything of Validate that does not depend on the day.
func (e *Exemption) narrow() error {
	if e.SHA256 != "" {
		if b, err := hex.DecodeString(e.SHA256); err != nil || len(b) != 32 || hex.EncodeToString(b) != e.SHA256 {
			return fmt.Errorf("sha256 %q is not 64 lower-case hex digits", e.SHA256)
		}
	}
	if strings.Count(e.Path, "**") > 4 { // each multiplies the work of matching
		return fmt.Errorf("path %q has too many **", e.Path)
	}
	if e.Path != "" {
		for _, part := range strings.Split(e.Path, "/") {
			if _, err := path.Match(part, ""); err != nil || part == "" {
				return fmt.Errorf("path %q is not a pattern", e.Path)
			}
		}
	}
	if len(e.Magic) > headSize || e.MinSize < 0 || e.MaxSize < 0 || e.MaxSize != 0 && e.MaxSize < e.MinSize {
		return errors.New("magic or size band out of range")
	}
	if e.SHA256 == "" && e.Signature == "" &&
		(e.Path == "" || len(e.Magic) < 4 || e.MinSize == 0 || e.MaxSize == 0) {
		return errors.New("too wide: want sha256, or signature, or path with magic (4 bytes or more), min_size and max_size")
	}
	return nil
}

// Facts is what exemptions look at beside the path and the findings.
type Facts struct {
	Head   []byte   // first bytes of the content
	Size   int64    // bytes
	SHA256 [32]byte // of the content
}

// Facts returns what an exemption may look at.
func (b *Blob) Facts() Facts { return Facts{Head: b.head, Size: b.size, SHA256: b.sum} }

// covers reports whether e allows the finding f of the content at name.
func (e *Exemption) covers(name string, facts Facts, f Finding, now time.Time) bool {
	switch {
	case e.narrow() != nil, e.By == "", !now.Before(e.Until), e.Until.After(now.Add(longestExemption)):
		return false
	case e.SHA256 != "" && e.SHA256 != hex.EncodeToString(facts.SHA256[:]):
		return false
	case e.Signature != "" && e.Signature != f.Name:
		return false
	case e.Path != "" && !matchPath(e.Path, name):
		return false
	case !bytes.HasPrefix(facts.Head, e.Magic):
		return false
	case e.MaxSize != 0 && (facts.Size < e.MinSize || facts.Size > e.MaxSize):
		return false
	case e.MaxSize == 0 && facts.Size < e.MinSize:
		return false
	}
	// Where a file lies and how it begins says nothing against a detection.
	return f.Verdict != Detected || e.SHA256 != "" || e.Signature != ""
}

// Exempted applies the policy's exemptions that are valid at now to a fresh
// result. Every finding must be covered; then the verdict is Exempt, and the
// exemption that covered the first finding is returned for the record. A
// result without findings is returned as it is.
func (p *Policy) Exempted(name string, facts Facts, r Result, now time.Time) (Result, *Exemption) {
	if r.Verdict != Detected && r.Verdict != Unscannable {
		return r, nil
	}
	var first *Exemption
	for _, f := range r.Findings {
		var by *Exemption
		for i := range p.Exempt {
			if p.Exempt[i].covers(name, facts, f, now) {
				by = &p.Exempt[i]
				break
			}
		}
		if by == nil {
			return r, nil
		}
		if first == nil {
			first = by
		}
	}
	if first == nil {
		return r, nil
	}
	r.Verdict = Exempt
	return r, first
}

// matchPath is path.Match component by component, with ** for any number of
// components. An empty component never matches.
func matchPath(pattern, name string) bool {
	return matchParts(strings.Split(pattern, "/"), strings.Split(name, "/"))
}

func matchParts(pattern, name []string) bool {
	for i, part := range pattern {
		if part == "**" {
			for skip := i; skip <= len(name); skip++ {
				if matchParts(pattern[i+1:], name[skip:]) {
					return true
				}
			}
			return false
		}
		if i >= len(name) {
			return false
		}
		if ok, err := path.Match(part, name[i]); err != nil || !ok {
			return false
		}
	}
	return len(name) == len(pattern)
}

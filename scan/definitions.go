package scan

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Sum is a SHA-256, in text as 64 lower-case hex digits.
type Sum [32]byte

func (s Sum) String() string { return hex.EncodeToString(s[:]) }

// MarshalText writes hex.
func (s Sum) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText accepts lower-case hex only; on error s is zero.
func (s *Sum) UnmarshalText(text []byte) error {
	*s = Sum{}
	b, err := hex.DecodeString(string(text))
	if err != nil || len(b) != len(s) || hex.EncodeToString(b) != string(text) {
		return fmt.Errorf("%q is not a SHA-256 in lower-case hex", text)
	}
	copy(s[:], b)
	return nil
}

// Definitions says what an engine knows: the evidence behind its verdicts.
type Definitions struct {
	Engine        string           `json:"engine"`
	Version       string           `json:"version"`         // of the program, as it says itself
	Demonstration bool             `json:"demonstration"`   // nothing but the built-in set
	Newest        time.Time        `json:"newest,omitzero"` // date of the newest file, UTC; zero when none has one
	Files         []DefinitionFile `json:"files,omitempty"` // sorted by name; empty for a clamd that is not ours
	Digest        Sum              `json:"digest"`          // over the sorted listing; equal digests mean equal knowledge
}

// DefinitionFile is one file an engine loaded.
type DefinitionFile struct {
	Name   string    `json:"name"`
	Size   int64     `json:"size"` // bytes
	SHA256 Sum       `json:"sha256"`
	Time   time.Time `json:"time,omitzero"` // when it was made, as far as it or its folder tells
}

// finish sorts the listing and fills in what follows from it.
func (d *Definitions) finish() {
	slices.SortFunc(d.Files, func(a, b DefinitionFile) int { return strings.Compare(a.Name, b.Name) })
	h := sha256.New()
	for _, f := range d.Files {
		fmt.Fprintf(h, "%s %d %q\n", f.SHA256, f.Size, f.Name)
		if f.Time.After(d.Newest) {
			d.Newest = f.Time
		}
	}
	h.Sum(d.Digest[:0])
}

func (d *Definitions) add(name string, data []byte, made time.Time) {
	d.Files = append(d.Files, DefinitionFile{Name: name, Size: int64(len(data)), SHA256: sha256.Sum256(data), Time: made})
}

package manifest

import (
	"bytes"
	"slices"
	"strings"
	"time"
)

// Types that the seal binds to the documents.
const (
	StatementType = "application/vnd.in-toto+json" // DSSE payload type of a statement
	inTotoType    = "https://in-toto.io/Statement/v1"
	predicateType = "https://sekisho.dev/transfer/v1"
)

// Limits of a statement. A few KB are usual; the largest has the sizes of
// MaxParts parts and still fits a seal.
const (
	MaxStatement = 64 << 10 // bytes
	MaxGaps      = 256      // counter values that one statement explains
	maxEngines   = 16
)

// Statement is what a seal signs of one transfer: an in-toto statement whose
// subject is the bag's tag manifest, with the fields below as its predicate.
// It holds no file names and no personal data.
type Statement struct {
	Transfer string    `json:"transfer"`           // the transfer's id, also its folder's name
	Kiosk    string    `json:"kiosk"`              // as enrolled
	Number   int64     `json:"number"`             // the kiosk's transfer number, from 1
	Workflow int       `json:"workflow"`           // the workflow's number in the kiosk's configuration
	Counter  uint64    `json:"counter"`            // of the TPM, for this seal
	Previous *Hash     `json:"previous,omitempty"` // SHA-256 of the statement sealed before
	Gaps     []uint64  `json:"gaps,omitempty"`     // counter values since then that no statement will have
	Payload  Hash      `json:"payload"`            // SHA-256 of the tag manifest: what the transfer is
	DataAsOf time.Time `json:"dataAsOf"`           // the moment whose state the data claim to hold
	AsOf     string    `json:"asOf"`               // where that moment is from
	Prepared time.Time `json:"prepared"`           // when the bag was complete
	Time     time.Time `json:"time"`               // of the seal
	TimeFrom string    `json:"timeFrom"`           // its source
	Staff    string    `json:"staff,omitempty"`    // opaque number of the carrier
	Drive    string    `json:"drive"`              // random id given to the drive
	Sizes    Sizes     `json:"sizes"`
	Counts   []Count   `json:"counts"`  // per verdict, in the order of Verdicts
	Folders  int64     `json:"folders"` // carried
	Partial  bool      `json:"partial"` // files were left out
	Engines  []Engine  `json:"engines"`
	Policy   Hash      `json:"policy"`      // digest of the workflow's policy
	Software string    `json:"software"`    // name and version of the kiosk program
	SoftTPM  bool      `json:"softwareTPM"` // the seal is by a software TPM: a demonstration
	GateKeys Hash      `json:"gateKeys"`    // the key set it was made for
	Ledger   string    `json:"ledger"`      // checkpoint of the kiosk's ledger
}

// Sizes are the bytes of every object of the bag: what a gate reads at most.
type Sizes struct {
	TagManifest int64   `json:"tagmanifest"`
	Tags        []Size  `json:"tags"`  // every tag file, by name
	Parts       []int64 `json:"parts"` // in order
}

// Size is the length of one object.
type Size struct {
	Name  string `json:"name"`
	Bytes int64  `json:"bytes"`
}

// Total is the length of all objects together, in bytes.
func (s *Sizes) Total() int64 {
	total := s.TagManifest
	for _, t := range s.Tags {
		total += t.Bytes
	}
	for _, p := range s.Parts {
		total += p
	}
	return total
}

// Count sums up the files of one verdict.
type Count struct {
	Verdict string `json:"verdict"`
	Files   int64  `json:"files"`
	Bytes   int64  `json:"bytes"`
}

// Engine says what searched the files. The listing of its definitions is in the
// details.
type Engine struct {
	Name          string    `json:"name"`
	Version       string    `json:"version"`
	Definitions   Hash      `json:"definitions"`   // digest of the listing
	Newest        time.Time `json:"newest"`        // date of its newest definition file
	Demonstration bool      `json:"demonstration"` // only Sekisho's own few signatures
}

type inToto struct {
	Type          string    `json:"_type"`
	Subject       []subject `json:"subject"`
	PredicateType string    `json:"predicateType"`
	Predicate     Statement `json:"predicate"`
}

type subject struct {
	Name   string `json:"name"`
	Digest struct {
		SHA256 Hash `json:"sha256"`
	} `json:"digest"`
}

// Marshal gives the statement's one canonical form, ending in a line feed.
func (s *Statement) Marshal() ([]byte, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	doc := inToto{Type: inTotoType, Subject: make([]subject, 1), PredicateType: predicateType, Predicate: *s}
	doc.Subject[0].Name = TagManifest
	doc.Subject[0].Digest.SHA256 = s.Payload
	data, err := marshal(doc)
	if err != nil {
		return nil, err
	}
	if len(data) >= MaxStatement {
		return nil, malformed("a statement of %d bytes", len(data))
	}
	return append(data, '\n'), nil
}

// ParseStatement reads the bytes that seal.Open returned, and no others.
func ParseStatement(data []byte) (*Statement, error) {
	if len(data) > MaxStatement {
		return nil, malformed("a statement of %d bytes", len(data))
	}
	body, ended := bytes.CutSuffix(data, []byte("\n"))
	var doc inToto
	if err := parse(body, &doc); err != nil {
		return nil, err
	}
	s := &doc.Predicate
	if !ended || doc.Type != inTotoType || doc.PredicateType != predicateType ||
		len(doc.Subject) != 1 || doc.Subject[0].Name != TagManifest || doc.Subject[0].Digest.SHA256 != s.Payload {
		return nil, malformed("not a statement of a transfer")
	}
	if err := s.check(); err != nil {
		return nil, err
	}
	return s, nil
}

// Count returns the sum for a verdict.
func (s *Statement) Count(verdict string) Count {
	if i := slices.IndexFunc(s.Counts, func(c Count) bool { return c.Verdict == verdict }); i >= 0 {
		return s.Counts[i]
	}
	return Count{Verdict: verdict}
}

// Demonstration says whether an engine knew nothing but Sekisho's own few
// signatures.
func (s *Statement) Demonstration() bool {
	return slices.ContainsFunc(s.Engines, func(e Engine) bool { return e.Demonstration })
}

// ValidName says whether s can name a kiosk, a workflow or a member of staff:
// letters a–z and A–Z, digits, "-" and "_", at most 32.
func ValidName(s string) bool {
	return s != "" && len(s) <= 32 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") == "" && s[0] != '-'
}

func validDrive(s string) bool {
	return len(s) == 32 && strings.Trim(s, "0123456789abcdef") == ""
}

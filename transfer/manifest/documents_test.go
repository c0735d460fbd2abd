package manifest

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
)

const (
	transferID = "20261122T1212Z-k3-000042"
	driveID    = "8f14e45fceea167a5a36dedd4bea2543"
	checkpoint = "sekisho/kiosk/k3\n3\nCai44zPCN7DA6M+amDn9hj+GgLMeHki7ggRNqizZr38=\n\n— sekisho/kiosk/k3 Q1y4qTBG\n"
)

var evening = time.Date(2026, 11, 22, 12, 12, 40, 0, time.UTC)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func hashOf(s string) Hash { return sha256.Sum256([]byte(s)) }

func engine(name string) Engine {
	return Engine{Name: name, Version: name + " 1.2/34", Definitions: hashOf(name), Newest: evening.AddDate(0, 0, -1)}
}

func validStatement() *Statement {
	previous := hashOf("the statement before")
	s := &Statement{
		Transfer: transferID, Kiosk: "k3", Number: 42, Workflow: 2, Counter: 108, Previous: &previous, Gaps: []uint64{105, 106},
		Payload: hashOf("tag manifest"), DataAsOf: evening.Add(-time.Minute), AsOf: "start of reading", Prepared: evening,
		Time: evening.Add(time.Hour), TimeFrom: "system clock", Staff: "4711", Drive: driveID,
		Sizes:   Sizes{TagManifest: 561, Parts: []int64{70_000, 4096}},
		Counts:  []Count{{Clean, 3, 300}, {Detected, 1, 68}, {Unscannable, 0, 0}, {Exempt, 1, 9}},
		Folders: 2, Partial: true, Engines: []Engine{engine("clamd"), engine("yara")}, Policy: hashOf("policy"),
		Software: "sekisho kiosk 1.0.0", GateKeys: hashOf("keys"), Ledger: checkpoint,
	}
	for _, name := range TagFiles {
		s.Sizes.Tags = append(s.Sizes.Tags, Size{name, 1000})
	}
	return s
}

func validReceipt() *Receipt {
	return &Receipt{
		Format: receiptFormat, Gate: "gate1", Transfer: transferID, Kiosk: "k3", Counter: 108, Payload: hashOf("tag manifest"),
		Result: Accepted, Generation: transferID, Scanned: true, Engines: []Engine{engine("clamd")}, Time: evening, Ledger: checkpoint,
	}
}

const pemText = "-----BEGIN PUBLIC KEY-----\nMFkw\n-----END PUBLIC KEY-----\n"

func validKeySet() *KeySet {
	return &KeySet{Format: keySetFormat, Gate: "gate1", Encryption: "age1pq1aaaa", Recovery: "age1pq1bbbb",
		Receipts: pemText, Ledger: strings.ToLower(pemText),
		Approvals: pemText + "a\n", Definitions: pemText + "d\n", Reports: pemText + "r\n"}
}

func validDetails() *Details {
	return &Details{Transfer: transferID, Workflow: "export", Source: "/srv/\x8e\xd0", Started: evening,
		Definitions: []DefinitionFile{{"clamd", "demo.hdb", 120, hashOf("demo"), evening}, {"yara", "demo.yar", 5, hashOf("yar"), evening}},
		Exemptions:  []Exemption{{`path="*.dmp" by="it-01": too large`, 1}}}
}

// document is a kind of document with a valid one, the way to marshal it
// unchecked, and its parser.
type document struct {
	name    string
	valid   func() any
	marshal func(any) ([]byte, error)
	raw     func(any) []byte // like marshal, with nothing checked
	parse   func([]byte) (any, error)
	limit   int
}

func line(v any) []byte {
	data, err := marshal(v)
	if err != nil {
		panic(err)
	}
	return append(data, '\n')
}

// parsed hides the nil pointer of a failed parse from the interface.
func parsed[T any](v *T, err error) (any, error) {
	if v == nil {
		return nil, err
	}
	return v, err
}

var documents = []document{
	{"statement", func() any { return validStatement() }, func(v any) ([]byte, error) { return v.(*Statement).Marshal() },
		func(v any) []byte {
			doc := inToto{Type: inTotoType, Subject: make([]subject, 1), PredicateType: predicateType, Predicate: *v.(*Statement)}
			doc.Subject[0].Name, doc.Subject[0].Digest.SHA256 = TagManifest, doc.Predicate.Payload
			return line(doc)
		},
		func(b []byte) (any, error) { return parsed(ParseStatement(b)) }, MaxStatement},
	{"receipt", func() any { return validReceipt() }, func(v any) ([]byte, error) { return v.(*Receipt).Marshal() },
		func(v any) []byte { return line(v) }, func(b []byte) (any, error) { return parsed(ParseReceipt(b)) }, maxReceipt},
	{"key set", func() any { return validKeySet() }, func(v any) ([]byte, error) { return v.(*KeySet).Marshal() },
		func(v any) []byte { return line(v) }, func(b []byte) (any, error) { return parsed(ParseKeySet(b)) }, maxKeySet},
	{"details", func() any { return validDetails() }, func(v any) ([]byte, error) { return v.(*Details).Marshal() },
		func(v any) []byte {
			data, err := v.(*Details).lines()
			if err != nil {
				panic(err)
			}
			return data
		},
		func(b []byte) (any, error) { return parsed(ParseDetails(bytes.NewReader(b), transferID)) }, maxDetails},
}

func find(name string) document {
	return documents[slices.IndexFunc(documents, func(d document) bool { return d.name == name })]
}

func TestDocumentsComeBack(t *testing.T) {
	for _, d := range documents {
		data, err := d.marshal(d.valid())
		must(t, err)
		if raw := d.raw(d.valid()); !bytes.Equal(raw, data) {
			t.Fatalf("%s: the unchecked form differs:\n%s%s", d.name, data, raw)
		}
		back, err := d.parse(data)
		must(t, err)
		if again, err := d.marshal(back); err != nil || !bytes.Equal(again, data) {
			t.Errorf("%s: %s became %s, %v", d.name, data, again, err)
		}
	}
}

// refuses has a document changed so that both its marshaller and its parser
// must say why it cannot be.
func refuses[T any](t *testing.T, name string, cases []change[T]) {
	d := find(name)
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			v := d.valid()
			c.change(v.(*T))
			raw := d.raw(v)
			got, err := d.parse(raw)
			if got != nil || !errors.Is(err, ErrMalformed) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("parsing gave %.200v, %v; want %q", got, err, c.want)
			}
			data, err := d.marshal(v)
			if data != nil || !errors.Is(err, ErrMalformed) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("marshalling gave %d bytes, %v; want %q", len(data), err, c.want)
			}
		})
	}
}

type change[T any] struct {
	name   string
	want   string // in the error
	change func(*T)
}

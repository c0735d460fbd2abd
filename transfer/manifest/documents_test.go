package manifest

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
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
		Receipts: pemText, Ledger: strings.ToLower(pemText)}
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

func TestStatementRefuses(t *testing.T) {
	elsewhere := time.FixedZone("JST", 9*60*60)
	long := strings.Repeat("x", MaxText+1)
	refuses(t, "statement", []change[Statement]{
		{"no id", "transfer", func(s *Statement) { s.Transfer = "42" }},
		{"another kiosk's id", "transfer", func(s *Statement) { s.Kiosk = "k4" }},
		{"a kiosk's name that runs into the number", "transfer", func(s *Statement) { s.Transfer, s.Kiosk = "20261122T1212Z-k3-1-000042", "k3" }},
		{"no kiosk", "transfer", func(s *Statement) { s.Kiosk = "" }},
		{"another number", "transfer", func(s *Statement) { s.Number = 43 }},
		{"number 0", "transfer", func(s *Statement) { s.Number = 0 }},
		{"no drive", "drive", func(s *Statement) { s.Drive = "" }},
		{"drive of other characters", "drive", func(s *Statement) { s.Drive = strings.ToUpper(driveID) }},
		{"staff with a name", "staff", func(s *Statement) { s.Staff = "Sato Hanako" }},
		{"workflow below 0", "workflow", func(s *Statement) { s.Workflow = -1 }},
		{"counter 0", "counter", func(s *Statement) { s.Counter, s.Gaps = 0, nil }},
		{"folders below 0", "folders", func(s *Statement) { s.Folders = -1 }},
		{"data of another zone", "times", func(s *Statement) { s.DataAsOf = evening.In(elsewhere) }},
		{"prepared in another zone", "times", func(s *Statement) { s.Prepared = evening.In(elsewhere) }},
		{"sealed before the clock began", "times", func(s *Statement) { s.Time = time.Date(1600, 12, 31, 0, 0, 0, 0, time.UTC) }},
		{"as of nothing", "asOf", func(s *Statement) { s.AsOf = "" }},
		{"as of a bell", "asOf", func(s *Statement) { s.AsOf = "start\a" }},
		{"time from nothing", "timeFrom", func(s *Statement) { s.TimeFrom = "" }},
		{"software of great length", "software", func(s *Statement) { s.Software = long }},
		{"no checkpoint", "checkpoint", func(s *Statement) { s.Ledger = "" }},
		{"checkpoint without its end", "checkpoint", func(s *Statement) { s.Ledger = strings.TrimSuffix(checkpoint, "\n") }},
		{"checkpoint with a carriage return", "checkpoint", func(s *Statement) { s.Ledger = "x\r\n" }},
		{"too many gaps", "257 gaps", func(s *Statement) {
			s.Counter, s.Gaps = 1000, nil
			for i := range uint64(MaxGaps + 1) {
				s.Gaps = append(s.Gaps, i+1)
			}
		}},
		{"gap at 0", "gap", func(s *Statement) { s.Gaps = []uint64{0} }},
		{"gap twice", "gap", func(s *Statement) { s.Gaps = []uint64{105, 105} }},
		{"gaps out of order", "gap", func(s *Statement) { s.Gaps = []uint64{106, 105} }},
		{"gap at the counter", "gap", func(s *Statement) { s.Gaps = []uint64{108} }},
		{"no engine", "no engine", func(s *Statement) { s.Engines = nil }},
		{"too many engines", "17 engines", func(s *Statement) { s.Engines = slices.Repeat(s.Engines[:1], maxEngines+1) }},
		{"engine without a name", "engine", func(s *Statement) { s.Engines[1].Name = "" }},
		{"engine without a version", "version", func(s *Statement) { s.Engines[1].Version = "" }},
		{"definitions of another zone", "newest", func(s *Statement) { s.Engines[1].Newest = evening.In(elsewhere) }},
		{"no tag manifest", "tag manifest", func(s *Statement) { s.Sizes.TagManifest = 0 }},
		{"huge tag manifest", "tag manifest", func(s *Statement) { s.Sizes.TagManifest = MaxTagFile + 1 }},
		{"a tag file too few", "6 tag files", func(s *Statement) { s.Sizes.Tags = s.Sizes.Tags[:6] }},
		{"tag files in another order", "tag file", func(s *Statement) { slices.Reverse(s.Sizes.Tags) }},
		{"empty tag file", "tag file", func(s *Statement) { s.Sizes.Tags[0].Bytes = 0 }},
		{"huge plain tag file", "tag file", func(s *Statement) { s.Sizes.Tags[0].Bytes = MaxTagFile + 1 }},
		{"huge encrypted tag file", "tag file", func(s *Statement) { s.Sizes.Tags[2].Bytes = MaxPartSize + 1 }},
		{"no parts", "0 parts", func(s *Statement) { s.Sizes.Parts = []int64{} }},
		{"too many parts", "4097 parts", func(s *Statement) { s.Sizes.Parts = slices.Repeat([]int64{1}, MaxParts+1) }},
		{"empty part", "part of 0", func(s *Statement) { s.Sizes.Parts[1] = 0 }},
		{"huge part", "part of", func(s *Statement) { s.Sizes.Parts[1] = MaxPartSize + 1 }},
		{"a count too few", "3 counts", func(s *Statement) { s.Counts = s.Counts[:3] }},
		{"counts in another order", "count", func(s *Statement) { slices.Reverse(s.Counts) }},
		{"files below 0", "count", func(s *Statement) { s.Counts[3].Files = -1 }},
		{"bytes below 0", "count", func(s *Statement) { s.Counts[3].Bytes = -1 }},
		{"not partial with a file left out", "partial", func(s *Statement) { s.Partial = false }},
		{"partial with none left out", "partial", func(s *Statement) { s.Counts[1].Files = 0 }},
		{"not partial with one unscannable", "partial", func(s *Statement) { s.Counts[1].Files, s.Counts[2].Files, s.Partial = 0, 1, false }},
		{"altogether too long", "a statement of", func(s *Statement) {
			s.Ledger = strings.Repeat("x", maxCheckpoint-1) + "\n"
			s.Sizes.Parts = slices.Repeat([]int64{MaxPartSize}, MaxParts)
			s.Engines = slices.Repeat(s.Engines[:1], maxEngines)
		}},
	})
}

// What frames a statement is checked as well as the statement.
func TestStatementFrame(t *testing.T) {
	good := string(find("statement").raw(validStatement()))
	for name, swap := range map[string][2]string{
		"another type":           {"in-toto.io/Statement/v1", "in-toto.io/Statement/v2"},
		"another predicate":      {"transfer/v1", "transfer/v2"},
		"another subject":        {`"name":"tagmanifest-sha256.txt"`, `"name":"manifest-sha256.txt"`},
		"another digest":         {`{"sha256":"` + validStatement().Payload.String(), `{"sha256":"` + hashOf("other").String()},
		"two subjects":           {`"subject":[`, `"subject":[{"name":"x","digest":{"sha256":"` + hashOf("x").String() + `"}},`},
		"no subject":             {`[{"name":"tagmanifest-sha256.txt","digest":{"sha256":"` + validStatement().Payload.String() + `"}}]`, `[]`},
		"a field more":           {`"folders":2`, `"folders":2,"approved":true`},
		"a digest of one kind":   {`"digest":{`, `"digest":{"sha512":"",`},
		"a counter that is text": {`"counter":108`, `"counter":"108"`},
		"a counter below 0":      {`"counter":108`, `"counter":-108`},
	} {
		bad := strings.Replace(good, swap[0], swap[1], 1)
		if bad == good {
			t.Fatalf("%s: nothing changed", name)
		}
		if s, err := ParseStatement([]byte(bad)); s != nil || !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v, %v", name, s, err)
		}
	}
}

func TestReceiptRefuses(t *testing.T) {
	refuses(t, "receipt", []change[Receipt]{
		{"gate without a name", "not a receipt", func(r *Receipt) { r.Gate = "" }},
		{"kiosk with a line feed", "not a receipt", func(r *Receipt) { r.Kiosk = "k3\n" }},
		{"no transfer", "not a receipt", func(r *Receipt) { r.Transfer = "../../etc" }},
		{"counter 0", "not a receipt", func(r *Receipt) { r.Counter = 0 }},
		{"another result", "neither", func(r *Receipt) { r.Result = "probably" }},
		{"accepted as nothing", "neither", func(r *Receipt) { r.Generation = "" }},
		{"accepted as a path", "neither", func(r *Receipt) { r.Generation = ".." }},
		{"accepted for a reason", "neither", func(r *Receipt) { r.Reason = "Altered" }},
		{"refused without a reason", "neither", func(r *Receipt) { r.Result, r.Generation = Refused, "" }},
		{"refused for a long reason", "neither", func(r *Receipt) { r.Result, r.Generation, r.Reason = Refused, "", "not a name" }},
		{"refused with a generation", "neither", func(r *Receipt) { r.Result, r.Reason = Refused, "Altered" }},
		{"scanned by nothing", "scan", func(r *Receipt) { r.Engines = nil }},
		{"engines that did not scan", "scan", func(r *Receipt) { r.Scanned = false }},
		{"engine without a version", "version", func(r *Receipt) { r.Engines[0].Version = "" }},
		{"another zone", "time", func(r *Receipt) { r.Time = r.Time.In(time.FixedZone("JST", 9*60*60)) }},
		{"no checkpoint", "checkpoint", func(r *Receipt) { r.Ledger = "" }},
	})
	if _, err := ParseReceipt(bytes.Replace(line(validReceipt()), []byte("receipt/1"), []byte("receipt/2"), 1)); !errors.Is(err, ErrMalformed) {
		t.Errorf("another version: %v", err)
	}
}

func TestKeySetRefuses(t *testing.T) {
	refuses(t, "key set", []change[KeySet]{
		{"gate without a name", "not the key set", func(k *KeySet) { k.Gate = "" }},
		{"recipient of another type", "hybrid", func(k *KeySet) { k.Encryption = "age1qqqq" }},
		{"recovery of another type", "hybrid", func(k *KeySet) { k.Recovery = "ssh-ed25519 AAAA" }},
		{"recipient of two lines", "hybrid", func(k *KeySet) { k.Encryption = "age1pq1aaaa\nage1pq1cccc" }},
		{"recipient of great length", "hybrid", func(k *KeySet) { k.Encryption = "age1pq1" + strings.Repeat("a", maxRecipient) }},
		{"one key twice", "one key", func(k *KeySet) { k.Recovery = k.Encryption }},
		{"no key for receipts", "PEM", func(k *KeySet) { k.Receipts = "" }},
		{"no key for the ledger", "PEM", func(k *KeySet) { k.Ledger = "" }},
		{"key of great length", "PEM", func(k *KeySet) { k.Ledger = strings.Repeat("x\n", maxPEM) }},
		{"one key for both", "one key", func(k *KeySet) { k.Ledger = k.Receipts }},
	})
	if _, err := ParseKeySet(bytes.Replace(line(validKeySet()), []byte("keys/1"), []byte("keys/2"), 1)); !errors.Is(err, ErrMalformed) {
		t.Errorf("another version: %v", err)
	}
	a, err := validKeySet().Digest()
	must(t, err)
	if want := Hash(sha256.Sum256(line(validKeySet()))); a != want {
		t.Errorf("digest %v, want that of the file, %v", a, want)
	}
	if _, err := new(KeySet).Digest(); !errors.Is(err, ErrMalformed) {
		t.Errorf("an empty key set has a digest: %v", err)
	}
}

func TestDetailsRefuses(t *testing.T) {
	refuses(t, "details", []change[Details]{
		{"of no transfer", "details of", func(d *Details) { d.Transfer = "" }},
		{"of no workflow", "details of", func(d *Details) { d.Workflow = "" }},
		{"of no source", "details of", func(d *Details) { d.Source = "" }},
		{"of a source of great length", "details of", func(d *Details) { d.Source = strings.Repeat("x", MaxPath+1) }},
		{"started in another zone", "details of", func(d *Details) { d.Started = d.Started.In(time.FixedZone("JST", 9*60*60)) }},
		{"definitions of nothing", "definition", func(d *Details) { d.Definitions[1].Engine = "" }},
		{"definitions without a name", "definition", func(d *Details) { d.Definitions[1].Name = "" }},
		{"definitions below 0", "definition", func(d *Details) { d.Definitions[1].Size = -1 }},
		{"definitions of another zone", "definition", func(d *Details) { d.Definitions[1].Time = d.Started.In(time.FixedZone("JST", 9*60*60)) }},
		{"no rule", "exemption", func(d *Details) { d.Exemptions[0].Rule = "" }},
		{"rule of great length", "exemption", func(d *Details) { d.Exemptions[0].Rule = strings.Repeat("x", MaxRule+1) }},
		{"rule for no file", "exemption", func(d *Details) { d.Exemptions[0].Files = 0 }},
	})
	data, err := validDetails().Marshal()
	must(t, err)
	lines := strings.SplitAfter(string(data), "\n")
	for name, bad := range map[string]string{
		"empty":             "",
		"no first line":     strings.Join(lines[1:], ""),
		"two first lines":   lines[0] + string(data),
		"first line later":  lines[1] + lines[0] + lines[2] + lines[3],
		"exemptions before": lines[0] + lines[3] + lines[1] + lines[2],
		"a line of nothing": lines[0] + "{}\n",
		"an empty line":     lines[0] + "\n" + lines[1],
		"two in a line":     lines[0] + strings.TrimSuffix(lines[1], "}\n") + `,` + strings.TrimPrefix(lines[3], "{"),
		"another version":   strings.Replace(string(data), "details/1", "details/2", 1),
		"a line too long":   lines[0] + `{"exemption":{"rule":"` + strings.Repeat("x", MaxLine) + `","files":1}}` + "\n",
		"other line ends":   strings.ReplaceAll(string(data), "\n", "\r\n"),
	} {
		if d, err := ParseDetails(strings.NewReader(bad), transferID); d != nil || !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v, %v", name, d, err)
		}
	}
	if d, err := ParseDetails(bytes.NewReader(data), "20261122T1212Z-k3-000043"); d != nil || !errors.Is(err, ErrMalformed) {
		t.Errorf("details of another night: %v, %v", d, err)
	}
	broken := errors.New("broken")
	if d, err := ParseDetails(io.MultiReader(bytes.NewReader(data), failing{broken}), transferID); d != nil || !errors.Is(err, broken) || errors.Is(err, ErrMalformed) {
		t.Errorf("a broken reader: %v, %v", d, err)
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

package enrol

import (
	"bytes"
	"errors"
	"regexp"
	"strings"
	"testing"
	"time"

	"sekisho/transfer/manifest"
)

var someDay = time.Date(2026, 4, 1, 9, 0, 0, 0, time.UTC)

// documents are all four, by file name, with a parser that marshals again.
var documents = map[string]func([]byte) ([]byte, error){
	"request.json":   again(ParseRequest, (*Request).Marshal),
	"bound.json":     again(ParseRequest, (*Request).Marshal),
	"challenge.json": again(ParseChallenge, (*Challenge).Marshal),
	"answer.json":    again(ParseAnswer, (*Answer).Marshal),
	"pending.json":   again(ParsePending, (*Pending).Marshal),
}

// again parses and marshals. On an error there must be no result, and what is
// accepted must marshal.
func again[T any](parse func([]byte) (*T, error), marshal func(*T) ([]byte, error)) func([]byte) ([]byte, error) {
	return func(data []byte) ([]byte, error) {
		v, err := parse(data)
		if err != nil {
			if v != nil {
				panic("an error and a result")
			}
			return nil, err
		}
		return must(marshal(v)), nil
	}
}

func TestDocumentsComeOutAsTheyWentIn(t *testing.T) {
	if *record {
		makeRecord(t)
	}
	for name, parse := range documents {
		data := recorded(t, name)
		if got, err := parse(data); err != nil || !bytes.Equal(got, data) {
			t.Errorf("%s: %v, %q", name, err, got)
		}
	}
}

func TestDocumentsHaveOneForm(t *testing.T) {
	for name, parse := range documents {
		good := string(recorded(t, name))
		for what, data := range map[string]string{
			"no line feed":   strings.TrimSuffix(good, "\n"),
			"two line feeds": good + "\n",
			"a space":        strings.Replace(good, `:`, `: `, 1),
			"another format": strings.Replace(good, `/1"`, `/2"`, 1),
			"a further key":  strings.Replace(good, `{"format"`, `{"more":1,"format"`, 1),
			"a repeated key": strings.Replace(good, `{"format"`, `{"format":"x","format"`, 1),
			"capital key":    strings.Replace(good, `"request"`, `"Request"`, 1),
			"cut short":      good[:len(good)/2],
			"nothing":        "",
			"null":           "null\n",
			"too long":       good + strings.Repeat(" ", MaxDocument),
		} {
			if data == good {
				continue // request.json has no such key
			}
			if got, err := parse([]byte(data)); !errors.Is(err, ErrMalformed) || got != nil {
				t.Errorf("%s, %s: %v", name, what, err)
			}
		}
	}
}

func TestRequestRefusesForm(t *testing.T) {
	for what, change := range map[string]func(*Request){
		"no name":          func(r *Request) { r.Name = "" },
		"capitals":         func(r *Request) { r.Name = "Ward" },
		"underscore":       func(r *Request) { r.Name = "ward_2" },
		"path":             func(r *Request) { r.Name = "a/b" },
		"long name":        func(r *Request) { r.Name = strings.Repeat("k", 33) },
		"no endorsement":   func(r *Request) { r.Endorsement.Public = nil },
		"no key":           func(r *Request) { r.Key = nil },
		"huge key":         func(r *Request) { r.Key = make([]byte, maxArea+1) },
		"no counter":       func(r *Request) { r.CounterPublic = nil },
		"huge certificate": func(r *Request) { r.Endorsement.Certificate = make([]byte, maxCertificate+1) },
		"huge state":       func(r *Request) { r.State = make([]byte, maxState+1) },
		"approvals key":    func(r *Request) { r.Approvals = "x" },
		"bound, no state":  func(r *Request) { r.Approvals, r.State = strings.Repeat("0", 64), nil },
		"no time":          func(r *Request) { r.Time = time.Time{} },
		"nanoseconds":      func(r *Request) { r.Time = r.Time.Add(1) },
		"another zone":     func(r *Request) { r.Time = r.Time.In(time.FixedZone("", 9*3600)) },
	} {
		r, err := ParseRequest(recorded(t, "request.json"))
		if err != nil {
			t.Fatal(err)
		}
		change(r)
		if data, err := r.Marshal(); err == nil || data != nil {
			t.Errorf("%s: marshalled", what)
		}
	}
}

// What two people compare is the machine, whatever it asks again; and each part
// of the machine counts.
func TestFingerprint(t *testing.T) {
	parse := func() *Request {
		r, err := ParseRequest(recorded(t, "request.json"))
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	want := parse().Fingerprint()
	if !regexp.MustCompile(`^([A-Z2-7]{4}-){4}[A-Z2-7]{4}$`).MatchString(want) {
		t.Errorf("fingerprint %q", want)
	}
	same, digest := parse(), manifest.Hash{}
	same.Time, same.Nonce, same.State = someDay, manifest.Hash{1}, []byte("x")
	if got := same.Fingerprint(); got != want {
		t.Errorf("fingerprint of a second request is %s, was %s", got, want)
	}
	digest, err := same.Digest()
	if first, err2 := parse().Digest(); err != nil || err2 != nil || first == digest {
		t.Errorf("two requests have the digests %s and %s (%v, %v)", first, digest, err, err2)
	}
	// The bound form's state is approved before it is proved: it counts.
	bound, err := ParseRequest(recorded(t, "bound.json"))
	if err != nil {
		t.Fatal(err)
	}
	first := bound.Fingerprint()
	bound.Time, bound.Nonce = someDay, manifest.Hash{1}
	if got := bound.Fingerprint(); got != first {
		t.Errorf("fingerprint of a second bound request is %s, was %s", got, first)
	}
	bound.State = append(bound.State, 'x')
	if bound.Fingerprint() == first {
		t.Error("fingerprint is the same for another state")
	}
	for what, change := range map[string]func(*Request){
		"name":        func(r *Request) { r.Name += "x" },
		"software":    func(r *Request) { r.Software = !r.Software },
		"endorsement": func(r *Request) { r.Endorsement.Public[0] ^= 1 },
		"certificate": func(r *Request) { r.Endorsement.Certificate = nil },
		"key":         func(r *Request) { r.Key[9] ^= 1 },
		"counter":     func(r *Request) { r.CounterPublic[9] ^= 1 },
		"form":        func(r *Request) { r.Approvals = strings.Repeat("0", 64) },
	} {
		r := parse()
		change(r)
		if r.Fingerprint() == want {
			t.Errorf("fingerprint is the same for another %s", what)
		}
	}
}

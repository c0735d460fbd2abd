package ledger

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Bounds of a record, in bytes of its canonical form or of one field.
const (
	MaxLine  = 16 << 10 // the whole line with its newline
	MaxField = 256      // By, Transfer, Result, Reason, each
	MaxFacts = 64       // entries
	MaxKey   = 40       // a fact's name
	MaxFact  = 512      // a fact's value
)

// Record is one event. All texts are printable ASCII without quotation mark and
// backslash. None may hold personal data or a file's name: staff numbers are
// opaque, and everything longer belongs into the encrypted details of a bag.
type Record struct {
	Number   int64             // its place, from 0; Append sets it
	Time     time.Time         // UTC, to the millisecond; Append sets a zero time to now
	Event    Event             // lower-case letters and hyphens
	By       string            // opaque staff number; empty when the machine acted
	Transfer string            // the transfer's id; empty when there is none
	Result   string            // how it ended, a word of the caller's
	Reason   string            // why, a word of the caller's
	Facts    map[string]string // names are lower-case letters, digits, ".", "_" and "-"
}

const timeFormat = "2006-01-02T15:04:05.000Z"

var errRecord = errors.New("not a canonical record")

// Marshal is the one canonical form of r: a line of JSON with its newline.
func (r Record) Marshal() ([]byte, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	b := make([]byte, 0, 256)
	b = append(b, `{"number":`...)
	b = strconv.AppendInt(b, r.Number, 10)
	b = append(b, `,"time":"`...)
	b = r.Time.AppendFormat(b, timeFormat)
	b = appendText(b, `","event":"`, string(r.Event))
	for _, f := range [...]struct{ name, text string }{
		{`","by":"`, r.By}, {`","transfer":"`, r.Transfer}, {`","result":"`, r.Result}, {`","reason":"`, r.Reason},
	} {
		if f.text != "" {
			b = appendText(b, f.name, f.text)
		}
	}
	b = append(b, '"')
	if len(r.Facts) > 0 {
		keys := make([]string, 0, len(r.Facts))
		for k := range r.Facts {
			keys = append(keys, k)
		}
		slices.Sort(keys)
		before := `,"facts":{"`
		for _, k := range keys {
			b = appendText(b, before, k)
			b = appendText(b, `":"`, r.Facts[k])
			before = `","`
		}
		b = append(b, `"}`...)
	}
	b = append(b, "}\n"...)
	if len(b) > MaxLine {
		return nil, fmt.Errorf("record of %d bytes: at most %d", len(b), MaxLine)
	}
	return b, nil
}

// appendText needs no escapes: check has refused what would.
func appendText(b []byte, before, text string) []byte {
	return append(append(b, before...), text...)
}

// ParseRecord reads one line with its newline. It accepts nothing that Marshal
// would write otherwise; the event may be one of a later version.
func ParseRecord(line []byte) (Record, error) {
	if len(line) > MaxLine {
		return Record{}, errRecord
	}
	var w struct {
		Number   int64             `json:"number"`
		Time     string            `json:"time"`
		Event    Event             `json:"event"`
		By       string            `json:"by"`
		Transfer string            `json:"transfer"`
		Result   string            `json:"result"`
		Reason   string            `json:"reason"`
		Facts    map[string]string `json:"facts"`
	}
	if err := json.Unmarshal(line, &w); err != nil {
		return Record{}, errRecord
	}
	at, err := time.Parse(timeFormat, w.Time)
	if err != nil {
		return Record{}, errRecord
	}
	r := Record{w.Number, at, w.Event, w.By, w.Transfer, w.Result, w.Reason, w.Facts}
	if again, err := r.Marshal(); err != nil || !bytes.Equal(again, line) {
		return Record{}, errRecord
	}
	return r, nil
}

func (r Record) check() error {
	switch {
	case r.Number < 0:
		return fmt.Errorf("record number %d", r.Number)
	case r.Time.Location() != time.UTC || r.Time.Year() < 1970 || r.Time.Year() > 9999 || r.Time.Nanosecond()%1e6 != 0:
		return errors.New("record time is not UTC in whole milliseconds")
	case !isName(string(r.Event), "-"):
		return fmt.Errorf("event %q", string(r.Event))
	case len(r.Facts) > MaxFacts:
		return fmt.Errorf("%d facts: at most %d", len(r.Facts), MaxFacts)
	}
	for _, f := range [...]struct{ name, text string }{
		{"by", r.By}, {"transfer", r.Transfer}, {"result", r.Result}, {"reason", r.Reason},
	} {
		if len(f.text) > MaxField || !isText(f.text) {
			return fmt.Errorf("%s %q: at most %d printable ASCII characters", f.name, f.text, MaxField)
		}
	}
	for k, v := range r.Facts {
		if !isName(k, "-._0123456789") {
			return fmt.Errorf("fact named %q", k)
		}
		if len(v) > MaxFact || !isText(v) {
			return fmt.Errorf("fact %q is %q: at most %d printable ASCII characters", k, v, MaxFact)
		}
	}
	return nil
}

// isName accepts 1 to MaxKey lower-case letters and, after the first, others.
func isName(s, others string) bool {
	if s == "" || len(s) > MaxKey {
		return false
	}
	for i := range len(s) {
		letter := 'a' <= s[i] && s[i] <= 'z'
		if !letter && (i == 0 || strings.IndexByte(others, s[i]) < 0) {
			return false
		}
	}
	return true
}

func isText(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}

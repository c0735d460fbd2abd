package approval

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// MaxReason bounds the reason of an approval or a revocation, in bytes.
const MaxReason = 200

// marshal gives the canonical form of v: compact JSON in field order, and a
// line feed.
func marshal(v any) ([]byte, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	return append(data, '\n'), nil
}

// parse reads the canonical form into *v, a struct that marshals by its fields.
// What encoding/json forgives does not come out again as it went in.
func parse[T any](data []byte, v *T, limit int) error {
	if len(data) > limit {
		return fmt.Errorf("%d bytes are more than %d", len(data), limit)
	}
	if err := json.Unmarshal(data, v); err != nil {
		return err
	}
	again, err := marshal(v)
	if err != nil {
		return err
	}
	if !bytes.Equal(again, data) {
		return errors.New("not in canonical form")
	}
	return nil
}

// validName is the rule for the names of kiosks and the numbers of staff.
func validName(s string) bool {
	return s != "" && len(s) <= 32 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") == "" && s[0] != '-'
}

// ValidReason accepts what a person wrote in one line of at most MaxReason bytes,
// and a screen shows as it is.
func ValidReason(s string) bool {
	return len(s) <= MaxReason && utf8.ValidString(s) &&
		!strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsGraphic(r) })
}

// validTime keeps times to one spelling: UTC, whole seconds.
func validTime(t time.Time) bool {
	_, offset := t.Zone()
	return offset == 0 && t.Nanosecond() == 0 && !t.IsZero()
}

// validID: an approval's, which becomes part of a file's name.
func validID(s string) bool {
	return len(s) == 2*idBytes && strings.Trim(s, "0123456789abcdef") == ""
}

// validStateID is validID for a state's.
func validStateID(s string) bool {
	groups := strings.Split(s, "-")
	for _, g := range groups {
		if len(g) != groupLength || strings.Trim(g, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") != "" {
			return false
		}
	}
	return len(groups) == stateGroups
}

package approval

import (
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// MaxReason bounds the reason of an approval or a revocation, in bytes.
const MaxReason = 200

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

package manifest

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Limits of texts, in bytes.
const (
	MaxText       = 256      // a name, a version, where something was found
	MaxRule       = 4 << 10  // an exemption as the policy words it
	maxCheckpoint = 16 << 10 // a ledger's checkpoint with its signatures
)

// Text makes s fit for a document: what a document cannot hold becomes U+FFFD,
// and what goes beyond limit bytes is cut off.
func Text(s string, limit int) string {
	var b strings.Builder
	for _, c := range s { // an invalid byte comes as U+FFFD
		if !inText(c) {
			c = utf8.RuneError
		}
		if b.Len()+utf8.RuneLen(c) > limit {
			break
		}
		b.WriteRune(c)
	}
	return b.String()
}

// validText says whether s has 1 to limit bytes of UTF-8 without what JSON
// writers escape in different ways, or a terminal would obey.
func validText(s string, limit int) bool {
	return s != "" && len(s) <= limit && utf8.ValidString(s) && !strings.ContainsFunc(s, func(c rune) bool { return !inText(c) })
}

// validLines is validText for lines that each end in a line feed.
func validLines(s string, limit int) bool {
	return strings.HasSuffix(s, "\n") && validText(strings.ReplaceAll(s, "\n", " "), limit)
}

func inText(c rune) bool { return !unicode.IsControl(c) && c != '\u2028' && c != '\u2029' }

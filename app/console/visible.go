package console

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// shown says whether a character may go to a terminal as it is. Control
// characters act on it, bidirectional ones reorder what stands around them, and
// invisible ones hide; names on a drive may hold all of them.
func shown(r rune) bool {
	const wide = '\u3000' // the space inside Japanese names
	return unicode.IsPrint(r) || r == wide
}

// Visible escapes what must not reach a terminal, also in text that was not
// quoted on its way. Lines stay lines.
func Visible(text string) string {
	var b strings.Builder
	for len(text) > 0 {
		r, n := utf8.DecodeRuneInString(text)
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, text[0])
		case r == '\n', shown(r):
			b.WriteRune(r)
		case r < utf8.RuneSelf:
			fmt.Fprintf(&b, `\x%02x`, r)
		case r < 1<<16:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			fmt.Fprintf(&b, `\U%08x`, r)
		}
		text = text[n:]
	}
	return b.String()
}

// visibleJSON escapes the same in JSON's own way, so that the line still means
// what it meant.
func visibleJSON(line string) string {
	var b strings.Builder
	for _, r := range line {
		switch {
		case r == '\n', shown(r):
			b.WriteRune(r)
		case r < 1<<16:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			hi, lo := utf16.EncodeRune(r)
			fmt.Fprintf(&b, `\u%04x\u%04x`, hi, lo)
		}
	}
	return b.String()
}

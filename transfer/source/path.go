package source

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// Compare orders two paths as a walk meets them: -1, 0 or +1. It compares
// bytes, and "/" is lower than any other byte.
func Compare(a, b string) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] == b[i] {
			continue
		}
		if a[i] == '/' || b[i] != '/' && a[i] < b[i] {
			return -1
		}
		return +1
	}
	switch {
	case len(a) < len(b):
		return -1
	case len(a) > len(b):
		return +1
	}
	return 0
}

// Quote writes a path for people, as a Go string literal: what prints is kept,
// Japanese included; control, bidirectional and invisible characters and bytes
// that are not UTF-8 are escaped. strconv.Unquote gives the path back.
func Quote(path string) string {
	const wide = '\u3000' // the space inside Japanese names; it shows
	var b strings.Builder
	b.WriteByte('"')
	for len(path) > 0 {
		r, n := utf8.DecodeRuneInString(path)
		if r == wide {
			b.WriteRune(r)
		} else {
			q := strconv.Quote(path[:n])
			b.WriteString(q[1 : len(q)-1])
		}
		path = path[n:]
	}
	b.WriteByte('"')
	return b.String()
}

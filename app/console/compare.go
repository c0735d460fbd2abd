package console

import "strings"

// SameGroups says whether what a person typed is what the other screen showed:
// groups of letters and digits, in any case and however they were parted.
func SameGroups(typed, shown string) bool { return plainGroups(typed) == plainGroups(shown) }

func plainGroups(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '-' || r == ' ' {
			return -1
		}
		return r
	}, strings.ToUpper(s))
}

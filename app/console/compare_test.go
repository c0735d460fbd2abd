package console

import "testing"

func TestSameGroups(t *testing.T) {
	for _, c := range []struct {
		typed, shown string
		same         bool
	}{
		{"ABCD-EFGH", "ABCD-EFGH", true}, {"abcd efgh", "ABCD-EFGH", true}, {"abcdefgh", "ABCD-EFGH", true},
		{"ABCD-EFGI", "ABCD-EFGH", false}, {"ABCD", "ABCD-EFGH", false}, {"ABCD-EFGH-I", "ABCD-EFGH", false}, {"", "ABCD", false},
	} {
		if got := SameGroups(c.typed, c.shown); got != c.same {
			t.Errorf("%q and %q: %v", c.typed, c.shown, got)
		}
	}
}

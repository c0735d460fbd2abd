package source

import (
	"slices"
	"strconv"
	"strings"
	"testing"
)

func TestCompare(t *testing.T) {
	ordered := []string{
		"", "a", "a/", "a/a", "a/a/z", "a/b", "a\x01", "a b", "a-b", "a-b/c", "a.b", "a0", "aa", "b",
		"\x83\x65", "\xe3\x81\x82", "\xff",
	}
	for i, a := range ordered {
		for j, b := range ordered {
			want := 0
			if i < j {
				want = -1
			} else if i > j {
				want = +1
			}
			if got := Compare(a, b); got != want {
				t.Errorf("Compare(%q, %q) = %d, want %d", a, b, got, want)
			}
		}
	}
}

func FuzzCompare(f *testing.F) {
	f.Add("a/b", "a.b", "a")
	f.Fuzz(func(t *testing.T, a, b, c string) {
		// The definition in other words: components compared one by one.
		if want := slices.Compare(strings.Split(a, "/"), strings.Split(b, "/")); Compare(a, b) != want {
			t.Fatalf("Compare(%q, %q) = %d, want %d", a, b, Compare(a, b), want)
		}
		s := []string{a, b, c}
		slices.SortFunc(s, Compare)
		if Compare(s[0], s[2]) > 0 {
			t.Fatalf("not an order: %q", s)
		}
	})
}

func TestQuote(t *testing.T) {
	for path, want := range map[string]string{
		"^経過記録(内科)^^11506-3^経過記録^LN/山田　太郎.pdf": `"^経過記録(内科)^^11506-3^経過記録^LN/山田　太郎.pdf"`,
		"\x83\x65\x83\x58\x83\x67.txt":         `"\x83e\x83X\x83g.txt"`,
		"か\u3099":                              "\"か\u3099\"", // NFD stays as it is
		"gnp\u202etxt.exe":                     `"gnp\u202etxt.exe"`,
		"a\u2066b\u200fc\ufeff":                `"a\u2066b\u200fc\ufeff"`,
		"line\nbreak\x1b[2J\x7f\"\\":           `"line\nbreak\x1b[2J\x7f\"\\"`,
	} {
		if got := Quote(path); got != want {
			t.Errorf("Quote(%q) = %s, want %s", path, got, want)
		}
	}
}

func FuzzQuote(f *testing.F) {
	f.Add("山田　太郎\x83\u202e\n")
	f.Fuzz(func(t *testing.T, path string) {
		q := Quote(path)
		back, err := strconv.Unquote(q)
		if err != nil || back != path {
			t.Fatalf("%s gives back %q, %v", q, back, err)
		}
		for _, r := range q {
			if r != '\u3000' && !strconv.IsPrint(r) {
				t.Fatalf("%q holds %U", q, r)
			}
		}
	})
}

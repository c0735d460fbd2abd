package manifest

import (
	"cmp"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
)

func fileEntry(path string) *Entry {
	h := hashOf(path)
	return &Entry{Path: Path(path), Type: File, Size: int64(len(path)), ModTime: evening, SHA256: &h, Verdict: Clean, Part: 1}
}

func folderEntry(path string) *Entry {
	return &Entry{Path: Path(path), Type: Folder, ModTime: evening, Part: 1}
}

func leftOut(path string) *Entry {
	e := fileEntry(path)
	e.Verdict, e.Part, e.Findings = Detected, 0, []Finding{{Engine: "clamd", Name: "Test.Sig"}}
	return e
}

func otherEntry(path string) *Entry {
	return &Entry{Path: Path(path), Type: Other, Size: 12, ModTime: evening, Verdict: Unscannable, Findings: []Finding{{Engine: "source", Name: "NotAFile.symlink"}}}
}

func TestEntryRefuses(t *testing.T) {
	finding := Finding{Engine: "yara", Name: "Rule", Where: "a/b"}
	for _, c := range []struct {
		name, want string
		entry      *Entry
		change     func(*Entry)
	}{
		{"no path", "extracted", fileEntry("a"), func(e *Entry) { e.Path = "" }},
		{"a parent", "extracted", fileEntry("a"), func(e *Entry) { e.Path = "a/../b" }},
		{"size below 0", "size", fileEntry("a"), func(e *Entry) { e.Size = -1 }},
		{"part below 0", "part -1", leftOut("a"), func(e *Entry) { e.Part = -1 }},
		{"part of great number", "part", fileEntry("a"), func(e *Entry) { e.Part = MaxParts + 1 }},
		{"offset below 0", "offset", fileEntry("a"), func(e *Entry) { e.Offset = -Block }},
		{"offset between blocks", "offset", fileEntry("a"), func(e *Entry) { e.Offset = 100 }},
		{"an offset in no part", "no part", leftOut("a"), func(e *Entry) { e.Offset = Block }},
		{"another zone", "time", fileEntry("a"), func(e *Entry) { e.ModTime = evening.In(time.FixedZone("JST", 9*60*60)) }},
		{"before the clock began", "time", fileEntry("a"), func(e *Entry) { e.ModTime = time.Date(1600, 12, 31, 23, 59, 59, 0, time.UTC) }},
		{"too many findings", "33 findings", leftOut("a"), func(e *Entry) { e.Findings = slices.Repeat(e.Findings, MaxFindings+1) }},
		{"finding of no engine", "finding", leftOut("a"), func(e *Entry) { e.Findings[0].Engine = "" }},
		{"finding without a name", "finding", leftOut("a"), func(e *Entry) { e.Findings[0].Name = "" }},
		{"finding with bytes", "finding", leftOut("a"), func(e *Entry) { e.Findings[0].Name = "\x8e\xd0" }},
		{"finding somewhere with an escape", "finding", leftOut("a"), func(e *Entry) { e.Findings[0].Where = "\x1b[2J" }},
		{"verdict of another name", "verdict", fileEntry("a"), func(e *Entry) { e.Verdict = "harmless" }},
		{"detected and carried", "detected in part 1", leftOut("a"), func(e *Entry) { e.Part = 1 }},
		{"clean and left out", "clean in part 0", fileEntry("a"), func(e *Entry) { e.Part = 0 }},
		{"exempt and left out", "exempt in part 0", fileEntry("a"), func(e *Entry) { e.Verdict, e.Part, e.Findings = Exempt, 0, []Finding{finding} }},
		{"carried without a digest", "digest", fileEntry("a"), func(e *Entry) { e.SHA256 = nil }},
		{"clean with a finding", "clean with 1", fileEntry("a"), func(e *Entry) { e.Findings = []Finding{finding} }},
		{"exempt of nothing", "exempt with 0", fileEntry("a"), func(e *Entry) { e.Verdict = Exempt }},
		{"detected by nothing", "detected with 0", leftOut("a"), func(e *Entry) { e.Findings = nil }},
		{"unscannable for nothing", "unscannable with 0", leftOut("a"), func(e *Entry) { e.Verdict, e.Findings = Unscannable, nil }},
		{"folder with a size", "folder", folderEntry("a"), func(e *Entry) { e.Size = 1 }},
		{"folder with a digest", "folder", folderEntry("a"), func(e *Entry) { e.SHA256 = new(Hash) }},
		{"folder with a verdict", "folder", folderEntry("a"), func(e *Entry) { e.Verdict = Clean }},
		{"folder with a finding", "folder", folderEntry("a"), func(e *Entry) { e.Findings = []Finding{finding} }},
		{"folder left out", "folder", folderEntry("a"), func(e *Entry) { e.Part = 0 }},
		{"link that is clean", "left out", otherEntry("a"), func(e *Entry) { e.Verdict = Clean }},
		{"link with a digest", "left out", otherEntry("a"), func(e *Entry) { e.SHA256 = new(Hash) }},
		{"link carried", "left out", otherEntry("a"), func(e *Entry) { e.Part = 1 }},
		{"link for no reason", "left out", otherEntry("a"), func(e *Entry) { e.Findings = nil }},
		{"another type", "type", fileEntry("a"), func(e *Entry) { e.Type = "symlink" }},
	} {
		if err := c.entry.Check(); err != nil {
			t.Fatalf("%s: before the change: %v", c.name, err)
		}
		c.change(c.entry)
		if err := c.entry.Check(); !errors.Is(err, ErrMalformed) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
	unread := leftOut("a")
	unread.Verdict, unread.SHA256 = Unscannable, nil
	exempt := fileEntry("a")
	exempt.Verdict, exempt.Findings = Exempt, []Finding{finding}
	for _, e := range []*Entry{unread, exempt} {
		if err := e.Check(); err != nil {
			t.Errorf("%s: %v", e.Verdict, err)
		}
	}
}

// An index error says where, and never a name: names hold patient numbers.
func TestErrorsHoldNoNames(t *testing.T) {
	const name = "9990001_SATO"
	for _, e := range []*Entry{{Path: name}, {Path: name + "/.."}, {Path: name, Type: File, ModTime: evening}, leftOut(name + "/x")} {
		w, err := NewIndexWriter(new(strings.Builder), transferID)
		must(t, err)
		if err := w.Write(e); err == nil || strings.Contains(err.Error(), "999") || !strings.Contains(err.Error(), "line 1:") {
			t.Errorf("%v", err)
		}
	}
}

func TestPathValid(t *testing.T) {
	long := strings.Repeat("n", MaxName)
	for p, want := range map[Path]bool{
		"a": true, "a/b": true, "日本/語": true, "\x8e\xd0": true, "a\nb": true, " ": true, "...": true, "..a": true, "~": true, `C:\x`: true, "-rf": true,
		Path(long): true, Path(long + "n"): false, Path(strings.Repeat("n/", MaxPath/2-1) + "nn"): true, Path(strings.Repeat("n/", MaxPath/2) + "n"): false,
		"": false, "/": false, "/a": false, "a/": false, "a//b": false, ".": false, "..": false, "a/.": false, "a/..": false, "./a": false, "../a": false,
		"a/../b": false, "a\x00b": false, "\x00": false,
	} {
		if p.Valid() != want {
			t.Errorf("%.40q: valid is %v", string(p), !want)
		}
	}
}

// The order is that of the components, each bytewise: as if a folder's content
// came right after the folder.
func TestPathOrder(t *testing.T) {
	paths := []Path{"a", "a/b", "a/b/c", "a/c", "a b", "a!", "a-", "a.txt", "a0", "ab", "b", "日本", "日本/x", "日本語", "\x8e\xd0", "\xff"}
	parts := func(p Path) []string { return strings.Split(string(p), "/") }
	for _, p := range paths {
		for _, q := range paths {
			if got, want := cmp.Compare(p.Compare(q), 0), slices.Compare(parts(p), parts(q)); got != want {
				t.Errorf("%q against %q: %d, want %d", p, q, got, want)
			}
		}
	}
}

func TestPathParent(t *testing.T) {
	for p, want := range map[Path]Path{"a": "", "a/b": "a", "a/b/c": "a/b"} {
		if got := p.Parent(); got != want {
			t.Errorf("%q: %q", p, got)
		}
	}
}

func TestTimestamp(t *testing.T) {
	jst := time.FixedZone("JST", 9*60*60)
	for _, c := range []struct{ in, want time.Time }{
		{time.Time{}, time.Date(1601, 1, 1, 0, 0, 0, 0, time.UTC)},
		{time.Date(1601, 1, 1, 8, 59, 59, 0, jst), time.Date(1601, 1, 1, 0, 0, 0, 0, time.UTC)},
		{time.Date(2026, 1, 1, 0, 0, 0, 123456789, jst), time.Date(2025, 12, 31, 15, 0, 0, 123456789, time.UTC)},
		{time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(9999, 12, 31, 23, 59, 59, 999999999, time.UTC)},
	} {
		if got := Timestamp(c.in); !got.Equal(c.want) || got.Location() != time.UTC {
			t.Errorf("%v became %v, want %v", c.in, got, c.want)
		}
	}
}

func TestText(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "Win.Test": "Win.Test", "a\xffb": "a\ufffdb", "a\nb\x1b": "a\ufffdb\ufffd", "\u2028": "\ufffd", "\u0085": "\ufffd", "名前": "名前",
		strings.Repeat("名", 100): strings.Repeat("名", 85), strings.Repeat("x", 300): strings.Repeat("x", 256),
	} {
		got := Text(in, MaxText)
		if got != want || got != "" && !validText(got, MaxText) {
			t.Errorf("%q became %q", in, got)
		}
	}
	for _, bad := range []string{"", "a\xff", "a\x00", "\t", "\x7f", "\u009b", "\u2029", strings.Repeat("x", 257)} {
		if validText(bad, MaxText) {
			t.Errorf("%q is a valid text", bad)
		}
	}
}

package console

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"sekisho/transfer"
	"sekisho/transfer/manifest"
)

// Names as an attacker or an old system may give them.
var hostile = []string{
	"report\n[accepted]", "\x1b[2J\x1b[31mred", "\r overwritten", "cut\x00off", "\x9b31m C1", "\u009b31m", "bell\a",
	"exe.\u202etxt.pdf", "\u2066isolated\u2069", "zero\u200bwidth", "\ufeffbom", "\u2028line", "tag\U000e0041", "\x83e\x83X\x83g.txt", "del\x7f",
}

// safe says whether a terminal shows text and does nothing else.
func safe(text string) bool {
	return utf8.ValidString(text) && !strings.ContainsFunc(text, func(r rune) bool {
		return r != '\n' && r != '\u3000' && !unicode.IsPrint(r)
	})
}

func TestNothingHostileReachesTheTerminal(t *testing.T) {
	for _, name := range hostile {
		if safe(strings.ReplaceAll(name, "\n", "\r")) {
			t.Fatalf("%q is not hostile", name)
		}
		var out, errs bytes.Buffer
		c := New(&out, &errs, "en")
		c.Say("said %s", name)
		c.Note("noted %s", name)
		c.Log().Warn("logged", "name", name, "raw", errors.New(name))
		c.File(transfer.File{Path: manifest.Path(name), Verdict: manifest.Detected, Findings: []manifest.Finding{{Engine: "clamav", Name: name}}})
		c.Result(Refused, transfer.ExtraFile, name, &transfer.Refusal{Reason: transfer.ExtraFile, Where: name, Err: errors.New(name)})
		c.JSON = true
		c.File(transfer.File{Path: manifest.Path(name), Verdict: manifest.Clean})
		c.Result(Refused, transfer.ExtraFile, name, nil)
		if !safe(out.String()) || !safe(errs.String()) {
			t.Errorf("%q:\n%q\n%q", name, &out, &errs)
		}
		// A file's line and the reference of a result stay one line.
		if n := strings.Count(errs.String(), "\n[accepted]"); n > 3 {
			t.Errorf("%q made %d lines of its own:\n%s", name, n, &errs)
		}
	}
}

func TestVisibleKeepsWhatShows(t *testing.T) {
	for _, s := range []string{"", "plain", "カルテ　山田.pdf", "𠮷野家", "é ü ß", "two\nlines", "\ufffd"} {
		if got := Visible(s); got != s {
			t.Errorf("%q became %q", s, got)
		}
	}
	for s, want := range map[string]string{
		"a\tb": `a\x09b`, "\x1b[0m": `\x1b[0m`, "\xff": `\xff`, "\u202e": `\u202e`, "\U000e0041": `\U000e0041`, "\u009b": `\u009b`,
	} {
		if got := Visible(s); got != want {
			t.Errorf("%q became %q, want %q", s, got, want)
		}
	}
}

func TestJSONMeansWhatItMeant(t *testing.T) {
	for _, name := range hostile {
		var out bytes.Buffer
		c := New(&out, nil, "en")
		c.Print(map[string]string{"name": name})
		var back map[string]string
		if err := json.Unmarshal(out.Bytes(), &back); err != nil {
			t.Fatalf("%q: %v\n%s", name, err, &out)
		}
		if want := strings.ToValidUTF8(name, "\ufffd"); back["name"] != want || strings.Count(out.String(), "\n") != 1 {
			t.Errorf("%q came back as %q", name, back["name"])
		}
	}
	var out bytes.Buffer
	New(&out, nil, "en").Print(map[string]string{"name": "a<b>&カルテ"})
	if out.String() != "{\"name\":\"a<b>&カルテ\"}\n" {
		t.Errorf("%q", &out)
	}
}

func TestFile(t *testing.T) {
	detected := transfer.File{Path: "a b.txt", Verdict: manifest.Detected,
		Findings: []manifest.Finding{{Engine: "clamav", Name: "Eicar"}, {Engine: "yara", Name: "demo"}}}
	var out, errs bytes.Buffer
	c := New(&out, &errs, "en")
	c.File(transfer.File{Path: "clean", Verdict: manifest.Clean})
	c.File(detected)
	if out.Len() != 0 || errs.String() != "  \"a b.txt\": left out, detected (clamav Eicar, yara demo)\n" {
		t.Errorf("%q %q", &out, &errs)
	}
	errs.Reset()
	c.JSON = true
	c.File(transfer.File{Path: "clean", Verdict: manifest.Clean})
	c.File(detected)
	c.File(transfer.File{Path: "\x83e", Verdict: manifest.Unscannable})
	want := `{"file":"clean","verdict":"clean","findings":[]}
{"file":"a b.txt","verdict":"detected","findings":[{"engine":"clamav","name":"Eicar"},{"engine":"yara","name":"demo"}]}
{"file":"\"\\x83e\"","verdict":"unscannable","findings":[]}
`
	if out.String() != want || errs.Len() != 0 {
		t.Errorf("%s\n%s", &out, &errs)
	}
}

func TestResult(t *testing.T) {
	var out, errs bytes.Buffer
	c := New(&out, &errs, "ja_JP.UTF-8")
	c.JSON = true
	c.Result(Sealed, "", "T1", nil)
	c.Result(Partial, transfer.LeftOut, "T2", nil)
	if want := "{\"result\":\"sealed\",\"transfer\":\"T1\"}\n{\"result\":\"partial\",\"reason\":\"LeftOut\",\"transfer\":\"T2\"}\n"; out.String() != want {
		t.Errorf("%s", &out)
	}
	if want := "一部を除いて完了しました。除いたものは情報部門が確認します。\n  いつもどおり媒体を運んでください。\n  [LeftOut T2]\n"; errs.String() != want {
		t.Errorf("%s", &errs)
	}
	// The reference says everything once.
	errs.Reset()
	c.Lang = "en"
	c.Result(Refused, transfer.Altered, "T3", &transfer.Refusal{Reason: transfer.Altered, Where: "T3", Err: errors.New("one bit")})
	c.Result(Refused, transfer.Altered, "T3", &transfer.Refusal{Reason: transfer.Altered, Where: "T3"})
	if s := errs.String(); !strings.Contains(s, "\n  [Altered T3: one bit]\n") || !strings.HasSuffix(s, "\n  [Altered T3]\n") {
		t.Errorf("%s", s)
	}
	// With -json what is for people does not mix with the lines of the contract.
	out.Reset()
	c.Say("for people")
	if out.Len() != 0 || !strings.HasSuffix(errs.String(), "for people\n") {
		t.Errorf("%q", &out)
	}
}

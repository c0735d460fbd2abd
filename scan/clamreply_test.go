package scan

import (
	"strings"
	"testing"
)

var replies = []string{
	"1: fd[11]: OK",
	"2: stream: OK",
	"3: fd[7]: Sekisho.Test.UNOFFICIAL FOUND",
	"4: fd[11]: Heuristics.Limits.Exceeded.MaxRecursion FOUND",
	"5: fd[11]: Can't write to file ERROR",
}

func TestParseReply(t *testing.T) {
	for i, line := range replies {
		r, err := parseReply(line)
		if err != nil || r.id != i+1 {
			t.Errorf("%q: %+v, %v", line, r, err)
		}
		if (r.status == "OK") != strings.HasSuffix(line, ": OK") {
			t.Errorf("%q was taken for %s", line, r.status)
		}
	}
	// Each of these has been a way for some client to believe in a clean file.
	for _, line := range []string{
		"", "OK", "1: OK", ": fd[1]: OK", "0: fd[1]: OK", "01: fd[1]: OK", "-1: fd[1]: OK", "1: fd[1]: OK ", "1: fd[1]:OK",
		"1: fd[]: OK", "1: fd[-1]: OK", "1: fd[1: OK", "1: /tmp/a: OK", "1: fd[1]: ok", "1: fd[1]: not OK", "1: fd[1]: FOUND",
		"1: fd[1]:  FOUND", "1: fd[1]: OK\n2: fd[1]: X FOUND", "1: fd[1]: \x7f FOUND", "1: stream: X FOUND OK",
		"COMMAND READ TIMED OUT", "UNKNOWN COMMAND", strings.Repeat("1", maxReply) + ": stream: OK",
	} {
		if r, err := parseReply(line); err == nil || r != (reply{}) {
			t.Errorf("%q was taken for %+v", line, r)
		}
	}
}

func TestFindingOfReply(t *testing.T) {
	for name, want := range map[string]Verdict{
		"Heuristics.Limits.Exceeded":              Unscannable,
		"Heuristics.Limits.Exceeded.MaxFileSize":  Unscannable,
		"Heuristics.Encrypted.Zip":                Unscannable,
		"Heuristics.Broken.Executable":            Unscannable,
		"Heuristics.Broken.Media.JPEG.CantVerify": Unscannable,
		"Heuristics.BrokenHeart":                  Detected,
		"Heuristics.Phishing.Email.SpoofedDomain": Detected,
		"Win.Test.EICAR_HDB-1":                    Detected,
		"Sekisho.Heuristics.Encrypted.Zip":        Detected,
	} {
		if got := (reply{status: "FOUND", text: name}).finding(); got.Verdict != want || got.Name != name {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func FuzzParseReply(f *testing.F) {
	for _, line := range replies {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		r, err := parseReply(line)
		if err != nil {
			if r != (reply{}) {
				t.Fatal("refused, but left something")
			}
		} else if r.String() != line {
			t.Fatalf("%q became %q", line, r)
		}
	})
}

package scan

import (
	"fmt"
	"testing"
	"time"
)

// TestDecideCells has one line for each cell of verdict × kind × strictness:
// one file of that verdict among a thousand clean ones.
func TestDecideCells(t *testing.T) {
	for _, c := range []struct {
		verdict Verdict
		kind    Kind
		strict  bool
		want    Outcome
	}{
		{Clean, Files, false, Carry},
		{Clean, Files, true, Carry},
		{Clean, Set, false, Carry},
		{Clean, Set, true, Carry},
		{Exempt, Files, false, Carry},
		{Exempt, Files, true, Carry},
		{Exempt, Set, false, Carry},
		{Exempt, Set, true, Carry},
		{Detected, Files, false, LeaveOut},
		{Detected, Files, true, Hold},
		{Detected, Set, false, Hold},
		{Detected, Set, true, Hold},
		{Unscannable, Files, false, LeaveOut},
		{Unscannable, Files, true, Hold},
		{Unscannable, Set, false, Hold},
		{Unscannable, Set, true, Hold},
	} {
		t.Run(fmt.Sprintf("%s/%s/%v", c.verdict, c.kind, c.strict), func(t *testing.T) {
			p := Policy{Kind: c.kind, Strict: c.strict}
			var tally Tally
			for range 1000 {
				tally.Add(Clean, 10)
			}
			tally.Add(c.verdict, 10)
			if got := p.Decide(tally); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

func TestDecideLimits(t *testing.T) {
	tally := func(files, left int64) Tally {
		return Tally{Files: files, ByVerdict: [4]int64{Clean: files - left, Detected: left}, LeftOut: left}
	}
	for _, c := range []struct {
		name string
		p    Policy
		t    Tally
		want Outcome
	}{
		{"20 of many", Policy{}, tally(100_000, 20), LeaveOut},
		{"21 of many", Policy{}, tally(100_000, 21), Hold},
		{"one percent", Policy{}, tally(1000, 10), LeaveOut},
		{"over one percent", Policy{}, tally(1000, 11), Hold},
		{"2 of 10: the share does not count yet", Policy{}, tally(10, 2), LeaveOut},
		{"3 of 10", Policy{}, tally(10, 3), Hold},
		{"nothing left to carry", Policy{}, tally(1, 1), Hold},
		{"nothing at all", Policy{}, Tally{}, Hold},
		{"own numbers", Policy{HoldFiles: 5, HoldPercent: 50, HoldFrom: 1}, tally(10, 5), LeaveOut},
		{"own numbers passed", Policy{HoldFiles: 5, HoldPercent: 50, HoldFrom: 1}, tally(1000, 6), Hold},
		{"own share passed", Policy{HoldFiles: 50, HoldPercent: 50, HoldFrom: 1}, tally(10, 6), Hold},
		{"changed while read counts", Policy{}, Tally{Files: 10, ByVerdict: [4]int64{Clean: 7}, LeftOut: 3}, Hold},
		{"unaccounted files count", Policy{Kind: Set}, Tally{Files: 10, ByVerdict: [4]int64{Clean: 9}}, Hold},
		{"more verdicts than files", Policy{}, Tally{Files: 10, ByVerdict: [4]int64{Clean: 11}}, Hold},
		{"negative", Policy{}, Tally{Files: -1, LeftOut: -5}, Hold},
		{"no such kind", Policy{Kind: 7}, tally(10, 0), Hold},
		{"invalid numbers", Policy{HoldFiles: -1}, tally(10, 0), Hold},
	} {
		if got := c.p.Decide(c.t); got != c.want {
			t.Errorf("%s: got %s, want %s", c.name, got, c.want)
		}
	}
	var zero Outcome
	if zero != Hold {
		t.Error("the zero outcome does not hold")
	}
}

func FuzzKind(f *testing.F) {
	for _, k := range kindTexts {
		f.Add(k)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var k Kind
		if k.UnmarshalText([]byte(text)) != nil {
			return
		}
		if back, err := k.MarshalText(); err != nil || string(back) != text {
			t.Fatalf("%q became %q", text, back)
		}
	})
}

var (
	noon     = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	content  = Facts{Head: []byte("DUMP\x01rest"), Size: 5000, SHA256: [32]byte{0xab}}
	sum      = Sum(content.SHA256).String()
	detected = Finding{Engine: "yara", Name: "site:Rule", Verdict: Detected}
	doubt    = Finding{Engine: "clamd", Name: "SearchedInWindows", Verdict: Unscannable}
)

func approved(e Exemption) Exemption {
	e.Until, e.By = noon.Add(30*24*time.Hour), "IT"
	return e
}

func TestExempted(t *testing.T) {
	dumps := Exemption{Path: "emr/**/*.dmp", Magic: Magic("DUMP"), MinSize: 1000, MaxSize: 9000}
	for _, c := range []struct {
		name     string
		e        []Exemption
		path     string
		findings []Finding
		want     Verdict
	}{
		{"sha256 covers a detection", []Exemption{{SHA256: sum}}, "x", []Finding{detected}, Exempt},
		{"sha256 covers a doubt", []Exemption{{SHA256: sum}}, "x", []Finding{doubt}, Exempt},
		{"sha256 covers both", []Exemption{{SHA256: sum}}, "x", []Finding{detected, doubt}, Exempt},
		{"signature covers its detection", []Exemption{{Signature: "site:Rule"}}, "x", []Finding{detected}, Exempt},
		{"signature does not cover another", []Exemption{{Signature: "site:Rule"}}, "x", []Finding{detected, doubt}, Detected},
		{"two signatures together", []Exemption{{Signature: "site:Rule"}, {Signature: "SearchedInWindows"}}, "x", []Finding{detected, doubt}, Exempt},
		{"dump by its looks", []Exemption{dumps}, "emr/a/b/full.dmp", []Finding{doubt}, Exempt},
		{"dump without folders between", []Exemption{dumps}, "emr/full.dmp", []Finding{doubt}, Exempt},
		{"looks do not excuse a detection", []Exemption{dumps}, "emr/a/full.dmp", []Finding{detected}, Detected},
		{"looks do not excuse a detection beside a doubt", []Exemption{dumps}, "emr/a/full.dmp", []Finding{doubt, detected}, Detected},
		{"other path", []Exemption{dumps}, "lab/full.dmp", []Finding{doubt}, Unscannable},
		{"other magic", []Exemption{{Path: "**", Magic: Magic("PMUD"), MinSize: 1, MaxSize: 9000}}, "x", []Finding{doubt}, Unscannable},
		{"too large", []Exemption{{Path: "**", Magic: Magic("DUMP"), MinSize: 1, MaxSize: 4999}}, "x", []Finding{doubt}, Unscannable},
		{"too small", []Exemption{{Path: "**", Magic: Magic("DUMP"), MinSize: 5001, MaxSize: 9000}}, "x", []Finding{doubt}, Unscannable},
		{"all fields must match", []Exemption{{SHA256: sum, Path: "y"}}, "x", []Finding{doubt}, Unscannable},
		{"too wide to count", []Exemption{{Path: "**"}}, "x", []Finding{doubt}, Unscannable},
		{"nothing was found, nothing is exempt", []Exemption{{SHA256: sum}}, "x", nil, Unscannable},
	} {
		var p Policy
		for _, e := range c.e {
			p.Exempt = append(p.Exempt, approved(e))
		}
		r := resultOf(c.findings)
		if c.findings == nil {
			r.Verdict = Unscannable
		}
		got, by := p.Exempted(c.path, content, r, noon)
		if got.Verdict != c.want || (by != nil) != (c.want == Exempt) {
			t.Errorf("%s: got %s by %v, want %s", c.name, got.Verdict, by, c.want)
		}
		if late, by := p.Exempted(c.path, content, r, noon.Add(31*24*time.Hour)); late.Verdict != r.Verdict || by != nil {
			t.Errorf("%s: still %s after it expired", c.name, late.Verdict)
		}
		if early, _ := p.Exempted(c.path, content, r, noon.Add(-2*longestExemption)); early.Verdict != r.Verdict {
			t.Errorf("%s: %s when it reaches further than a year", c.name, early.Verdict)
		}
	}
	p := Policy{Exempt: []Exemption{approved(Exemption{SHA256: sum})}}
	if r, by := p.Exempted("x", content, Result{Verdict: Clean}, noon); r.Verdict != Clean || by != nil {
		t.Errorf("clean became %s", r.Verdict)
	}
}

func TestExemptionValidate(t *testing.T) {
	good := map[string]Exemption{
		"sha256":    {SHA256: sum},
		"signature": {Signature: "X"},
		"looks":     {Path: "a/*.dmp", Magic: Magic("DUMP"), MinSize: 1, MaxSize: 2},
	}
	for name, e := range good {
		e = approved(e)
		if err := e.validate(noon); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	bad := map[string]Exemption{
		"nothing":       {},
		"path only":     {Path: "**"},
		"short magic":   {Path: "**", Magic: Magic("MZ"), MinSize: 1, MaxSize: 2},
		"no band":       {Path: "**", Magic: Magic("DUMP"), MinSize: 1},
		"band reversed": {Path: "**", Magic: Magic("DUMP"), MinSize: 2, MaxSize: 1},
		"bad pattern":   {Path: "[", SHA256: sum},
		"empty part":    {Path: "a//b", SHA256: sum},
		"stars":         {Path: "**/**/**/**/**", SHA256: sum},
		"upper case":    {SHA256: "AB" + sum[2:]},
		"short hash":    {SHA256: sum[:62]},
	}
	for name, e := range bad {
		e = approved(e)
		if e.validate(noon) == nil {
			t.Errorf("%s was accepted", name)
		}
	}
	for name, change := range map[string]func(*Exemption){
		"nobody": func(e *Exemption) { e.By = " " },
		"no end": func(e *Exemption) { e.Until = time.Time{} },
		"far":    func(e *Exemption) { e.Until = noon.AddDate(1, 0, 2) },
	} {
		e := approved(good["sha256"])
		change(&e)
		if e.validate(noon) == nil {
			t.Errorf("%s was accepted", name)
		}
	}
	e := Exemption{SHA256: sum, By: "IT", Until: time.Now().AddDate(2, 0, 0)}
	if p := (Policy{Exempt: []Exemption{e}}); e.Validate() == nil || p.Validate() == nil {
		t.Error("two years were accepted")
	}
}

func TestMatchPath(t *testing.T) {
	for _, c := range []struct {
		pattern, name string
		want          bool
	}{
		{"a/b", "a/b", true}, {"a/*", "a/b", true}, {"a/*", "a/b/c", false}, {"*", "a/b", false},
		{"**", "a/b/c", true}, {"a/**", "a", true}, {"a/**/c", "a/c", true}, {"a/**/c", "a/b/b/c", true},
		{"a/**/c", "a/b/d", false}, {"**/*.dmp", "x/日本.dmp", true}, {"**/*.dmp", "x.dmp/y", false},
	} {
		if got := matchPath(c.pattern, c.name); got != c.want {
			t.Errorf("%q on %q: %v", c.pattern, c.name, got)
		}
	}
}

func FuzzMagic(f *testing.F) {
	f.Add("44554d50")
	f.Fuzz(func(t *testing.T, text string) {
		var m Magic
		if err := m.UnmarshalText([]byte(text)); err != nil {
			if m != nil {
				t.Fatal("refused, but left something")
			}
			return
		}
		if back, _ := m.MarshalText(); string(back) != text {
			t.Fatalf("%q became %q", text, back)
		}
	})
}

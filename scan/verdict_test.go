package scan

import (
	"encoding/json"
	"testing"
)

func TestVerdictZeroIsNotClean(t *testing.T) {
	var r Result
	if r.Verdict != Unscannable || r.Verdict.String() != "unscannable" {
		t.Errorf("the zero verdict is %s", r.Verdict)
	}
}

func TestResultOf(t *testing.T) {
	d, u := Finding{Verdict: Detected}, Finding{Verdict: Unscannable}
	for _, c := range []struct {
		findings []Finding
		want     Verdict
	}{
		{nil, Clean}, {[]Finding{d}, Detected}, {[]Finding{u}, Unscannable},
		{[]Finding{u, d}, Detected}, {[]Finding{d, u}, Detected}, {[]Finding{u, u}, Unscannable},
		{[]Finding{{Verdict: Clean}}, Unscannable}, {[]Finding{{}}, Unscannable},
	} {
		if got := resultOf(c.findings).Verdict; got != c.want {
			t.Errorf("%v: got %s, want %s", c.findings, got, c.want)
		}
	}
}

func FuzzVerdict(f *testing.F) {
	for _, v := range verdictTexts {
		f.Add(v)
	}
	f.Fuzz(func(t *testing.T, text string) {
		v := Clean
		if err := v.UnmarshalText([]byte(text)); err != nil {
			if v != Unscannable {
				t.Fatalf("%q: refused, but left %s", text, v)
			}
			return
		}
		if back, err := v.MarshalText(); err != nil || string(back) != text {
			t.Fatalf("%q became %q", text, back)
		}
	})
}

func TestVerdictOutOfRange(t *testing.T) {
	if _, err := json.Marshal(Verdict(4)); err == nil {
		t.Error("a fifth verdict was written")
	}
	if s := Verdict(9).String(); s != "Verdict(9)" {
		t.Error(s)
	}
}

func TestResultJSON(t *testing.T) {
	r := Result{Detected, []Finding{{Engine: "clamd", Name: "X", Verdict: Detected}}}
	b, err := json.Marshal(r)
	if want := `{"verdict":"detected","findings":[{"engine":"clamd","name":"X"}]}`; err != nil || string(b) != want {
		t.Errorf("%s, %v", b, err)
	}
}

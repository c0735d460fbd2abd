package scan

import (
	"bytes"
	"reflect"
	"strings"
	"testing"
)

var answers = []answer{
	{Kind: kindReady, Text: "libyara"},
	{Kind: kindRefused, Text: "no rules"},
	{Kind: kindMatches},
	{Kind: kindMatches, Names: []string{"sekisho:EICAR", "規則/一.yar:R"}},
	{Kind: kindFailed, Text: errScanTimeout.Error()},
	{Kind: kindWindow, Offset: 0, Length: 1},
	{Kind: kindWindow, Offset: 1 << 40, Length: yaraWindow},
}

func TestParseAnswer(t *testing.T) {
	for _, want := range answers {
		got, err := parseAnswer(want.marshal())
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%+v became %+v, %v", want, got, err)
		}
	}
	for _, bad := range []string{
		"", "{}", "null", `{"kind":"matches"} `, `{"kind":"matches","kind":"matches"}`, `{"kind":"matches","more":1}`,
		`{"kind":"matches","names":[]}`, `{"kind":"matches","names":[""]}`, `{"kind":"matches","names":["a\u0000"]}`,
		`{"kind":"matches","text":"x"}`, `{"kind":"window"}`, `{"kind":"window","offset":-1,"length":1}`,
		`{"kind":"window","length":-1}`, `{"kind":"ready"}`, `{"kind":"clean"}`, `{"kind":"matches","offset":1}`,
		string(answer{Kind: kindMatches, Names: strings.Split(strings.Repeat("x,", maxNames)+"x", ",")}.marshal()),
		string(answer{Kind: kindMatches, Names: []string{strings.Repeat("x", maxName+1)}}.marshal()),
		string(answer{Kind: kindFailed, Text: strings.Repeat("x", messageSize)}.marshal()),
	} {
		if got, err := parseAnswer([]byte(bad)); err == nil || !reflect.DeepEqual(got, answer{}) {
			t.Errorf("%q was taken for %+v", bad, got)
		}
	}
}

// What a worker may send always fits and always parses.
func TestLargestAnswerFits(t *testing.T) {
	var names []string
	for range maxNames {
		names = append(names, clean(strings.Repeat("\"<規\x00", maxName), maxName))
	}
	for _, a := range []answer{{Kind: kindMatches, Names: names}, {Kind: kindFailed, Text: clean(strings.Repeat("\xff<\n規", 2000), maxText)}} {
		if _, err := parseAnswer(a.marshal()); err != nil {
			t.Errorf("%d bytes: %v", len(a.marshal()), err)
		}
	}
}

func FuzzParseAnswer(f *testing.F) {
	for _, a := range answers {
		f.Add(a.marshal())
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		a, err := parseAnswer(data)
		if err != nil {
			if !reflect.DeepEqual(a, answer{}) {
				t.Fatal("refused, but left something")
			}
		} else if !bytes.Equal(a.marshal(), data) {
			t.Fatalf("%q became %q", data, a.marshal())
		}
	})
}

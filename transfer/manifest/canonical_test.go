package manifest

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
)

// variants are other ways to write the same JSON document: what encoding/json,
// or a reader of another language, would take for it.
func variants(good string) map[string]string {
	first := regexp.MustCompile(`"([a-z_]+)":("[^"]*"|[0-9]+|true|false)`).FindStringSubmatch(good)
	pair, key, value := first[0], first[1], first[2]
	number := regexp.MustCompile(`:([0-9]+)([,}])`)
	v := map[string]string{
		"no end":                 strings.TrimSuffix(good, "\n"),
		"two ends":               good + "\n",
		"carriage return":        strings.TrimSuffix(good, "\n") + "\r\n",
		"bytes behind":           strings.TrimSuffix(good, "\n") + "x\n",
		"a second value":         strings.TrimSuffix(good, "\n") + "{}\n",
		"a bracket behind":       strings.TrimSuffix(good, "\n") + "}\n",
		"bytes after the end":    good + "x",
		"a NUL at the end":       good + "\x00",
		"byte order mark":        "\ufeff" + good,
		"white space before":     " " + good,
		"white space in it":      strings.Replace(good, ":", ": ", 1),
		"white space at the end": strings.Replace(good, "}\n", " }\n", 1),
		"a line feed in it":      strings.Replace(good, ",", ",\n", 1),
		"key in capitals":        strings.Replace(good, `"`+key+`"`, `"`+strings.ToUpper(key)+`"`, 1),
		"key with a Kelvin sign": strings.Replace(good, `"kiosk"`, `"kios`+"\u212a"+`"`, 1),
		"key twice":              strings.Replace(good, pair, pair+","+pair, 1),
		"key twice, once other":  strings.Replace(good, pair, `"`+key+`":null,`+pair, 1),
		"another key":            strings.Replace(good, pair, pair+`,"more":1`, 1),
		"an escaped key":         strings.Replace(good, `"`+key, fmt.Sprintf(`"\u%04x`, key[0])+key[1:], 1),
		"a comma more":           strings.Replace(good, "}\n", ",}\n", 1),
		"null":                   "null\n",
		"a list":                 "[" + strings.TrimSuffix(good, "\n") + "]\n",
		"no object":              "7\n",
		"empty object":           "{}\n",
		"nothing":                "\n",
		"empty":                  "",
	}
	if strings.HasPrefix(value, `"`) && len(value) > 2 {
		v["an escaped character"] = strings.Replace(good, value, fmt.Sprintf(`"\u%04x`, value[1])+value[2:], 1)
		v["an escaped slash"] = strings.Replace(good, "/", `\/`, 1)
	}
	if number.MatchString(good) {
		once := func(form string) string {
			done := false
			return number.ReplaceAllStringFunc(good, func(s string) string {
				if done {
					return s
				}
				done = true
				m := number.FindStringSubmatch(s)
				return ":" + fmt.Sprintf(form, m[1]) + m[2]
			})
		}
		v["a number with an exponent"], v["a number with a point"] = once("%se0"), once("%s.0")
		v["a number with a zero before"], v["a number with a sign"] = once("0%s"), once("+%s")
	}
	if i := strings.Index(good, `","`); i > 0 { // the first two members, the other way round
		members := strings.SplitN(strings.TrimPrefix(good, "{"), `,"`, 3)
		v["members in another order"] = `{"` + members[1] + "," + members[0] + `,"` + members[2]
	}
	return v
}

// Each document, and each line of an index, has one form only.
func TestCanonical(t *testing.T) {
	docs := append(documents[:len(documents):len(documents)], document{
		name:  "index line",
		valid: func() any { e := leftOut("a"); return e },
		raw:   func(v any) []byte { return line(v) },
		parse: func(b []byte) (any, error) {
			entries, err := readIndex(bytes.NewReader(append(rawIndex(), b...)), transferID)
			if len(entries) == 0 {
				return nil, err
			}
			return entries, err
		},
	})
	for _, d := range docs {
		good := string(d.raw(d.valid()))
		if v, err := d.parse([]byte(good)); v == nil || err != nil {
			t.Fatalf("%s: %v", d.name, err)
		}
		n := 0
		for name, bad := range variants(good) {
			if bad == good {
				continue // has nothing of that kind
			}
			n++
			v, err := d.parse([]byte(bad))
			if d.name == "index line" && (name == "empty" || name == "two ends" || strings.HasPrefix(name, "bytes after") || name == "a NUL at the end") {
				if name == "empty" {
					continue // an index may have no lines
				}
			} else if v != nil {
				t.Errorf("%s, %s: accepted", d.name, name)
			}
			if !errors.Is(err, ErrMalformed) {
				t.Errorf("%s, %s: %v", d.name, name, err)
			}
		}
		if n < 25 {
			t.Errorf("%s: only %d variants", d.name, n)
		}
	}
}

// Values inside a line that some decoders take and others do not.
func TestCanonicalValues(t *testing.T) {
	e := leftOut("\xff\xfe?")
	e.ModTime = evening.Add(120e6)
	good := string(line(e))
	for name, swap := range map[string][2]string{
		"base64 without padding":     {`"//4/"`, `"//4"`},
		"base64 with more padding":   {`"//4/"`, `"//4/===="`},
		"base64 of the URL kind":     {`"//4/"`, `"__4_"`},
		"base64 with a line feed":    {`"//4/"`, `"//\n4/"`},
		"base64 with a raw return":   {`"//4/"`, "\"//\r4/\""},
		"base64 with a space":        {`"//4/"`, `"//4/ "`},
		"path as bytes":              {`"//4/"`, "\"\xff\xfe?\""},
		"path of null":               {`"//4/"`, `null`},
		"path of a list":             {`"//4/"`, `[255,254,63]`},
		"digest in capitals":         {e.SHA256.String(), strings.ToUpper(e.SHA256.String())},
		"digest cut short":           {e.SHA256.String(), e.SHA256.String()[:62]},
		"digest null":                {`"` + e.SHA256.String() + `"`, `null`},
		"time with zeros":            {"12:12:40.12Z", "12:12:40.120Z"},
		"time with a comma":          {"12:12:40.12Z", "12:12:40,12Z"},
		"time in another zone":       {"12:12:40.12Z", "21:12:40.12+09:00"},
		"time of zone zero":          {"12:12:40.12Z", "12:12:40.12+00:00"},
		"time of an unknown zone":    {"12:12:40.12Z", "12:12:40.12-00:00"},
		"time in small letters":      {"T12:12:40.12Z", "t12:12:40.12z"},
		"time with a short hour":     {"T12:12:40.12Z", "T9:12:40.12Z"},
		"leap second":                {"12:12:40.12Z", "12:12:60Z"},
		"zero that is left out":      {`"verdict"`, `"verdict":"detected","part":0,"x"`},
		"part 0":                     {`}]}`, `}],"part":0}`},
		"offset 0":                   {`}]}`, `}],"offset":0}`},
		"empty place":                {`"name":"Test.Sig"`, `"name":"Test.Sig","where":""`},
		"no findings, in words":      {`"findings":[{`, `"findings":[],"findings":[{`},
		"size of text":               {`"size":3`, `"size":"3"`},
		"size beyond 64 bits":        {`"size":3`, `"size":9223372036854775808`},
		"character of no Unicode":    {`"Test.Sig"`, `"Test\ud800"`},
		"character of invalid bytes": {`"Test.Sig"`, "\"Test\xff\""},
		"escaped HTML":               {`"Test.Sig"`, `"Test\u003c"`},
	} {
		bad := strings.Replace(good, swap[0], swap[1], 1)
		if bad == good {
			t.Fatalf("%s: nothing changed in %s", name, good)
		}
		if entries, err := readIndex(strings.NewReader(string(rawIndex())+bad), transferID); len(entries) != 0 || !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %d entries, %v", name, len(entries), err)
		}
	}
	if entries, err := readIndex(strings.NewReader(string(rawIndex())+good), transferID); len(entries) != 1 || err != nil {
		t.Errorf("unchanged: %v", err)
	}
}

// HTML's characters stand as they are: a second implementation need not know
// Go's habit of escaping them.
func TestCharactersStandAsTheyAre(t *testing.T) {
	e := leftOut("a")
	e.Findings[0].Name = `<a href="x">&'日本\` + "\u007e"
	if got, want := string(line(e)), `"name":"<a href=\"x\">&'日本\\~"`; !strings.Contains(got, want) {
		t.Errorf("%s does not hold %s", got, want)
	}
	if _, err := readIndex(bytes.NewReader(indexOf(t, e)), transferID); err != nil {
		t.Error(err)
	}
}

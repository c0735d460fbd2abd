package measure

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"testing"
)

// example is a list of the length that kiosks have.
func example() *List {
	l := &List{Register: 13}
	for _, name := range []string{"/usr/bin/kiosk", "/etc/sekisho/kiosk.toml", "/etc/systemd/system/sekisho-kiosk.service"} {
		l.Events = append(l.Events, Event{Name: name, SHA256: sha256.Sum256([]byte(name))})
	}
	return l
}

func mustMarshal(t testing.TB, l *List) []byte {
	t.Helper()
	data, err := l.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// OpenSSL, told what the package comment says, comes to the same value.
func TestReplayByOpenSSL(t *testing.T) {
	l := example()
	script := `set -e
hash() { openssl dgst -sha256 -binary; }
bytes() { printf "$(printf %s "$1" | sed 's/../\\x&/g')"; }
hex() { od -An -v -tx1 | tr -d ' \n'; }
value=$(printf '%064d' 0)
while read -r name digest; do
	event=$( { printf 'sekisho-event-v1\0%s\0' "$name"; bytes "$digest"; } | hash | hex)
	value=$( { bytes "$value"; bytes "$event"; } | hash | hex)
done
printf %s "$value"`
	var in strings.Builder
	for _, e := range l.Events {
		fmt.Fprintln(&in, e.Name, e.SHA256)
	}
	cmd := exec.Command("bash", "-c", script)
	cmd.Stdin = strings.NewReader(in.String())
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	if got := l.Replay().String(); got != string(out) {
		t.Errorf("replay gives %s, OpenSSL %s", got, out)
	}
	if (&List{Register: 13}).Replay() != (Digest{}) {
		t.Error("an empty list moves the register")
	}
}

func TestParse(t *testing.T) {
	for _, l := range []*List{example(), {Register: 11, Events: []Event{}}} {
		data := mustMarshal(t, l)
		got, err := Parse(data)
		if err != nil {
			t.Fatal(err)
		}
		if len(Compare(l, got)) > 0 || got.Register != l.Register {
			t.Errorf("parsed as %v", got)
		}
	}
	good := string(mustMarshal(t, example()))
	for name, bad := range map[string]string{
		"empty":              "",
		"no line end":        strings.TrimSuffix(good, "\n"),
		"two lines":          good + good,
		"another format":     strings.Replace(good, "events/1", "events/2", 1),
		"a blank":            strings.Replace(good, `"register":13`, `"register": 13`, 1),
		"another field":      strings.Replace(good, `"register":13`, `"register":13,"more":1`, 1),
		"no register":        strings.Replace(good, `"register":13,`, ``, 1),
		"register too high":  strings.Replace(good, `"register":13`, `"register":24`, 1),
		"upper case":         strings.Replace(good, "a", "A", -1),
		"measured twice":     strings.Replace(good, "/etc/sekisho/kiosk.toml", "/usr/bin/kiosk", 1),
		"a line end inside":  strings.Replace(good, "/usr/bin/kiosk", `/usr/bin\n/kiosk`, 1),
		"no name":            strings.Replace(good, "/usr/bin/kiosk", "", 1),
		"a short digest":     strings.Replace(good, example().Events[0].SHA256.String(), "ab", 1),
		"events null":        `{"format":"sekisho-events/1","register":13,"events":null}` + "\n",
		"a key in CAPITALS":  strings.Replace(good, `"events"`, `"EVENTS"`, 1),
		"more than the room": good[:len(good)-1] + strings.Repeat(" ", MaxList) + "\n",
	} {
		if l, err := Parse([]byte(bad)); !errors.Is(err, ErrMalformed) || l != nil {
			t.Errorf("%s: %v, %v", name, l, err)
		}
	}
}

// What Marshal gives, Parse takes: both keep the same bounds.
func TestMarshalBounds(t *testing.T) {
	l := &List{Register: 13}
	for i := range MaxEvents {
		l.Events = append(l.Events, Event{Name: fmt.Sprintf("/%02d%s", i, strings.Repeat("a", 252))})
	}
	if _, err := Parse(mustMarshal(t, l)); err != nil {
		t.Errorf("the longest list of plain names: %v", err)
	}
	for i := range l.Events { // each & is six bytes in JSON
		l.Events[i].Name = fmt.Sprintf("/%02d%s", i, strings.Repeat("&", 252))
	}
	if data, err := l.Marshal(); err == nil || data != nil {
		t.Errorf("marshalled %d bytes", len(data))
	}
	l.Events = append(l.Events, Event{Name: "/one-more"})
	if _, err := l.Marshal(); err == nil {
		t.Error("marshalled too many events")
	}
	for _, name := range []string{"", "/a\x00b", "/a\nb", "/\xff", "/" + strings.Repeat("a", 255)} {
		if _, err := (&List{Register: 13, Events: []Event{{Name: name}}}).Marshal(); err == nil {
			t.Errorf("marshalled the name %q", name)
		}
	}
}

func FuzzParse(f *testing.F) {
	seeds := [][]byte{mustMarshal(f, example()), mustMarshal(f, &List{Register: 11})}
	if len(seeds) == 0 {
		f.Fatal("no seeds")
	}
	for _, data := range seeds {
		if _, err := Parse(data); err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		l, err := Parse(data)
		if err != nil {
			if l != nil {
				t.Error("an error and a result")
			}
			return
		}
		if again, err := l.Marshal(); err != nil || string(again) != string(data) {
			t.Errorf("accepted %q, which marshals to %q (%v)", data, again, err)
		}
	})
}

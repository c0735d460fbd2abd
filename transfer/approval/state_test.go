package approval

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"sekisho/transfer/measure"
	"sekisho/transfer/seal"
)

func TestStateRoundTrip(t *testing.T) {
	empty := changed(newState(), 13)
	soft := newState()
	soft.SoftwareTPM, soft.Time = true, time.Time{}
	other := newState()
	other.Software, other.Events = 12, &measure.List{Register: 12}
	for name, s := range map[string]State{"full": newState(), "unexplained": empty, "software TPM, no time": soft, "register 12": other} {
		data, err := s.Marshal()
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		back, err := ParseState(data)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		again, err := back.Marshal()
		unchanged(t, data, again, err)
		if back.ID() != s.ID() || back.Kiosk != s.Kiosk || !reflect.DeepEqual(back.Registers, s.Registers) || !back.Time.Equal(s.Time) ||
			back.Firmware != s.Firmware || back.SoftwareTPM != s.SoftwareTPM || len(back.Events.Events) != len(s.Events.Events) {
			t.Errorf("%s: got %+v, want %+v", name, back, s)
		}
	}
}

// The form on disk, as the package comment has it.
func TestStateFormat(t *testing.T) {
	s := newState()
	s.Events = list("/usr/bin/kiosk=1.0")
	s.Registers = Registers{13: s.Events.Replay(), 7: {0xab}, 0: {1}}
	data, err := s.Marshal()
	must(t, err)
	want := fmt.Sprintf(`{"format":"sekisho-state/1","kiosk":"k3","softwareRegister":13,`+
		`"registers":{"0":"01%062d","7":"ab%062d","13":"%s"},"events":[{"name":"/usr/bin/kiosk","sha256":"%s"}],`+
		`"firmware":"72057594037927936","softwareTPM":false,"time":"2026-11-22T12:00:00Z"}`+"\n",
		0, 0, s.Events.Replay(), s.Events.Events[0].SHA256)
	if string(data) != want {
		t.Errorf("got %s\nwant %s", data, want)
	}
}

func TestStateRefuses(t *testing.T) {
	good, err := newState().Marshal()
	must(t, err)
	text := string(good)
	for name, data := range map[string]string{
		"empty":           "",
		"no line feed":    strings.TrimSuffix(text, "\n"),
		"text after":      text + " ",
		"another format":  strings.Replace(text, "state/1", "state/2", 1),
		"unknown key":     strings.Replace(text, `{"format"`, `{"x":1,"format"`, 1),
		"repeated key":    strings.Replace(text, `"softwareTPM":false`, `"softwareTPM":true,"softwareTPM":false`, 1),
		"upper-case key":  strings.Replace(text, `"kiosk"`, `"Kiosk"`, 1),
		"kiosk":           strings.Replace(text, `"k3"`, `"../k3"`, 1),
		"no kiosk":        strings.Replace(text, `"k3"`, `""`, 1),
		"register 07":     strings.Replace(text, `"7":`, `"07":`, 1),
		"register +7":     strings.Replace(text, `"7":`, `"+7":`, 1),
		"register x":      strings.Replace(text, `"6":`, `"x":`, 1),
		"register 24":     strings.Replace(text, `"14":`, `"24":`, 1),
		"without 7":       strings.Replace(text, `"7":`, `"10":`, 1),
		"unordered":       strings.Replace(strings.Replace(strings.Replace(text, `"0":`, `"_":`, 1), `"1":`, `"0":`, 1), `"_":`, `"1":`, 1),
		"short value":     strings.Replace(text, `"7":"`, `"7":"00`, 1),
		"upper-case hex":  strings.Replace(text, `"7":"ca`, `"7":"CA`, 1),
		"software is 10":  strings.Replace(text, `Register":13`, `Register":10`, 1),
		"software is 15":  strings.Replace(text, `Register":13`, `Register":15`, 1),
		"software is 12":  strings.Replace(text, `Register":13`, `Register":12`, 1), // which the events do not explain
		"no events":       cut(text, `"events":[`, `],`, `"events":null,`),
		"another event":   strings.Replace(text, "/usr/bin/kiosk", "/usr/bin/Kiosk", 1),
		"firmware number": strings.Replace(text, `"72057594037927936"`, `72057594037927936`, 1),
		"firmware sign":   strings.Replace(text, `"72057594037927936"`, `"-1"`, 1),
		"another zone":    strings.Replace(text, "12:00:00Z", "21:00:00+09:00", 1),
		"half a second":   strings.Replace(text, "12:00:00Z", "12:00:00.5Z", 1),
		"null":            "null\n",
		"huge":            text[:10] + strings.Repeat(" ", maxState) + text[10:],
	} {
		if data == text {
			t.Errorf("%s: the case alters nothing", name)
		}
		s, err := ParseState([]byte(data))
		if !errors.Is(err, seal.ErrMalformed) || !reflect.DeepEqual(s, State{}) {
			t.Errorf("%s: got %+v, %v", name, s, err)
		}
	}
}

// cut replaces what is between from and to, both included.
func cut(text, from, to, by string) string {
	before, rest, _ := strings.Cut(text, from)
	_, after, _ := strings.Cut(rest, to)
	return before + by + after
}

func TestStateMarshalRefuses(t *testing.T) {
	for name, alter := range map[string]func(*State){
		"nothing":          func(s *State) { *s = State{} },
		"no registers":     func(s *State) { s.Registers = nil },
		"no list":          func(s *State) { s.Events = nil },
		"another register": func(s *State) { s.Events = &measure.List{Register: 12, Events: s.Events.Events} },
		"another list":     func(s *State) { s.Events = list("/usr/bin/kiosk=1.1") },
		"a bad name":       func(s *State) { *s = s.With(list("a\nb=c")) },
		"too many events":  func(s *State) { *s = s.With(list(strings.Split(strings.Repeat("a ", 70), " ")...)) },
	} {
		s := newState()
		alter(&s)
		if data, err := s.Marshal(); err == nil || data != nil {
			t.Errorf("%s: marshalled to %q", name, data)
		}
		if id := s.ID(); id != "" {
			t.Errorf("%s: has ID %s", name, id)
		}
		if e, a, err := Sign(newKey(t), s, terms()); err == nil || e != nil || a != nil {
			t.Errorf("%s: approved", name)
		}
	}
}

func TestStateTime(t *testing.T) {
	for _, at := range []time.Time{noon.In(time.FixedZone("JST", 9*3600)), noon.Add(1)} {
		s := newState()
		s.Time = at
		if data, err := s.Marshal(); err == nil || data != nil {
			t.Errorf("marshalled to %q", data)
		}
	}
}

func TestStateDigest(t *testing.T) {
	s := newState()
	later := s
	later.Time = noon.Add(24 * time.Hour)
	if validID(s.ID()) || !validStateID(s.ID()) || s.ID() != later.ID() {
		t.Errorf("%s, a day later %s", s.ID(), later.ID())
	}
	firmware, soft := s, s
	firmware.Firmware++
	soft.SoftwareTPM = true
	for _, other := range []State{changed(s, 0), changed(s, 13), s.With(list("/usr/bin/kiosk=1.1")), firmware, soft} {
		if other.ID() == s.ID() || other.ID() == "" {
			t.Errorf("%+v has ID %s too", other, s.ID())
		}
	}
}

func TestStateWith(t *testing.T) {
	s := newState()
	before := s.ID()
	next := list("/usr/bin/kiosk=1.1", "/etc/sekisho/kiosk.toml=a")
	after := s.With(next)
	if after.Registers[13] != next.Replay() || after.Events != next || after.Registers[7] != s.Registers[7] || after.ID() == before {
		t.Errorf("got %+v", after)
	}
	if s.ID() != before {
		t.Error("the state itself changed")
	}
	if id := s.With(&measure.List{Register: 12}).ID(); id != "" {
		t.Errorf("a list of another register gives state %s", id)
	}
	if id := (State{}).With(next).ID(); id != "" {
		t.Errorf("no state gives state %s", id)
	}
}

package approval

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"sekisho/transfer/seal"
)

func TestSignAndOpen(t *testing.T) {
	key, s := newKey(t), newState()
	without := terms()
	without.Without = []int{1, 5}
	without.Until = noon.Add(36 * time.Hour)
	for name, c := range map[string]struct {
		state   State
		terms   Terms
		covered int
		until   time.Time
	}{
		"all registers": {s, terms(), 14, time.Date(2027, 11, 22, 12, 0, 0, 0, time.UTC)},
		"some":          {s, without, 12, time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC)},
		"unexplained":   {changed(s, 13), terms(), 14, time.Date(2027, 11, 22, 12, 0, 0, 0, time.UTC)},
	} {
		envelope, a, err := Sign(key, c.state, c.terms)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if len(a.Registers) != c.covered || !a.Until.Equal(c.until) || !a.From.Equal(noon) || a.Kiosk != "k3" || a.By != "1234" ||
			a.Reason != terms().Reason || a.Software != 13 || !validID(a.ID()) || !bytes.Equal(a.Envelope(), envelope) {
			t.Errorf("%s: got %+v", name, a)
		}
		opened, err := Open(envelope, key.Public(), "k3")
		if err != nil || !reflect.DeepEqual(opened, a) {
			t.Errorf("%s: opened %+v, %v", name, opened, err)
		}
		if any, err := Open(envelope, key.Public(), ""); err != nil || any.ID() != a.ID() {
			t.Errorf("%s: for any kiosk %v, %v", name, any, err)
		}
		auth := a.Authorization()
		want := map[int][32]byte{7: c.state.Registers[7], 13: c.state.Registers[13]}
		if err := auth.Verify(key.Public()); err != nil || !reflect.DeepEqual(auth.PCRs, want) {
			t.Errorf("%s: authorization %v, %v", name, auth, err)
		}
	}
	// What a caller does with the state later is nothing to the approval.
	a := approve(t, key, s, terms())
	s.Registers[7] = [32]byte{}
	if a.Registers[7] == s.Registers[7] {
		t.Error("the approval shares the state's registers")
	}
}

// A Terms of a zone and of half seconds gives the one form.
func TestSignCutsTime(t *testing.T) {
	at := terms()
	at.From = noon.In(time.FixedZone("JST", 9*3600)).Add(700 * time.Millisecond)
	at.Until = at.From.Add(time.Hour)
	a := approve(t, newKey(t), newState(), at)
	if !a.From.Equal(noon) || !a.Until.Equal(noon.Add(time.Hour)) || !validTime(a.From) || !validTime(a.Until) {
		t.Errorf("from %v until %v", a.From, a.Until)
	}
}

func TestSignRefuses(t *testing.T) {
	key := newKey(t)
	for name, alter := range map[string]func(*Terms){
		"without 7":           func(c *Terms) { c.Without = []int{7} },
		"without software":    func(c *Terms) { c.Without = []int{1, 13} },
		"without 10":          func(c *Terms) { c.Without = []int{10} },
		"without one twice":   func(c *Terms) { c.Without = []int{1, 1} },
		"no beginning":        func(c *Terms) { c.From = time.Time{} },
		"ends at once":        func(c *Terms) { c.Until = noon },
		"ends before":         func(c *Terms) { c.Until = noon.Add(-time.Second) },
		"over three years":    func(c *Terms) { c.Until = noon.AddDate(3, 0, 0).Add(time.Second) },
		"nobody":              func(c *Terms) { c.By = "" },
		"a path":              func(c *Terms) { c.By = "../1234" },
		"a name":              func(c *Terms) { c.By = "山田" },
		"an option":           func(c *Terms) { c.By = "-1234" },
		"33 characters":       func(c *Terms) { c.By = strings.Repeat("1", 33) },
		"reason of two lines": func(c *Terms) { c.Reason = "a\nb" },
		"reason runs left":    func(c *Terms) { c.Reason = "a\u202eb" },
		"reason is no UTF-8":  func(c *Terms) { c.Reason = "a\xff" },
		"reason is long":      func(c *Terms) { c.Reason = strings.Repeat("理", 67) },
	} {
		c := terms()
		alter(&c)
		if e, a, err := Sign(key, newState(), c); err == nil || e != nil || a != nil {
			t.Errorf("%s: approved: %+v", name, a)
		}
	}
	longest := terms()
	longest.Until, longest.Reason, longest.By = noon.AddDate(3, 0, 0), strings.Repeat("理", 65)+"　xy", strings.Repeat("1", 32)
	if _, _, err := Sign(key, newState(), longest); err != nil {
		t.Errorf("the longest: %v", err)
	}
}

// payloadOf takes a payload out of an envelope, as any DSSE tool would.
func payloadOf(t testing.TB, envelope []byte) []byte {
	t.Helper()
	var e struct {
		Payload []byte `json:"payload"`
	}
	must(t, json.Unmarshal(envelope, &e))
	return e.Payload
}

func TestOpenRefuses(t *testing.T) {
	key, other := newKey(t), newKey(t)
	envelope, a, err := Sign(key, newState(), terms())
	must(t, err)
	payload := payloadOf(t, envelope)
	resigned := func(by *seal.PrivateKey, kind string, payload []byte) []byte {
		e, err := by.Sign(kind, payload)
		must(t, err)
		return e
	}
	// altered is signed anew, by the right key: what only a defect of ours, or
	// one who has the key, could make.
	altered := func(old, new string) []byte {
		p := strings.Replace(string(payload), old, new, 1)
		if p == string(payload) {
			t.Fatalf("%q is not in the payload", old)
		}
		return resigned(key, payloadType, []byte(p))
	}
	spliced := bytes.Replace(envelope, []byte(base64.StdEncoding.EncodeToString(payload)),
		[]byte(base64.StdEncoding.EncodeToString(bytes.Replace(payload, []byte(`"k3"`), []byte(`"k4"`), 1))), 1)
	stranger, err := seal.Authorize(other, a.Authorization().PCRs)
	must(t, err)
	more, err := seal.Authorize(key, map[int][32]byte{7: a.Registers[7]})
	must(t, err)
	inner := func(sig []byte) []byte {
		return altered(base64.StdEncoding.EncodeToString(a.authorization), base64.StdEncoding.EncodeToString(sig))
	}
	for name, c := range map[string]struct {
		envelope []byte
		kiosk    string
		class    error
	}{
		"forged by another key":      {resigned(other, payloadType, payload), "k3", seal.ErrBadSeal},
		"another payload":            {spliced, "k4", seal.ErrBadSeal},
		"another type":               {resigned(key, "application/vnd.sekisho.receipt+json", payload), "k3", seal.ErrBadSeal},
		"claims our key":             {bytes.Replace(resigned(other, payloadType, payload), []byte(other.Public().KeyID()), []byte(key.Public().KeyID()), 1), "k3", seal.ErrBadSeal},
		"empty":                      {nil, "k3", seal.ErrMalformed},
		"cut":                        {envelope[:len(envelope)-1], "k3", seal.ErrMalformed},
		"another kiosk":              {envelope, "k4", ErrOtherKiosk},
		"authorized by another":      {inner(stranger.Signature), "k3", ErrAuthorization},
		"authorized for less":        {inner(more.Signature), "k3", ErrAuthorization},
		"no authorization":           {inner(nil), "k3", ErrAuthorization},
		"a state":                    {resigned(key, payloadType, marshalled(t, newState())), "k3", seal.ErrMalformed},
		"another format":             {altered("approval/1", "approval/2"), "k3", seal.ErrMalformed},
		"unknown key":                {altered(`{"format"`, `{"x":1,"format"`), "k3", seal.ErrMalformed},
		"space":                      {altered(`,"kiosk"`, `, "kiosk"`), "k3", seal.ErrMalformed},
		"kiosk's name":               {altered(`"k3"`, `"k/3"`), "k3", seal.ErrMalformed},
		"another software register":  {altered(`Register":13`, `Register":14`), "k3", seal.ErrMalformed},
		"software register 7":        {altered(`Register":13`, `Register":7`), "k3", seal.ErrMalformed},
		"another value of 13":        {altered(`"13":"`+a.Events.Replay().String(), `"13":"`+strings.Repeat("0", 64)), "k3", seal.ErrMalformed},
		"another value of 7":         {altered(fmt.Sprintf(`"7":"%x`, a.Registers[7]), `"7":"`+strings.Repeat("0", 64)), "k3", ErrAuthorization},
		"without 7":                  {altered(fmt.Sprintf(`"7":"%x",`, a.Registers[7]), ``), "k3", seal.ErrMalformed},
		"register 99":                {altered(`"14":`, `"99":`), "k3", seal.ErrMalformed},
		"another file":               {altered(`/usr/bin/kiosk`, `/usr/bin/other`), "k3", seal.ErrMalformed},
		"begins in another zone":     {altered(`"2026-11-22T12:00:00Z"`, `"2026-11-22T12:00:00+00:00"`), "k3", seal.ErrMalformed},
		"ends before it begins":      {altered(`"2027-11-22T12:00:00Z"`, `"2026-11-22T12:00:00Z"`), "k3", seal.ErrMalformed},
		"longer than three years":    {altered(`"2027-11-22T12:00:00Z"`, `"2029-11-22T12:00:01Z"`), "k3", seal.ErrMalformed},
		"no staff number":            {altered(`"by":"1234"`, `"by":""`), "k3", seal.ErrMalformed},
		"a control character":        {altered(`ticket 77`, `ticket\u0007`), "k3", seal.ErrMalformed},
		"an empty list is not a nil": {altered(eventsOf(t, payload), `"events":null`), "k3", seal.ErrMalformed},
	} {
		a, err := Open(c.envelope, key.Public(), c.kiosk)
		if !errors.Is(err, c.class) || a != nil {
			t.Errorf("%s: got %+v, %v, want %v", name, a, err, c.class)
		}
	}
}

func marshalled(t testing.TB, s State) []byte {
	t.Helper()
	data, err := s.Marshal()
	must(t, err)
	return data
}

// eventsOf is the events' part of a payload, as it stands there.
func eventsOf(t testing.TB, payload []byte) string {
	t.Helper()
	_, rest, ok := strings.Cut(string(payload), `"events":`)
	list, _, found := strings.Cut(rest, "]")
	if !ok || !found {
		t.Fatal("no events")
	}
	return `"events":` + list + "]"
}

// Every byte of an envelope counts.
func TestOpenRefusesEveryMutation(t *testing.T) {
	key := newKey(t)
	envelope, _, err := Sign(key, newState(), terms())
	must(t, err)
	for i := range envelope {
		for _, b := range []byte{envelope[i] ^ 1, ' '} {
			mutated := bytes.Clone(envelope)
			mutated[i] = b
			if a, err := Open(mutated, key.Public(), "k3"); b != envelope[i] && (err == nil || a != nil) {
				t.Fatalf("accepted with %q for %q at %d", b, envelope[i], i)
			}
		}
	}
}

func TestStanding(t *testing.T) {
	c := terms()
	c.Until = noon.Add(time.Hour)
	a := approve(t, newKey(t), newState(), c)
	for at, want := range map[time.Time]Standing{
		noon.Add(-1):                NotYet,
		noon:                        Holds,
		noon.Add(time.Hour - 1):     Holds,
		noon.Add(time.Hour):         Expired,
		noon.AddDate(1000, 0, 0):    Expired,
		noon.AddDate(-1000, 0, 0):   NotYet,
		noon.Add(time.Hour).Local(): Expired,
	} {
		if got := a.Standing(at); got != want {
			t.Errorf("at %v: %v, want %v", at, got, want)
		}
	}
	enrolled := AtEnrolment(newState())
	if enrolled.Standing(noon.AddDate(100, 0, 0)) != Holds || enrolled.ID() != "enrolment" || enrolled.Envelope() != nil {
		t.Errorf("at enrolment: %+v", enrolled)
	}
	if err := enrolled.Authorization().Verify(newKey(t).Public()); err == nil {
		t.Error("the state at enrolment authorizes")
	}
}

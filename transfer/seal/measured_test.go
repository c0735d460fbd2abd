package seal

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-tpm/tpm2"

	"sekisho/transfer/measure"
)

// someList is a list of n invented files.
func someList(n int) *measure.List {
	l := &measure.List{Register: DefaultRegister}
	for i := range n {
		name := fmt.Sprintf("/usr/lib/sekisho/%d", i)
		l.Events = append(l.Events, measure.Event{Name: name, SHA256: sha256.Sum256([]byte(name))})
	}
	return l
}

// sealed seals and returns what the gate sees of the measured state.
func sealed(t *testing.T, k *Key, kiosk *Kiosk) *Opened {
	t.Helper()
	s := newSeal(t, k, "x")
	_, by, err := Open(testType, s.Envelope, s.Evidence, []*Kiosk{kiosk})
	if err != nil {
		t.Fatal(err)
	}
	return by
}

func same(a, b *measure.List) bool {
	x, err1 := a.Marshal()
	y, err2 := b.Marshal()
	return err1 == nil && err2 == nil && bytes.Equal(x, y)
}

// As a kiosk does: one process measures, and later ones seal with that list.
func TestMeasureOncePerBoot(t *testing.T) {
	dir := newFolder(t)
	tpm := openIn(t, dir)
	k := newKey(t, tpm)
	kiosk := enrol(t, k, "k1")
	l := someList(3)
	if by := sealed(t, k, kiosk); len(by.Events.Events) != 0 || by.Events.Register != DefaultRegister {
		t.Errorf("before: %+v", by.Events)
	}
	if err := tpm.Measured(l); !errors.Is(err, ErrMeasured) {
		t.Errorf("nothing was measured: %v", err)
	}
	for range 2 {
		if err := tpm.Measure(l); err != nil {
			t.Fatal(err)
		}
		by := sealed(t, k, kiosk)
		if !same(by.Events, l) || by.PCRs[13] != [32]byte(l.Replay()) {
			t.Errorf("opened with %+v", by.Events)
		}
	}
	other := someList(3)
	other.Events[1].SHA256[0] ^= 1
	for name, wrong := range map[string]*measure.List{"changed": other, "shorter": someList(2), "none": someList(0)} {
		if err := tpm.Measure(wrong); !errors.Is(err, ErrMeasured) {
			t.Errorf("%s list: %v", name, err)
		}
		if by := sealed(t, k, kiosk); len(by.Events.Events) != 0 {
			t.Errorf("%s list: sealed with %+v", name, by.Events)
		}
	}
	if err := tpm.Measured(someList(4)); !errors.Is(err, ErrMeasured) {
		t.Errorf("measured only in part: %v", err)
	}
	if err := tpm.Measured(l); err != nil {
		t.Fatal(err)
	}
	if by := sealed(t, k, kiosk); !same(by.Events, l) {
		t.Errorf("opened with %+v", by.Events)
	}
	// Something else was loaded since: it seals, and says that it cannot explain.
	extend(t, tpm, 13)
	if by := sealed(t, k, kiosk); len(by.Events.Events) != 0 || by.PCRs[13] == [32]byte(l.Replay()) {
		t.Errorf("opened with %+v", by.Events)
	}
	if err := tpm.Close(); err != nil {
		t.Fatal(err)
	}
	if err := openIn(t, dir).Measure(l); err != nil {
		t.Errorf("after a restart: %v", err)
	}
}

// Without a list that fits, a seal still names the register that is configured.
func TestMeasuredUnexplained(t *testing.T) {
	tpm := openIn(t, newFolder(t))
	k := newKey(t, tpm)
	kiosk := enrol(t, k, "k1")
	extend(t, tpm, 12)
	l := someList(2)
	l.Register = 12
	if err := tpm.Measured(l); !errors.Is(err, ErrMeasured) {
		t.Errorf("another program measured: %v", err)
	}
	for range 2 {
		if by := sealed(t, k, kiosk); len(by.Events.Events) != 0 || by.Events.Register != 12 || by.PCRs[12] == ([32]byte{}) {
			t.Errorf("opened with %+v", by.Events)
		}
		if err := tpm.Measured(&measure.List{Register: 12}); err != nil {
			t.Error(err)
		}
	}
	if err := tpm.Measured(&measure.List{Register: 7}); err == nil {
		t.Error("register 7 is taken for the software's")
	}
}

// A power cut resets the register; a kill does not, and the next process goes on.
func TestMeasureAfterAnInterruption(t *testing.T) {
	for _, stop := range []int{0, 1, 2} {
		tpm := openIn(t, newFolder(t))
		k := newKey(t, tpm)
		kiosk := enrol(t, k, "k1")
		raw, extended := tpm.link.raw, 0
		tpm.link.raw = &injecting{raw, func(command []byte) []byte {
			if tpm2.TPMCC(commandCode(command)) == tpm2.TPMCCPCRExtend {
				if extended++; extended > stop {
					return refusal(tpm2.TPMRCFailure)
				}
			}
			return nil
		}}
		l := someList(3)
		if err := tpm.Measure(l); !errors.Is(err, tpm2.TPMRCFailure) {
			t.Fatalf("interrupted after %d: %v", stop, err)
		}
		tpm.link.raw = raw
		if by := sealed(t, k, kiosk); len(by.Events.Events) != 0 {
			t.Errorf("after %d: sealed with %+v", stop, by.Events)
		}
		if err := tpm.Measured(l); !errors.Is(err, ErrMeasured) {
			t.Errorf("after %d: %v", stop, err)
		}
		if err := tpm.Measure(l); err != nil {
			t.Errorf("after %d: %v", stop, err)
		}
		if by := sealed(t, k, kiosk); !same(by.Events, l) {
			t.Errorf("after %d: opened with %+v", stop, by.Events)
		}
	}
}

func TestMeasureRefuses(t *testing.T) {
	tpm := openIn(t, newFolder(t))
	for _, register := range []int{-1, 0, 7, 10, 15, 16, 23, 24} {
		l := someList(1)
		l.Register = register
		if err := tpm.Measure(l); err == nil {
			t.Errorf("extended register %d", register)
		}
	}
	if err := tpm.Measure(someList(measure.MaxEvents + 1)); err == nil {
		t.Error("measured too many")
	}
	present, err := tpm.Registers()
	if err != nil || len(present) != len(quotedPCRs) {
		t.Fatalf("%v, %v", present, err)
	}
	for register, value := range present {
		if value != ([32]byte{}) {
			t.Errorf("register %d was extended", register)
		}
	}
	for _, register := range []int{11, 12, 14} {
		l := someList(2)
		l.Register = register
		if err := tpm.Measure(l); err != nil {
			t.Error(err)
		}
	}
}

// The quote is made for the events, and their register must have the value that
// they give.
func TestOpenRefusesEvents(t *testing.T) {
	envelope, ev, kiosk := recordedSeal(t)
	change := func(f func(*measure.List)) []byte {
		t.Helper()
		l, err := measure.Parse(ev.Events)
		if err != nil || len(l.Events) < 2 {
			t.Fatalf("recorded %+v, %v", l, err)
		}
		f(l)
		data, err := l.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	by, _ := newPrivate(t)
	id, err := kiosk.identity()
	if err != nil {
		t.Fatal(err)
	}
	id.key = by.Public()
	digest := sha256.Sum256(pae(testType, []byte(firstPayload)))
	// requoted is as if the TPM had been asked to quote for these events.
	requoted := func(events []byte) Evidence {
		e := ev
		nonce := quoteNonce(digest, ev.Counter, events)
		e.Events, e.Quote = events, slices.Concat(ev.Quote[:44], nonce[:], ev.Quote[76:])
		e.CounterSig, e.QuoteSig = forge(t, by, e.Counter), forge(t, by, e.Quote)
		return e
	}
	if opened, err := id.check(digest, requoted(ev.Events)); err != nil || len(opened.Events.Events) != 3 {
		t.Fatalf("as it was: %+v, %v", opened, err)
	}
	for _, c := range []struct {
		name, reason string // no reason: holds if the kiosk itself said it
		events       []byte
	}{
		{"another digest", "register 13 does not have the value", change(func(l *measure.List) { l.Events[0].SHA256[31] ^= 1 })},
		{"another name", "register 13 does not have the value", change(func(l *measure.List) { l.Events[0].Name += "x" })},
		{"one fewer", "register 13 does not have the value", change(func(l *measure.List) { l.Events = l.Events[1:] })},
		{"another order", "register 13 does not have the value", change(func(l *measure.List) { l.Events[0], l.Events[1] = l.Events[1], l.Events[0] })},
		{"another register", "register 12 does not have the value", change(func(l *measure.List) { l.Register = 12 })},
		{"a firmware register", "want one of 11 to 14", change(func(l *measure.List) { l.Register = 7 })},
		{"empty, of a register nobody quotes", "want one of 11 to 14", change(func(l *measure.List) { l.Register, l.Events = 10, nil })},
		{"no list", "event list", []byte("[]\n")},
		{"not canonical", "event list", append(bytes.Clone(ev.Events), '\n')},
		{"empty", "", change(func(l *measure.List) { l.Events = nil })},
		{"empty, of another register", "", change(func(l *measure.List) { l.Register, l.Events = 11, nil })},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := ev
			got.Events = c.events
			refused(t, testType, envelope, got, []*Kiosk{kiosk}, ErrBadSeal, "quote: made for something else")
			opened, err := id.check(digest, requoted(c.events))
			if c.reason == "" {
				if err != nil || len(opened.Events.Events) != 0 {
					t.Errorf("got %+v, %v", opened, err)
				}
			} else if err == nil || opened != nil || !strings.Contains(err.Error(), c.reason) {
				t.Errorf("got %+v, %v, want %q", opened, err, c.reason)
			}
		})
	}
	for n, class := range map[int]string{0: "events.json has 0 bytes", measure.MaxList + 1: "events.json has 32769 bytes"} {
		got := ev
		got.Events = make([]byte, n)
		refused(t, testType, envelope, got, []*Kiosk{kiosk}, ErrMalformed, class)
	}
}

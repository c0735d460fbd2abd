package approval

import (
	"bytes"
	"reflect"
	"testing"

	"sekisho/transfer/canonical"
)

func FuzzState(f *testing.F) {
	for _, s := range []State{newState(), changed(newState(), 13)} {
		f.Add(marshalled(f, s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := ParseState(data)
		if err != nil {
			if !reflect.DeepEqual(s, State{}) {
				t.Error("an error and a result")
			}
			return
		}
		again, err := s.Marshal()
		unchanged(t, data, again, err)
		if !validStateID(s.ID()) {
			t.Errorf("ID %q", s.ID())
		}
	})
}

// FuzzApproval goes past the outer signature, which stops FuzzEnvelope: IT's key
// signs what the fuzzer makes. The inner one still stands.
func FuzzApproval(f *testing.F) {
	key := newKey(f)
	for _, s := range []State{newState(), changed(newState(), 13)} {
		envelope, _, err := Sign(key, s, terms())
		must(f, err)
		f.Add(payloadOf(f, envelope))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var file approvalFile
		if err := canonical.Parse(data, &file, maxState); err == nil && file.check() == nil {
			again, err := canonical.Marshal(file)
			unchanged(t, data, again, err)
		}
		envelope, err := key.Sign(payloadType, data)
		if err != nil { // nothing, or too much
			return
		}
		a, err := Open(envelope, key.Public(), "")
		if err != nil {
			if a != nil {
				t.Error("an error and a result")
			}
			return
		}
		if a.Registers.check(a.Software) != nil || !validID(a.ID()) {
			t.Errorf("accepted %+v", a)
		}
	})
}

func FuzzEnvelope(f *testing.F) {
	key := newKey(f)
	envelope, _, err := Sign(key, newState(), terms())
	must(f, err)
	f.Add(envelope)
	f.Fuzz(func(t *testing.T, data []byte) {
		if a, err := Open(data, key.Public(), "k3"); err == nil && !bytes.Equal(data, envelope) || err != nil && a != nil {
			t.Errorf("accepted %q as %+v, %v", data, a, err)
		}
	})
}

package enrol

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sekisho/transfer/manifest"
	"sekisho/transfer/seal"
)

// A challenge stands for two weeks, and for the keys that it was made for.
func TestPendingStands(t *testing.T) {
	p, err := ParsePending(recorded(t, "pending.json"))
	if err != nil {
		t.Fatal(err)
	}
	other := p.Keys
	other[0] ^= 1
	for name, v := range map[string]struct {
		keys manifest.Hash
		now  time.Time
		says string
	}{
		"at once":          {p.Keys, p.Time, ""},
		"on the last day":  {p.Keys, p.Until(), ""},
		"a second too old": {p.Keys, p.Until().Add(time.Second), "the challenge waited until"},
		"from tomorrow":    {p.Keys, p.Time.Add(-time.Second), "a clock was set"},
		"other keys":       {other, p.Time, "keys were replaced"},
	} {
		err := p.Stands(v.keys, v.now)
		if v.says == "" && err != nil || v.says != "" && (!errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), v.says)) {
			t.Errorf("%s: %v, want %q", name, err, v.says)
		}
	}
	if d := p.Until().Sub(p.Time); d != 14*24*time.Hour {
		t.Errorf("it stands for %s", d)
	}
	key, err := p.Key()
	if err != nil {
		t.Fatal(err)
	}
	again, err := (&seal.Kiosk{Key: p.Request.Key, CounterPublic: p.Request.CounterPublic}).PublicKey()
	if err != nil || key.KeyID() != again.KeyID() {
		t.Errorf("its key is %s, want %v (%v)", key.KeyID(), again, err)
	}
	p.Time = time.Time{}
	if data, err := p.Marshal(); err == nil || data != nil {
		t.Error("kept without its time")
	}
}

// A certificate that names a program is one of a program, whichever list its root
// is in and whatever the kiosk says.
func TestCertifiedProgram(t *testing.T) {
	m := newMachine(t, firstTPM, seal.Form{})
	bundle, err := SoftwareRoots(m.dir)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "makers.pem")
	if err := os.WriteFile(path, bundle, 0o600); err != nil {
		t.Fatal(err)
	}
	o, err := mustLoad(t, false, path).origin(Endorsement(m.ek), false, time.Now())
	if err != nil || o.Mode != seal.ModeCertified || !o.Software {
		t.Errorf("%+v, %v", o, err)
	}
}

package seal

import (
	"errors"
	"strings"
	"testing"

	"sekisho/transfer/measure"
)

// A record of the bound form, with the state at enrolment.
func TestKioskRecord(t *testing.T) {
	tpm := openIn(t, newFolder(t))
	l := someList(measure.MaxEvents)
	if err := tpm.Measure(l); err != nil {
		t.Fatal(err)
	}
	b := newBound(t, tpm)
	b.Authorized([]Authorization{b.authorize(t)})
	if err := b.Provision(); err != nil {
		t.Fatal(err)
	}
	kiosk := b.enrol(t)
	data, err := kiosk.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	kept, err := ParseKiosk(data)
	if err != nil {
		t.Fatal(err)
	}
	pcrs, events, err := kept.State()
	if err != nil || !same(events, l) || pcrs[13] != [32]byte(l.Replay()) || len(pcrs) != len(quotedPCRs) {
		t.Errorf("state %v, %v, %v", pcrs, events, err)
	}
	if p, err := kept.PublicKey(); err != nil || p.KeyID() != b.Public().KeyID() {
		t.Errorf("kept another key: %v", err)
	}
	s := newSeal(t, b.Key, "x")
	if _, by, err := Open(testType, s.Envelope, s.Evidence, []*Kiosk{kept}); err != nil || !same(by.Events, l) {
		t.Errorf("opened as %+v, %v", by, err)
	}
	revoked := *kept
	revoked.PCRs, revoked.Events = nil, nil
	if data, err = revoked.Marshal(); err != nil {
		t.Fatal(err)
	}
	if pcrs, events, err := revoked.State(); pcrs != nil || events != nil || err != nil {
		t.Errorf("a revoked state: %v, %v, %v", pcrs, events, err)
	}
	if _, err := ParseKiosk(data); err != nil {
		t.Error(err)
	}

	root := strings.Repeat("bc", 32)
	certificate := []byte{0x30, 0}
	for name, c := range map[string]struct {
		reason string // none: a sound record
		change func(*Kiosk)
	}{
		"certified":                      {"", func(k *Kiosk) { k.Mode, k.Root, k.EKCertificate = ModeCertified, root, certificate }},
		"fingerprint with a certificate": {"", func(k *Kiosk) { k.EKCertificate = certificate }},
		"certified by no root":           {"lacks", func(k *Kiosk) { k.Mode, k.EKCertificate = ModeCertified, certificate }},
		"certified by nothing":           {"lacks", func(k *Kiosk) { k.Mode, k.Root = ModeCertified, root }},
		"certified without EK":           {"lacks", func(k *Kiosk) { k.Mode, k.Root, k.EKCertificate, k.EK = ModeCertified, root, certificate, "" }},
		"fingerprint without EK":         {"lacks", func(k *Kiosk) { k.EK = "" }},
		"fingerprint with a root":        {"has one of a root", func(k *Kiosk) { k.Root = root }},
		"EK in capitals":                 {"lacks", func(k *Kiosk) { k.EK = strings.ToUpper(k.EK) }},
		"EK cut":                         {"lacks", func(k *Kiosk) { k.EK = k.EK[2:] }},
		"pinned":                         {"has what only others have", func(k *Kiosk) { k.Mode = ModePinned }},
		"another mode":                   {"mode is", func(k *Kiosk) { k.Mode = "trusted" }},
		"no mode":                        {"mode is", func(k *Kiosk) { k.Mode = "" }},
		"plain":                          {"key lacks the attribute userWithAuth", func(k *Kiosk) { k.Approvals = nil }},
		"broken approvals key":           {"approvals key", func(k *Kiosk) { k.Approvals = k.Approvals[1:] }},
		"state without events":           {"state at enrolment", func(k *Kiosk) { k.Events = nil }},
		"events without state":           {"state at enrolment", func(k *Kiosk) { k.PCRs = nil }},
		"other events": {"register 13 does not have the value", func(k *Kiosk) {
			k.Events, _ = someList(2).Marshal()
		}},
	} {
		t.Run(name, func(t *testing.T) {
			k := *kept
			c.change(&k)
			data, err := k.Marshal()
			if c.reason == "" {
				if err != nil {
					t.Fatal(err)
				}
				if _, err := ParseKiosk(data); err != nil {
					t.Fatal(err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.reason) {
				t.Errorf("wrote it: %v, want %q", err, c.reason)
			}
			if data, err = marshal(kioskFile{kioskFormat, k}); err != nil {
				t.Fatal(err)
			}
			if k, err := ParseKiosk(data); !errors.Is(err, ErrMalformed) || k != nil || !strings.Contains(err.Error(), c.reason) {
				t.Errorf("read it: %v, want %q", err, c.reason)
			}
		})
	}
}

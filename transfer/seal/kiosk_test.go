package seal

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"sekisho/transfer/canonical"
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
	kiosk := enrol(t, b.Key, "k1")
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

	// What was counted at enrolment is always written, even when it is zero.
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(data, &fields); err != nil || fields["resetCount"] == nil {
		t.Fatalf("no resets in %s (%v)", data, err)
	}
	cut := bytes.Replace(data, fmt.Appendf(nil, `"resetCount":%s,`, fields["resetCount"]), nil, 1)
	if k, err := ParseKiosk(cut); !errors.Is(err, ErrMalformed) || k != nil || len(cut) == len(data) {
		t.Errorf("a record without resets: %v", err)
	}

	fingerprint := func(k *Kiosk) { k.Mode, k.Root, k.Software = ModeFingerprint, "", false }
	for name, c := range map[string]struct {
		reason string // none: a sound record
		change func(*Kiosk)
	}{
		"fingerprint":                 {"", fingerprint},
		"fingerprint, no certificate": {"", func(k *Kiosk) { fingerprint(k); k.EKCertificate = nil }},
		"fingerprint without EK":      {"lacks", func(k *Kiosk) { fingerprint(k); k.EK = "" }},
		"fingerprint with a root":     {"has one of a root", func(k *Kiosk) { k.Mode = ModeFingerprint }},
		"certified by no root":        {"lacks", func(k *Kiosk) { k.Root = "" }},
		"certified by nothing":        {"lacks", func(k *Kiosk) { k.EKCertificate = nil }},
		"certified without EK":        {"lacks", func(k *Kiosk) { k.EK = "" }},
		"EK in capitals":              {"lacks", func(k *Kiosk) { k.EK = strings.ToUpper(k.EK) }},
		"EK cut":                      {"lacks", func(k *Kiosk) { k.EK = k.EK[2:] }},
		"root cut":                    {"lacks", func(k *Kiosk) { k.Root = k.Root[2:] }},
		"broken certificate":          {"not one DER element", func(k *Kiosk) { k.EKCertificate = k.EKCertificate[1:] }},
		"bytes after the certificate": {"not one DER element", func(k *Kiosk) { k.EKCertificate = append(bytes.Clone(k.EKCertificate), 0) }},
		"huge certificate":            {"8193 bytes", func(k *Kiosk) { k.EKCertificate = make([]byte, maxCertificate+1) }},
		"local time":                  {"not in UTC", func(k *Kiosk) { k.Enrolled = k.Enrolled.In(time.FixedZone("JST", 9*3600)) }},
		"nanoseconds":                 {"whole seconds", func(k *Kiosk) { k.Enrolled = k.Enrolled.Add(1) }},
		"no time":                     {"not in UTC", func(k *Kiosk) { k.Enrolled = time.Time{} }},
		"another mode":                {"mode is", func(k *Kiosk) { k.Mode = "trusted" }},
		"no mode":                     {"mode is", func(k *Kiosk) { k.Mode = "" }},
		"plain":                       {"key lacks the attribute userWithAuth", func(k *Kiosk) { k.Approvals = nil }},
		"broken approvals key":        {"approvals key", func(k *Kiosk) { k.Approvals = k.Approvals[1:] }},
		"state without events":        {"state at enrolment", func(k *Kiosk) { k.Events = nil }},
		"events without state":        {"state at enrolment", func(k *Kiosk) { k.PCRs = nil }},
		"other events": {"register 13 does not have the value", func(k *Kiosk) {
			k.Events, _ = someList(2).Marshal()
		}},
		"no name":         {"name has 0 bytes", func(k *Kiosk) { k.Name = "" }},
		"long name":       {"name has 33 bytes", func(k *Kiosk) { k.Name = strings.Repeat("k", maxName+1) }},
		"name in capital": {"lower-case", func(k *Kiosk) { k.Name = "K1" }},
		"name of a flag":  {"lower-case", func(k *Kiosk) { k.Name = "-k" }},
		"name of a path":  {"lower-case", func(k *Kiosk) { k.Name = "k/1" }},
		"two names":       {"lower-case", func(k *Kiosk) { k.Name = "k 1" }},
		"foreign name":    {"lower-case", func(k *Kiosk) { k.Name = "外来" }},
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
			if data, err = canonical.Marshal(kioskFile{kioskFormat, k}); err != nil {
				t.Fatal(err)
			}
			if k, err := ParseKiosk(data); !errors.Is(err, ErrMalformed) || k != nil || !strings.Contains(err.Error(), c.reason) {
				t.Errorf("read it: %v, want %q", err, c.reason)
			}
		})
	}
}

package approval

import (
	"context"
	"crypto/sha256"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sekisho/transfer/measure"
	"sekisho/transfer/seal"
)

const sealedType = "application/vnd.in-toto+json"

// A kiosk's life with approvals, on a real TPM bound to them: enrolled, updated
// to what was approved before, and changed to what was not.
func TestTPM(t *testing.T) {
	it, stranger := newKey(t), newKey(t)
	form := seal.Form{Approvals: it.Public()}
	dir := filepath.Join(t.TempDir(), "tpm")
	// start is a power cycle, after which the register holds the list.
	start := func(l *measure.List) (*seal.TPM, *seal.Key) {
		tpm, err := seal.OpenSoftware(context.Background(), dir)
		must(t, err)
		t.Cleanup(func() { tpm.Close() })
		must(t, tpm.Measure(l))
		key, err := tpm.CreateKey(form)
		must(t, err)
		return tpm, key
	}
	sealed := func(key *seal.Key, approvals ...*Approval) (*seal.Sealed, error) {
		var all []seal.Authorization
		for _, a := range approvals {
			all = append(all, a.Authorization())
		}
		key.Authorized(all)
		return key.Seal(sealedType, []byte("a statement"))
	}

	// At enrolment: the approval comes before the counter's first increment.
	first := newState().Events
	tpm, key := start(first)
	registers, err := tpm.Registers()
	must(t, err)
	claim := State{Kiosk: "k3", Software: 13, Registers: registers, Events: first, SoftwareTPM: true}
	a := approve(t, it, claim, terms())
	if err := key.Provision(); !errors.Is(err, seal.ErrUnapproved) {
		t.Errorf("provisioned unapproved: %v", err)
	}
	key.Authorized([]seal.Authorization{a.Authorization()})
	must(t, key.Provision())
	digest := sha256.Sum256([]byte("proof"))
	ev, err := key.Attest(digest)
	must(t, err)
	opened, err := key.Identity().Check(it.Public(), digest, ev)
	must(t, err)
	proved := StateOf(opened)
	proved.Kiosk = "k3"
	if v := Judge(proved, []*Approval{a}, noon); !v.Approved || v.Approval.ID() != a.ID() {
		t.Errorf("at enrolment: %+v", v)
	}
	kiosk := &seal.Kiosk{
		Name: "k3", Mode: seal.ModeFingerprint, Software: true, EK: strings.Repeat("0", 64),
		Key: key.Identity().Key, CounterPublic: key.Identity().CounterPublic, Counter: opened.Counter, ResetCount: opened.ResetCount,
		Approvals: it.Public().Marshal(), PCRs: ev.PCRs, Events: ev.Events, Enrolled: noon,
	}
	_, err = kiosk.Marshal()
	must(t, err)
	enrolled, ok := Enrolled(kiosk)
	if !ok || !enrolled.Time.Equal(noon) || !enrolled.SoftwareTPM || len(Judge(enrolled, []*Approval{a}, noon).Differences) != 0 {
		t.Errorf("enrolled %+v, %v", enrolled, ok)
	}
	if s, err := sealed(key, approve(t, stranger, claim, terms())); !errors.Is(err, seal.ErrUnapproved) || s != nil {
		t.Errorf("sealed by a stranger's approval: %v", err)
	}
	must(t, tpm.Close())

	// The update was approved before it was installed.
	next := list("/usr/bin/kiosk=1.1", "/etc/sekisho/kiosk.toml=a")
	b := approve(t, it, proved.With(next), terms())
	tpm, key = start(next)
	if s, err := sealed(key, a); !errors.Is(err, seal.ErrUnapproved) || s != nil {
		t.Errorf("sealed by the old approval: %v", err)
	}
	s, err := sealed(key, a, b)
	must(t, err)
	_, opened, err = seal.Open(sealedType, s.Envelope, s.Evidence, []*seal.Kiosk{kiosk})
	must(t, err)
	after := StateOf(opened)
	after.Time = noon.Add(time.Hour)
	if want := proved.With(next); !after.SoftwareTPM || after.Firmware != want.Firmware || after.Kiosk != "k3" {
		t.Errorf("got %+v, want %+v", after, want)
	}
	if v := Judge(after, []*Approval{AtEnrolment(enrolled), a, b}, noon); !v.Approved || v.Approval.ID() != b.ID() {
		t.Errorf("after the update: %+v", v)
	}
	v := Judge(after, []*Approval{a}, noon)
	want := "What changed: Sekisho itself.\nSekisho itself: /usr/bin/kiosk is different\n" +
		"Sekisho itself: /usr/lib/systemd/system/kiosk.service is missing"
	if v.Approved || !strings.HasPrefix(v.Text("en"), want) {
		t.Errorf("without its approval: %s", v.Text("en"))
	}
	data := marshalled(t, after)
	back, err := ParseState(data)
	if err != nil || back.ID() != after.ID() {
		t.Errorf("%v: %s", err, data)
	}
	must(t, tpm.Close())

	// Nobody approved this, and it was not measured.
	_, key = start(&measure.List{Register: 13})
	if s, err := sealed(key, a, b); !errors.Is(err, seal.ErrUnapproved) || s != nil {
		t.Errorf("sealed unmeasured: %v", err)
	}
}

func TestEnrolledRevoked(t *testing.T) {
	if s, ok := Enrolled(&seal.Kiosk{Name: "k3"}); ok || s.Kiosk != "" {
		t.Errorf("revoked: %+v", s)
	}
	if s, ok := Enrolled(&seal.Kiosk{Name: "k3", PCRs: []byte("no registers")}); ok || s.Kiosk != "" {
		t.Errorf("broken: %+v", s)
	}
	s := StateOf(&seal.Opened{PCRs: newState().Registers})
	s.Kiosk = "k3"
	if s.ID() == "" || s.Software != 13 || len(s.Events.Events) != 0 {
		t.Errorf("without a list: %+v", s)
	}
}

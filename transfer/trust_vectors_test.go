package transfer_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sekisho/transfer"
	"sekisho/transfer/approval"
	"sekisho/transfer/manifest"
	"sekisho/transfer/measure"
	"sekisho/transfer/seal"
)

// own gives the scene a kiosk of its own, to whose TPM the vector may do
// anything, and its gate.
func (s *scene) own() {
	s.Helper()
	s.k = newKiosk(s, "k1")
	s.g = newGate(s, s.k)
	s.f = newForgery(s, s.k, 1)
}

// advance moves the counter without a seal.
func (s *scene) advance() uint64 {
	s.Helper()
	n, err := s.k.sealer.Increment()
	must(s, err)
	return n
}

// enrolAgain forgets the kiosk and enrols it as it is now.
func (s *scene) enrolAgain() {
	s.Helper()
	s.g.kiosks = nil
	s.g.enrol(s, s.k)
}

// spliced makes the evidence of a seal from that of two.
func (s *scene) spliced(other func(text []byte) (*seal.Sealed, error), take func(ev *seal.Evidence, from seal.Evidence)) {
	s.f.sealer = func(text []byte) (*seal.Sealed, error) {
		sealed, err := s.next(text)
		must(s, err)
		second, err := other(text)
		must(s, err)
		take(&sealed.Evidence, second.Evidence)
		return sealed, nil
	}
}

func takeCounter(ev *seal.Evidence, from seal.Evidence) {
	ev.Counter, ev.CounterSig = from.Counter, from.CounterSig
}

func takeQuote(ev *seal.Evidence, from seal.Evidence) {
	ev.Quote, ev.QuoteSig, ev.PCRs = from.Quote, from.QuoteSig, from.PCRs
}

func takeAll(ev *seal.Evidence, from seal.Evidence) { *ev = from }

// stranger seals with another TPM.
func (s *scene) stranger(text []byte) (*seal.Sealed, error) {
	k := newKiosk(s, "k2")
	_, err := k.sealer.Increment()
	must(s, err)
	return k.sealer.Seal(manifest.StatementType, text)
}

// trustVectors are about who sealed, and in which order.
var trustVectors = []vector{
	{"evidence of another TPM", transfer.BadSeal, "signature is wrong", func(s *scene) { s.spliced(s.stranger, takeAll) }},
	{"counter of another TPM", transfer.BadSeal, "counter: signature is wrong", func(s *scene) { s.spliced(s.stranger, takeCounter) }},
	{"quote of another TPM", transfer.BadSeal, "quote: signature is wrong", func(s *scene) { s.spliced(s.stranger, takeQuote) }},
	{"counter of the next seal of the same statement", transfer.BadSeal, "quote: made for something else", func(s *scene) { s.spliced(s.next, takeCounter) }},
	{"quote of the next seal of the same statement", transfer.BadSeal, "quote: made for something else", func(s *scene) { s.spliced(s.next, takeQuote) }},
	{"all evidence of the next seal of the same statement", transfer.BadSeal, "the seal of", func(s *scene) { s.spliced(s.next, takeAll) }},
	{"sealed by another TPM", transfer.UnknownKiosk, "no enrolled kiosk", func(s *scene) { s.f.sealer = s.stranger }},
	{"software TPM that was not enrolled on purpose", transfer.SoftwareTPM, "is a program", func(s *scene) {
		s.gate = func(in *transfer.Inbound) { in.SoftwareRoots = map[string]bool{strings.Repeat("0", 64): true} }
	}},
	{"software TPM, and none is taken", transfer.SoftwareTPM, "is a program", func(s *scene) {
		s.gate = func(in *transfer.Inbound) { in.SoftwareRoots = nil }
	}},
	{"software TPM that was accepted before", transfer.SoftwareTPM, "is a program", func(s *scene) {
		s.put()
		s.g.accept(s, s.dir)
		s.gate = func(in *transfer.Inbound) { in.SoftwareRoots = nil }
	}},
	{"kiosk was retired", transfer.RetiredKiosk, `kiosk "k1", which was retired on 2026-03-01`, func(s *scene) {
		s.gate = func(in *transfer.Inbound) { in.Kiosks, in.Retired = nil, retired(in.Kiosks) }
	}},
	{"kiosk was retired and enrolled again", "", "", func(s *scene) {
		s.gate = func(in *transfer.Inbound) { in.Retired = retired(in.Kiosks) }
	}},
	{"forged in the name of a retired kiosk", transfer.UnknownKiosk, "no enrolled kiosk", func(s *scene) {
		s.f.sealer = s.stranger
		s.gate = func(in *transfer.Inbound) { in.Kiosks, in.Retired = nil, retired(in.Kiosks) }
	}},
	{"evidence of another transfer, and the kiosk was retired", transfer.UnknownKiosk, "no enrolled kiosk", func(s *scene) {
		s.spliced(func([]byte) (*seal.Sealed, error) { return s.next([]byte("{}")) }, takeAll)
		s.gate = func(in *transfer.Inbound) { in.Kiosks, in.Retired = nil, retired(in.Kiosks) }
	}},
	{"made for an earlier key set", "", "", func(s *scene) {
		s.f.statement = func() { s.f.st.GateKeys = manifest.Hash{7} }
		s.gate = func(in *transfer.Inbound) { in.EarlierKeys = []manifest.Hash{{6}, {7}} }
	}},
	{"made for a key set of some other time", transfer.WrongGate, "key set", func(s *scene) {
		s.f.statement = func() { s.f.st.GateKeys = manifest.Hash{8} }
		s.gate = func(in *transfer.Inbound) { in.EarlierKeys = []manifest.Hash{{6}, {7}} }
	}},

	{"gap that the next statement explains", "", "", func(s *scene) {
		s.accepted(newForgery(s, s.k, 2))
		gap := s.advance()
		s.f.statement = func() { s.f.st.Gaps = []uint64{gap} }
	}},
	{"gap that the next statement does not explain", transfer.BrokenChain, "does not explain all values", func(s *scene) {
		s.accepted(newForgery(s, s.k, 2))
		s.advance()
	}},
	{"gap of a drive that is late", "", "", func(s *scene) {
		s.accepted(newForgery(s, s.k, 2))
		newForgery(s, s.k, 3).put(s, s.TempDir())
	}},
	{"statement that names no other", transfer.BrokenChain, "names no statement before it", func(s *scene) {
		s.accepted(newForgery(s, s.k, 2))
		s.k.previous = nil
	}},
	{"statement that names one that nobody saw", transfer.BrokenChain, "and it names", func(s *scene) {
		s.accepted(newForgery(s, s.k, 2))
		s.k.previous = &manifest.Hash{9}
	}},
	{"statement that names one too early", transfer.BrokenChain, "names that at counter", func(s *scene) {
		s.accepted(newForgery(s, s.k, 2))
		first := s.k.previous
		s.accepted(newForgery(s, s.k, 3))
		newForgery(s, s.k, 4).put(s, s.TempDir())
		s.k.previous = first
	}},
	{"late drive that the next does not follow", transfer.BrokenChain, "which the vault has, does not follow it", func(s *scene) {
		s.accepted(newForgery(s, s.k, 2))
		s.put()
		s.k.previous = &manifest.Hash{9}
		s.accepted(newForgery(s, s.k, 3))
	}},
	{"two statements of one bag at one counter value", transfer.Equivocation, "another statement at counter", func(s *scene) {
		s.accepted(s.f)
		must(s, os.CopyFS(s.dir, os.DirFS(s.f.dir)))
		s.f.statement, s.f.sealer = func() { s.f.st.Counter, s.f.st.Staff = s.f.st.Counter-1, "s9" }, s.now
		s.f.seal(s, s.dir, s.at(""))
		s.written = true
	}},
	{"statement at the counter value of a copy", transfer.Equivocation, "another statement at counter", func(s *scene) {
		s.again()
		_, err := s.g.importDrive(s, s.dir) // the copy
		must(s, err)
		s.dir, s.f = s.TempDir(), newForgery(s, s.k, 2)
		s.f.statement, s.f.sealer = func() { s.f.st.Counter-- }, s.now
		s.put()
	}},
	{"new key, lower counter", "", "", func(s *scene) {
		s.own()
		for range 5 {
			s.advance()
		}
		s.accepted(newForgery(s, s.k, 2))
		other := newKiosk(s, "k2")
		other.name, other.keys = "k1", s.k.keys
		s.k, s.f.kiosk = other, other
		s.enrolAgain()
	}},
	{"the bag that was accepted, sealed with a new key", transfer.AlreadyAccepted, "", func(s *scene) {
		s.own()
		s.again()
		other := newKiosk(s, "k2")
		other.name, other.keys = "k1", s.k.keys
		s.k, s.f.kiosk = other, other
		s.enrolAgain()
		s.f.seal(s, s.dir, s.at(""))
	}},
}

func retired(kiosks []*seal.Kiosk) (all []transfer.Retired) {
	for _, k := range kiosks {
		all = append(all, transfer.Retired{Kiosk: k, Since: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)})
	}
	return all
}

// judging has states judged by the approvals, as the gate's program does.
func judging(all ...*approval.Approval) func(*seal.Opened) error {
	return func(by *seal.Opened) error {
		v := approval.Judge(approval.StateOf(by), all, time.Now())
		if v.Approved {
			return nil
		}
		return &transfer.Refusal{Reason: transfer.UnapprovedState, Where: by.Kiosk.Name, Err: errors.New(v.Text("en"))}
	}
}

// approve has IT approve the state that the drive's one seal proves.
func approve(t testing.TB, in transfer.Inbound, change func(*approval.State, *approval.Terms)) (envelope []byte, a *approval.Approval) {
	t.Helper()
	terms := approval.Terms{From: time.Now().Add(-time.Hour), By: "it-01"}
	in.VerifyOnly = true
	in.Judge = func(by *seal.Opened) error {
		state := approval.StateOf(by)
		if change != nil {
			change(&state, &terms)
		}
		var err error
		envelope, a, err = approval.Sign(keyFile(t, filepath.Join(in.LedgerDir, "../approvals.key")), state, terms)
		return err
	}
	_, err := transfer.Import(t.Context(), in)
	must(t, err)
	if a == nil {
		t.Fatal("there was no seal to approve the state of")
	}
	return envelope, a
}

// approved puts the bag and judges its state by an approval of just that, with
// something changed.
func approved(change func(*approval.State, *approval.Terms)) func(*scene) {
	return func(s *scene) {
		s.put()
		_, a := approve(s, s.g.inbound(s, s.dir), change)
		s.gate = func(in *transfer.Inbound) { in.Judge = judging(a) }
	}
}

// measured extends the software register of the kiosk's TPM, as it starts.
func (k *kiosk) measured(t testing.TB, binary string) {
	t.Helper()
	must(t, k.tpm.Measure(&measure.List{Register: measure.SoftwareRegister, Events: []measure.Event{
		{Name: "/usr/bin/kiosk", SHA256: sha256.Sum256([]byte(binary))},
		{Name: "/etc/sekisho/kiosk.toml", SHA256: measure.Digest{1}},
	}}))
}

// stateVectors are about what the kiosk's registers held.
var stateVectors = []vector{
	{"state that IT approved", "", "", approved(nil)},
	{"no state approved", transfer.UnapprovedState, "", func(s *scene) {
		s.gate = func(in *transfer.Inbound) { in.Judge = judging() }
	}},
	{"no state approved, accepted before", transfer.AlreadyAccepted, "", func(s *scene) {
		s.put()
		s.g.accept(s, s.dir)
		s.gate = func(in *transfer.Inbound) { in.Judge = judging() }
	}},
	{"no state approved, the bag accepted under another seal", transfer.UnapprovedState, "", func(s *scene) {
		s.again()
		s.gate = func(in *transfer.Inbound) { in.Judge = judging() }
	}},
	{"state of another kiosk approved", transfer.UnapprovedState, "", approved(func(s *approval.State, _ *approval.Terms) { s.Kiosk = "k2" })},
	{"approval that has ended", transfer.UnapprovedState, "", approved(func(_ *approval.State, t *approval.Terms) {
		t.Until = time.Now().Add(-time.Minute)
	})},
	{"another firmware approved", transfer.UnapprovedState, "firmware", approved(func(s *approval.State, _ *approval.Terms) { s.Registers[0] = [32]byte{1} })},
	{"another firmware approved, and not to count", "", "", approved(func(s *approval.State, t *approval.Terms) {
		s.Registers[0], t.Without = [32]byte{1}, []int{0}
	})},
	{"another Secure Boot approved", transfer.UnapprovedState, "Secure Boot", approved(func(s *approval.State, _ *approval.Terms) { s.Registers[7] = [32]byte{1} })},
	{"forged approval", transfer.UnapprovedState, "", func(s *scene) {
		s.put()
		envelope, _ := approve(s, s.g.inbound(s, s.dir), nil)
		var counts []*approval.Approval
		key := keyFile(s, filepath.Join(s.TempDir(), "another.key")).Public()
		if a, err := approval.Open(envelope, key, "k1"); err == nil {
			counts = append(counts, a)
		}
		s.gate = func(in *transfer.Inbound) { in.Judge = judging(counts...) }
	}},
	{"software as it was approved", "", "", func(s *scene) { s.updated("version 1", "version 1") }},
	{"software changed", transfer.UnapprovedState, "/usr/bin/kiosk", func(s *scene) { s.updated("version 1", "version 2") }},
	{"software changed, and its list taken away", transfer.BadSeal, "made for something else", func(s *scene) {
		s.updated("version 1", "version 2")
		s.listed(func([]byte) ([]byte, error) { return (&measure.List{Register: measure.SoftwareRegister}).Marshal() })
	}},
	{"nothing measured, the empty list of another register", transfer.BadSeal, "made for something else", func(s *scene) {
		s.listed(func([]byte) ([]byte, error) { return (&measure.List{Register: measure.SoftwareRegister + 1}).Marshal() })
	}},
	{"software changed, with the list that was approved", transfer.BadSeal, "made for something else", func(s *scene) {
		s.updated("version 1", "version 2")
		s.listed(func(list []byte) ([]byte, error) {
			edit(s, &list, sum("version 2"), sum("version 1"))
			return list, nil
		})
	}},
}

// listed changes the list of events after the seal.
func (s *scene) listed(change func(list []byte) ([]byte, error)) {
	s.f.sealer = func(text []byte) (*seal.Sealed, error) {
		sealed, err := s.next(text)
		must(s, err)
		sealed.Evidence.Events, err = change(bytes.Clone(sealed.Evidence.Events))
		return sealed, err
	}
}

func sum(text string) string { return measure.Digest(sha256.Sum256([]byte(text))).String() }

// updated has IT approve the state with one version of the kiosk's program, and
// seals with another.
func (s *scene) updated(from, to string) {
	s.Helper()
	s.own()
	s.k.measured(s, from)
	dir := s.TempDir()
	newForgery(s, s.k, 2).put(s, dir)
	_, a := approve(s, s.g.inbound(s, dir), nil)
	s.k.restart(s, nil)
	s.k.measured(s, to)
	s.gate = func(in *transfer.Inbound) { in.Judge = judging(a) }
}

// tpmVectors are about a TPM that is not what it was.
var tpmVectors = []vector{
	{"TPM put back, at a value that was used", transfer.Equivocation, "another statement at counter", func(s *scene) {
		s.own()
		back := s.k.keep(s)
		s.accepted(newForgery(s, s.k, 2))
		back()
	}},
	{"TPM put back, beyond what was used", transfer.RolledBack, "enrol the kiosk again", func(s *scene) {
		s.own()
		back := s.k.keep(s)
		s.k.restart(s, nil)
		s.accepted(newForgery(s, s.k, 2))
		back()
		s.advance()
	}},
	{"TPM put back, and enrolled again beyond what was used", "", "", func(s *scene) {
		s.own()
		back := s.k.keep(s)
		s.k.restart(s, nil)
		s.accepted(newForgery(s, s.k, 2))
		back()
		s.advance()
		s.enrolAgain()
	}},
	{"kiosk put back with its TPM, without a reset between", transfer.BrokenChain, "names no statement before it", func(s *scene) {
		s.own()
		back := s.k.keep(s)
		s.accepted(newForgery(s, s.k, 2))
		back()
		s.k.previous = nil
		s.advance()
	}},
	{"TPM put back, into an open gap", transfer.BrokenChain, "which the vault has, does not follow it", func(s *scene) {
		s.own()
		back := s.k.keep(s)
		s.lateDrive()
		back()
		s.advance()
	}},
	{"TPM put back and reset, into an open gap", transfer.RolledBack, "after it", func(s *scene) {
		s.own()
		back := s.k.keep(s)
		s.lateDrive()
		back()
		s.k.restart(s, nil)
		s.advance()
	}},
	{"TPM cleared", transfer.RolledBack, "enrol the kiosk again", func(s *scene) {
		s.own()
		for range 3 {
			s.k.restart(s, nil)
		}
		s.accepted(newForgery(s, s.k, 2))
		s.k.clear(s)
	}},
	{"TPM cleared, and the kiosk enrolled again", "", "", func(s *scene) {
		s.own()
		for range 3 {
			s.k.restart(s, nil)
		}
		s.accepted(newForgery(s, s.k, 2))
		s.k.clear(s)
		s.enrolAgain()
	}},
	{"TPM cleared since the enrolment, nothing accepted yet", transfer.RolledBack, "at the enrolment before", func(s *scene) {
		s.own()
		for range 3 {
			s.k.restart(s, nil)
		}
		s.enrolAgain()
		s.k.clear(s)
	}},
	{"TPM put back to before its enrolment", transfer.Replayed, "before the enrolment's", func(s *scene) {
		s.own()
		back := s.k.keep(s)
		s.advance()
		s.enrolAgain()
		back()
	}},
	{"power cut between counter and seal", "", "", func(s *scene) {
		s.own()
		s.accepted(newForgery(s, s.k, 2))
		gap := s.advance()
		s.k.cut(s)
		s.f.statement = func() { s.f.st.Gaps = []uint64{gap} }
	}},
	{"power cut between counter and seal, kept quiet", transfer.BrokenChain, "does not explain all values", func(s *scene) {
		s.own()
		s.accepted(newForgery(s, s.k, 2))
		s.advance()
		s.k.cut(s)
	}},
	{"a TPM that was only switched off", "", "", func(s *scene) {
		s.own()
		s.accepted(newForgery(s, s.k, 2))
		s.k.restart(s, nil)
	}},
}

// lateDrive has the gate accept two transfers of three: the one between is late.
func (s *scene) lateDrive() {
	s.Helper()
	s.accepted(newForgery(s, s.k, 2))
	first := s.k.previous
	newForgery(s, s.k, 3).put(s, filepath.Join(s.TempDir(), "late"))
	s.accepted(newForgery(s, s.k, 4))
	s.k.previous = first
}

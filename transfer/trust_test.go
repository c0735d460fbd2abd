package transfer_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sekisho/transfer"
	"sekisho/transfer/enrol"
	"sekisho/transfer/manifest"
	"sekisho/transfer/outbox"
	"sekisho/transfer/seal"
	"sekisho/transfer/vault"
)

// importOne imports the drive, which has one transfer.
func importOne(t testing.TB, in transfer.Inbound) transfer.Outcome {
	t.Helper()
	outcomes, err := transfer.Import(t.Context(), in)
	must(t, err)
	if len(outcomes) != 1 || outcomes[0].NoReceipt != nil {
		t.Fatalf("%+v", outcomes)
	}
	return outcomes[0]
}

// answered settles the receipts on the drive and says what became of the bag.
func answered(t testing.TB, k *kiosk, dir string, bag *outbox.Bag) *manifest.Receipt {
	t.Helper()
	answers := k.settle(t, dir)
	if len(answers) != 1 || answers[0].Bag == nil || answers[0].Bag.ID() != bag.ID() {
		t.Fatalf("answers %+v", answers)
	}
	r := answers[0].Receipt
	if accepted := r.Result == manifest.Accepted; answers[0].Bag.Settled != accepted || answers[0].Bag.OnDisk() == accepted {
		t.Errorf("the receipt says %s %s, the bag is settled: %v, on disk: %v", r.Result, r.Reason, answers[0].Bag.Settled, answers[0].Bag.OnDisk())
	}
	return r
}

// What is held gets a receipt that says so; the kiosk keeps the bag. Once IT has
// approved the state the same drive goes on, as it is.
func TestHeldUntilApproved(t *testing.T) {
	k := newKiosk(t, "k1")
	g := newGate(t, k)
	dir := t.TempDir()
	bag := k.send(t, night(t, "first"), dir)
	in := g.inbound(t, dir)
	in.Judge = judging()
	before := snapshot(t, g.path("vault"))
	for range 2 { // it may be tried again meanwhile
		o := importOne(t, in)
		refusedAs(t, o.Refusal, transfer.UnapprovedState)
		if r := answered(t, k, dir, bag); r.Reason != string(transfer.UnapprovedState) || !transfer.Reason(r.Reason).Held() {
			t.Errorf("receipt %+v", r)
		}
	}
	same(t, "the vault", before, snapshot(t, g.path("vault")))
	_, a := approve(t, in, nil)
	in.Judge = judging(a)
	if o := importOne(t, in); o.Refusal != nil || o.Reason != "" || o.Generation != bag.ID() {
		t.Errorf("approved: %+v", o)
	}
	if r := answered(t, k, dir, bag); r.Result != manifest.Accepted {
		t.Errorf("receipt %+v", r)
	}
	var got []string
	for _, r := range g.records(t) {
		got = append(got, string(r.Event)+" "+r.Reason)
	}
	if want := []string{"refuse UnapprovedState", "refuse UnapprovedState", "import "}; !slices.Equal(got, want) {
		t.Errorf("records %q, want %q", got, want)
	}
}

// No state is looked at of a seal that does not hold, and nothing but the seal is
// read of a drive in a state that is not approved.
func TestJudgedAfterTheSealAndBeforeTheRest(t *testing.T) {
	k := newKiosk(t, "k1")
	g := newGate(t, k)
	dir := t.TempDir()
	f := newForgery(t, k, 1)
	f.put(t, dir)
	folder := filepath.Join(dir, manifest.Transfers, f.st.Transfer)
	for _, name := range []string{"data", manifest.Manifest, manifest.TagManifest, manifest.Index} {
		must(t, os.RemoveAll(filepath.Join(folder, name)))
	}
	judged := 0
	in := g.inbound(t, dir)
	in.Judge = func(by *seal.Opened) error { judged++; return judging()(by) }
	refusedAs(t, importOne(t, in).Refusal, transfer.UnapprovedState)
	corrupt(t, filepath.Join(folder, manifest.SealDir, "quote.pcrs"))
	refusedAs(t, importOne(t, in).Refusal, transfer.BadSeal)
	if judged != 1 {
		t.Errorf("%d states were judged", judged)
	}
}

// A cleared TPM is held. IT enrols the kiosk again; the bag is still there, and is
// sealed once more.
func TestHeldUntilEnrolledAgain(t *testing.T) {
	k := newKiosk(t, "k1")
	for range 3 {
		k.restart(t, nil)
	}
	g := newGate(t, k)
	first, dir := t.TempDir(), t.TempDir()
	k.send(t, night(t, "first"), first)
	g.accept(t, first)
	k.clear(t)
	bag := k.send(t, night(t, "second"), dir)
	o := importOne(t, g.inbound(t, dir))
	refusedAs(t, o.Refusal, transfer.RolledBack)
	if r := answered(t, k, dir, bag); r.Reason != string(transfer.RolledBack) {
		t.Errorf("receipt %+v", r)
	}
	g.kiosks = nil
	g.enrol(t, k)
	refusedAs(t, importOne(t, g.inbound(t, dir)).Refusal, transfer.Replayed) // from before the enrolment
	k.write(t, dir, bag)
	if o := g.accept(t, dir)[0]; o.Generation != bag.ID() || len(o.Gaps) > 0 {
		t.Errorf("%+v", o)
	}
	if r := answered(t, k, dir, bag); r.Result != manifest.Accepted {
		t.Errorf("receipt %+v", r)
	}
	// The first drive, long after: the vault has it.
	if o := importOne(t, g.inbound(t, first)); o.Reason != transfer.AlreadyAccepted {
		t.Errorf("%+v", o)
	}
}

// The gate takes nothing more from a retired kiosk and keeps what it has: the
// same key may even be another kiosk's by then.
func TestRetiredKiosk(t *testing.T) {
	k := newKiosk(t, "k1")
	g := newGate(t, k)
	dir, later := t.TempDir(), t.TempDir()
	src := night(t, "first")
	bag := k.send(t, src, dir)
	g.accept(t, dir)
	k.send(t, night(t, "second"), later)

	old := retired(g.kiosks)
	g.kiosks = nil
	in := g.inbound(t, later)
	in.Retired = old
	o := importOne(t, in)
	refusedAs(t, o.Refusal, transfer.RetiredKiosk)
	if o.Statement != nil || !strings.Contains(o.Refusal.Error(), "2026-03-01T12:00:00Z") {
		t.Errorf("%+v", o)
	}

	renamed := newKiosk(t, "k1")
	renamed.name = "k7"
	g.enrol(t, renamed)
	stranger := newKiosk(t, "k2")
	sg := newGate(t, stranger)
	for name, c := range map[string]struct {
		kiosks  []*seal.Kiosk
		retired []transfer.Retired
		want    transfer.Reason
	}{
		"retired":                           {nil, old, ""},
		"retired twice":                     {nil, append(retired(sg.kiosks), append(old, old...)...), ""},
		"retired, its key is another's now": {g.kiosks, old, ""},
		"forgotten":                         {sg.kiosks, nil, transfer.UnknownKiosk},
		"another one retired":               {nil, retired(sg.kiosks), transfer.UnknownKiosk},
		"only under another name":           {g.kiosks, nil, transfer.BadSeal},
		"only retired under another name":   {nil, retired(g.kiosks), transfer.BadSeal},
	} {
		t.Run(name, func(t *testing.T) {
			r := g.restoration()
			r.Kiosks, r.Retired = c.kiosks, c.retired
			into := filepath.Join(t.TempDir(), "restored")
			_, err := transfer.Restore(t.Context(), r, bag.ID(), into)
			if c.want != "" {
				refusedAs(t, refusalOf(nil, err), c.want)
				return
			}
			must(t, err)
			sameTree(t, tree(t, into), tree(t, src))
		})
	}
}

// What was sealed for keys that the gate had before is still taken, and said.
func TestEarlierKeysAreNoted(t *testing.T) {
	k := newKiosk(t, "k1")
	g := newGate(t, k)
	dir := t.TempDir()
	k.send(t, night(t, "first"), dir)
	earlier, err := g.keys.Digest()
	must(t, err)
	renewed := *g.keys
	renewed.Ledger = string(keyFile(t, g.path("another.key")).Public().Marshal())
	in := g.inbound(t, dir)
	in.Keys = &renewed
	refusedAs(t, importOne(t, in).Refusal, transfer.WrongGate)
	in.EarlierKeys = []manifest.Hash{earlier}
	if o := importOne(t, in); o.Refusal != nil || len(o.Notes) != 1 || !strings.Contains(o.Notes[0], "earlier key set of this gate, "+enrol.KeysFingerprint(earlier)) {
		t.Errorf("%+v", o)
	}
	in = g.inbound(t, dir)
	in.EarlierKeys = []manifest.Hash{earlier} // the present one among them is nothing to speak of
	if o := importOne(t, in); o.Refusal != nil || len(o.Notes) > 0 {
		t.Errorf("%+v", o)
	}
}

// The TPM's clock is advisory: it may go back, which is noted.
func TestClockThatWentBackIsNoted(t *testing.T) {
	k := newKiosk(t, "k1")
	g := newGate(t, k)
	back := k.keep(t)
	time.Sleep(500 * time.Millisecond)
	for i := range 2 {
		dir := t.TempDir()
		newForgery(t, k, int64(1+i)).put(t, dir)
		o := g.accept(t, dir)[0]
		if noted := len(o.Notes) == 1 && strings.Contains(o.Notes[0], "clock of its TPM went back"); noted != (i == 1) {
			t.Errorf("transfer %d: notes %q", i, o.Notes)
		}
		back()
		_, err := k.sealer.Increment() // to where it was
		must(t, err)
	}
}

// The record says what the seal proved.
func TestGenerationHoldsWhatTheSealProved(t *testing.T) {
	k := newKiosk(t, "k1")
	g := newGate(t, k)
	dir := t.TempDir()
	bag := k.send(t, night(t, "first"), dir)
	in := g.inbound(t, dir)
	var by *seal.Opened
	in.Judge = func(o *seal.Opened) error { by = o; return nil }
	importOne(t, in)
	gen, err := g.vault.Generation(bag.ID())
	must(t, err)
	if gen.Key != k.sealer.Public().KeyID() || gen.Resets != by.ResetCount || gen.Restarts != by.RestartCount || gen.Clock != by.Clock ||
		gen.Safe != by.Safe || gen.Firmware != by.Firmware || gen.Resets == 0 || gen.Clock == 0 || len(gen.State) != 64 {
		t.Errorf("the generation has %+v, the seal proved %+v", gen, by)
	}
}

// A bag on two drives, because the first was thought lost: whichever comes first,
// no counter value is missed, the next night follows, and what remembers it is
// the vault alone.
func TestCopyFillsItsGap(t *testing.T) {
	for _, firstDrive := range []int{0, 1} {
		k := newKiosk(t, "k1")
		g := newGate(t, k)
		dirs := []string{t.TempDir(), t.TempDir(), t.TempDir()}
		bag := k.prepare(t, night(t, "lost"))
		k.write(t, dirs[0], bag)
		k.write(t, dirs[1], bag)
		first := g.accept(t, dirs[firstDrive])[0]
		if want := firstDrive; len(first.Gaps) != want {
			t.Errorf("drive %d came first: open are %v", firstDrive, first.Gaps)
		}
		v, err := vault.Open(g.vault.Dir())
		must(t, err)
		g.vault = v
		verify := g.inbound(t, dirs[1-firstDrive])
		verify.VerifyOnly = true
		before := snapshot(t, g.path("vault"))
		importOne(t, verify)
		same(t, "the vault after verifying", before, snapshot(t, g.path("vault")))
		for range 2 {
			if o := importOne(t, g.inbound(t, dirs[1-firstDrive])); o.Reason != transfer.AlreadyAccepted || o.Generation != first.Generation {
				t.Errorf("the other drive: %+v", o)
			}
		}
		copies, err := v.Copies(first.Generation)
		must(t, err)
		if want := bag.Written[1-firstDrive].Counter; len(copies) != 1 || copies[0].Counter != want {
			t.Errorf("copies %+v, want one at %d", copies, want)
		}
		k.send(t, night(t, "next"), dirs[2])
		if o := g.accept(t, dirs[2])[0]; len(o.Gaps) > 0 {
			t.Errorf("open after the copy: %v", o.Gaps)
		}
	}
}

// When the copy comes last, or never, the next night follows it all the same.
func TestCopyThatIsLate(t *testing.T) {
	k := newKiosk(t, "k1")
	g := newGate(t, k)
	dirs := []string{t.TempDir(), t.TempDir(), t.TempDir()}
	bag := k.prepare(t, night(t, "lost"))
	k.write(t, dirs[0], bag)
	k.write(t, dirs[1], bag)
	k.send(t, night(t, "next"), dirs[2])
	g.accept(t, dirs[0])
	if o := g.accept(t, dirs[2])[0]; !slices.Equal(o.Gaps, []uint64{bag.Written[1].Counter}) {
		t.Errorf("open are %v, want %d", o.Gaps, bag.Written[1].Counter)
	}
	if o := importOne(t, g.inbound(t, dirs[1])); o.Reason != transfer.AlreadyAccepted {
		t.Errorf("%+v", o)
	}
}

// The TPM loses its power between its counter and the seal: the drive is without
// one, the next statement explains the value, and the bag goes out again.
func TestPowerCutBetweenCounterAndSeal(t *testing.T) {
	k := newKiosk(t, "k1")
	g := newGate(t, k)
	dirs := []string{t.TempDir(), t.TempDir(), t.TempDir()}
	k.send(t, export(t, map[string]string{"0": "before"}), dirs[0])
	g.accept(t, dirs[0])
	bag := k.prepare(t, night(t, "cut"))
	w := k.writing(t, dirs[1])
	w.Signer = &failing{Signer: k.sealer, on: func() { k.kill(t) }}
	var r *transfer.Refusal
	if err := transfer.Write(t.Context(), w, bag); !errors.As(err, &r) || !r.Reason.Trouble() {
		t.Errorf("sealed without a TPM: %v", err)
	}
	nothingSealed(t, g, dirs[1])
	_ = k.tpm.Close() // it says that its TPM is gone
	k.start(t)
	k.write(t, dirs[2], bag)
	o := g.accept(t, dirs[2])[0]
	if len(o.Gaps) > 0 || len(o.Statement.Gaps) != 1 || o.Statement.Gaps[0]+1 != o.Statement.Counter {
		t.Errorf("open are %v, explained %v before %d", o.Gaps, o.Statement.Gaps, o.Statement.Counter)
	}
}

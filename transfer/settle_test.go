package transfer_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sekisho/transfer"
	"sekisho/transfer/ledger"
	"sekisho/transfer/manifest"
	"sekisho/transfer/outbox"
	"sekisho/transfer/seal"
)

// settling reads the receipts on the drive, which it also erases.
func (k *kiosk) settling(t testing.TB, drive string) transfer.Settling {
	t.Helper()
	key, err := seal.ParsePublicKey([]byte(k.keys.Receipts))
	must(t, err)
	return transfer.Settling{Outbox: k.outbox, Drive: openDrive(t, drive), Gate: k.keys.Gate, Key: key, Ledger: k.ledger, Erase: true}
}

// recorded counts the kiosk's records of an event.
func (k *kiosk) recorded(t testing.TB, event ledger.Event) (n int) {
	t.Helper()
	must(t, ledger.List(k.path("ledger"), 0, func(r ledger.Record) error {
		if r.Event == event {
			n++
		}
		return nil
	}))
	return n
}

func receiptOn(drive, id string) string {
	return filepath.Join(drive, manifest.Receipts, id+".dsse.json")
}

func reopened(t testing.TB, k *kiosk, bag *outbox.Bag) *outbox.Bag {
	t.Helper()
	again, err := k.outbox.Bag(bag.ID())
	must(t, err)
	return again
}

func TestAcceptedSettlesAndErases(t *testing.T) {
	k := newKiosk(t, "k1")
	g := newGate(t, k)
	drive := t.TempDir()
	bag, waiting := k.send(t, night(t, "accepted"), drive), k.prepare(t, night(t, "waits"))
	g.accept(t, drive)
	envelope, err := os.ReadFile(receiptOn(drive, bag.ID()))
	must(t, err)

	answers := k.settle(t, drive) // without erasing
	if len(answers) != 1 || answers[0].Receipt.Result != manifest.Accepted || answers[0].Bag.ID() != bag.ID() {
		t.Fatalf("answers %+v", answers)
	}
	if _, err := os.Lstat(onDrive(drive, bag.ID())); err != nil {
		t.Errorf("erased all the same: %v", err)
	}
	if again := reopened(t, k, bag); !again.Settled || again.Due() {
		t.Errorf("the bag is %+v", again)
	}
	if _, err := os.Lstat(bag.Dir()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the disk is not freed: %v", err)
	}
	if kept, err := os.ReadFile(filepath.Join(filepath.Dir(bag.Dir()), "receipt.dsse.json")); err != nil || string(kept) != string(envelope) {
		t.Errorf("the receipt is not kept: %v", err)
	}

	for range 2 { // and with it, twice
		_, unknown, err := transfer.Settle(k.settling(t, drive))
		if err != nil || len(unknown) > 0 {
			t.Errorf("settling again: %v, %q", err, unknown)
		}
	}
	for _, path := range []string{onDrive(drive, bag.ID()), receiptOn(drive, bag.ID())} {
		if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is still there: %v", path, err)
		}
	}
	if n := k.recorded(t, ledger.Settle); n != 1 {
		t.Errorf("%d records of one receipt", n)
	}
	if !reopened(t, k, waiting).Due() {
		t.Error("another bag was settled too")
	}
}

// A crash between keeping the receipt and freeing the disk.
func TestSettleFinishesWhatWasBegun(t *testing.T) {
	k := newKiosk(t, "k1")
	g := newGate(t, k)
	drive := t.TempDir()
	bag := k.send(t, night(t, "interrupted"), drive)
	g.accept(t, drive)
	envelope, err := os.ReadFile(receiptOn(drive, bag.ID()))
	must(t, err)
	must(t, os.WriteFile(filepath.Join(filepath.Dir(bag.Dir()), "receipt.dsse.json"), envelope, 0o600))
	if answers := k.settle(t, drive); len(answers) != 1 || !answers[0].Bag.Settled {
		t.Errorf("answers %+v", answers)
	}
	if _, err := os.Lstat(bag.Dir()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the disk is not freed: %v", err)
	}
}

// A refusal changes nothing: the bag stays, and so does the gate's word.
func TestRefusedKeepsTheBag(t *testing.T) {
	k := newKiosk(t, "k1")
	g := newGate(t, k)
	drive := t.TempDir()
	bag := k.send(t, night(t, "refused"), drive)
	corrupt(t, onDrive(drive, bag.ID(), manifest.PartName(2)))
	refusedAs(t, refusalOf(g.importDrive(t, drive)), transfer.Altered)
	answers, unknown, err := transfer.Settle(k.settling(t, drive))
	must(t, err)
	if len(answers) != 1 || len(unknown) > 0 || answers[0].Receipt.Result != manifest.Refused || transfer.Reason(answers[0].Receipt.Reason) != transfer.Altered {
		t.Fatalf("answers %+v, %q", answers, unknown)
	}
	if again := reopened(t, k, bag); again.Settled {
		t.Error("a refusal settled the bag")
	}
	for _, path := range []string{bag.Dir(), onDrive(drive, bag.ID()), receiptOn(drive, bag.ID())} {
		if _, err := os.Lstat(path); err != nil {
			t.Error(err)
		}
	}
	k.write(t, drive, bag)
	g.accept(t, drive)
	if answers := k.settle(t, drive); len(answers) != 1 || answers[0].Receipt.Result != manifest.Accepted {
		t.Errorf("written again: %+v", answers)
	}
}

// Only the word of the gate that the kiosk trusts counts.
func TestReceiptsOfOthers(t *testing.T) {
	k := newKiosk(t, "k1")
	g := newGate(t, k)
	drive := t.TempDir()
	bag, second := k.send(t, night(t, "one"), drive), k.send(t, night(t, "two"), drive)
	st := bag.Statement
	receipt := manifest.Receipt{Gate: g.name, Transfer: bag.ID(), Kiosk: k.name, Counter: bag.Written[0].Counter, Payload: st.Payload,
		Result: manifest.Accepted, Generation: bag.ID(), Time: time.Now().UTC().Truncate(time.Second), Ledger: string(g.ledger.Checkpoint())}
	signed := func(key *seal.PrivateKey, change func(*manifest.Receipt)) string {
		r := receipt
		change(&r)
		text, err := r.Marshal()
		must(t, err)
		envelope, err := key.Sign(manifest.ReceiptType, text)
		must(t, err)
		return string(envelope)
	}
	same := func(*manifest.Receipt) {}
	stranger := keyFile(t, filepath.Join(t.TempDir(), "stranger.key"))
	text, err := receipt.Marshal()
	must(t, err)
	otherType, err := g.receipts.Sign(manifest.StatementType, text)
	must(t, err)
	good := signed(g.receipts, same)
	must(t, os.MkdirAll(filepath.Join(drive, manifest.Receipts), 0o755))

	for name, envelope := range map[string]string{
		"of another key":           signed(stranger, same),
		"of another gate":          signed(g.receipts, func(r *manifest.Receipt) { r.Gate = "gate2" }),
		"of another transfer":      signed(g.receipts, func(r *manifest.Receipt) { r.Transfer = second.ID() }),
		"of the key for something": string(otherType),
		"altered":                  strings.Replace(good, `"payload":"ey`, `"payload":"eY`, 1),
		"cut":                      good[:len(good)-20],
		"empty":                    "",
		"large":                    good + strings.Repeat(" ", 200<<10),
		"unsigned":                 string(text),
	} {
		t.Run(name, func(t *testing.T) {
			if envelope == good {
				t.Fatal("this is the good one")
			}
			must(t, os.WriteFile(receiptOn(drive, bag.ID()), []byte(envelope), 0o644))
			answers, unknown, err := transfer.Settle(k.settling(t, drive))
			if err != nil || len(answers) > 0 || !slices.Equal(unknown, []string{bag.ID() + ".dsse.json"}) {
				t.Errorf("answers %+v, unknown %q, %v", answers, unknown, err)
			}
			if reopened(t, k, bag).Settled || k.recorded(t, ledger.Settle) > 0 {
				t.Error("the bag was settled")
			}
			if left, err := os.ReadFile(receiptOn(drive, bag.ID())); err != nil || string(left) != envelope {
				t.Errorf("it was not left alone: %v", err)
			}
		})
	}
	must(t, os.Remove(receiptOn(drive, bag.ID())))

	// Names that are none, beside a receipt that counts.
	must(t, os.WriteFile(receiptOn(drive, second.ID()), []byte(signed(g.receipts, func(r *manifest.Receipt) {
		r.Transfer, r.Payload, r.Generation, r.Counter = second.ID(), second.Statement.Payload, second.ID(), second.Written[0].Counter
	})), 0o644))
	odd := []string{"readme.txt", "x.dsse.json", strings.Replace(bag.ID(), "-k1-", "-k1/../k1-", 1) + "x"}
	odd[2] = strings.ReplaceAll(odd[2], "/", "_")
	for _, name := range odd {
		must(t, os.WriteFile(filepath.Join(drive, manifest.Receipts, name), []byte(good), 0o644))
	}
	must(t, os.Symlink(second.ID()+".dsse.json", receiptOn(drive, bag.ID())))
	must(t, os.Mkdir(receiptOn(drive, "20261122T1212Z-k1-000099"), 0o755))
	odd = append(odd, bag.ID()+".dsse.json", "20261122T1212Z-k1-000099.dsse.json")
	answers, unknown, err := transfer.Settle(k.settling(t, drive))
	slices.Sort(odd)
	slices.Sort(unknown)
	if err != nil || len(answers) != 1 || answers[0].Bag == nil || answers[0].Bag.ID() != second.ID() || !slices.Equal(unknown, odd) {
		t.Errorf("answers %+v, unknown %q, %v", answers, unknown, err)
	}
	if reopened(t, k, bag).Settled || !reopened(t, k, second).Settled {
		t.Error("the wrong bag was settled")
	}
}

// A drive that serves two kiosks: each takes its own receipts and erases
// nothing of the other's.
func TestReceiptForAnotherKiosk(t *testing.T) {
	k, other := newKiosk(t, "k1"), newKiosk(t, "k2")
	g := newGate(t, k, other)
	drive := t.TempDir()
	bag, others := k.send(t, night(t, "k1"), drive), other.send(t, night(t, "k2"), drive)
	g.accept(t, drive)
	answers, unknown, err := transfer.Settle(k.settling(t, drive))
	must(t, err)
	if len(answers) != 2 || len(unknown) > 0 {
		t.Fatalf("answers %+v, %q", answers, unknown)
	}
	for _, a := range answers {
		if mine := a.Receipt.Transfer == bag.ID(); mine != (a.Bag != nil) {
			t.Errorf("%s has the bag %v", a.Receipt.Transfer, a.Bag)
		}
	}
	if _, err := os.Lstat(onDrive(drive, bag.ID())); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("its own transfer is not erased: %v", err)
	}
	for _, path := range []string{onDrive(drive, others.ID()), receiptOn(drive, others.ID())} {
		if _, err := os.Lstat(path); err != nil {
			t.Error(err)
		}
	}
	if answers := other.settle(t, drive); len(answers) != 1 || !answers[0].Bag.Settled {
		t.Errorf("the other kiosk: %+v", answers)
	}
}

func TestSettleNothing(t *testing.T) {
	k := newKiosk(t, "k1")
	newGate(t, k)
	if answers, unknown, err := transfer.Settle(k.settling(t, t.TempDir())); err != nil || answers != nil || unknown != nil {
		t.Errorf("an empty drive: %v, %v, %v", answers, unknown, err)
	}
	drive := t.TempDir()
	must(t, os.Mkdir(filepath.Join(drive, manifest.Root), 0o755))
	must(t, os.Symlink(t.TempDir(), filepath.Join(drive, manifest.Receipts)))
	_, _, err := transfer.Settle(k.settling(t, drive))
	var r *transfer.Refusal
	if !errors.As(err, &r) {
		t.Errorf("a link for the receipts: %v", err)
	}
}

// The second night: the first one's receipt settles and erases, then the new
// bag goes; and what did not change is neither read nor written again.
func TestSecondNight(t *testing.T) {
	k := newKiosk(t, "k1")
	g := newGate(t, k)
	drive, src := t.TempDir(), night(t, "1")
	reads := func(work func()) (paths []string) {
		w := newWatch(t, unix.IN_ACCESS, func(mask uint32, path string) {
			if mask&unix.IN_ISDIR == 0 {
				paths = append(paths, path)
			}
		}, src)
		work()
		w.end(t)
		return paths
	}
	var bag *outbox.Bag
	if got := reads(func() { bag = k.prepare(t, src) }); len(got) == 0 {
		t.Error("nothing was seen to be read: this proves nothing")
	}
	if got := reads(func() {
		if again := k.prepare(t, src); again.ID() != bag.ID() {
			t.Errorf("the bag of an unchanged source is made again as %s", again.ID())
		}
	}); len(got) > 0 {
		t.Errorf("an unchanged source is read again: %q", got)
	}
	must(t, os.WriteFile(filepath.Join(src, "note.txt"), []byte("changed"), 0o644))
	changed := k.prepare(t, src)
	if changed.ID() == bag.ID() {
		t.Error("the bag of a changed source is the old one")
	}
	k.write(t, drive, bag, changed)
	g.accept(t, drive)
	if _, _, err := transfer.Settle(k.settling(t, drive)); err != nil {
		t.Fatal(err)
	}

	for _, change := range []error{
		os.Remove(filepath.Join(src, "images/one.dcm")), os.Rename(filepath.Join(src, "123/456/ADT-00"), filepath.Join(src, "123/456/ADT-01")),
		os.WriteFile(filepath.Join(src, "123/456/PPR-01"), []byte("new"), 0o644),
	} {
		must(t, change)
	}
	second := k.send(t, src, drive)
	if entries, err := os.ReadDir(filepath.Join(drive, manifest.Transfers)); err != nil || len(entries) != 1 {
		t.Errorf("%d transfers are on the drive, %v", len(entries), err)
	}
	o := g.accept(t, drive)
	if len(o) != 1 || o[0].Transfer != second.ID() || len(o[0].Gaps) > 0 {
		t.Fatalf("the gate took %+v", o)
	}
	sameTree(t, tree(t, g.restore(t, o[0].Generation)), tree(t, src))
}

package transfer

import (
	"errors"
	"io/fs"
	"path"
	"strings"

	"sekisho/transfer/drive"
	"sekisho/transfer/ledger"
	"sekisho/transfer/manifest"
	"sekisho/transfer/outbox"
	"sekisho/transfer/seal"
)

// Settling is what the kiosk reads receipts with.
type Settling struct {
	Outbox *outbox.Outbox
	Drive  *drive.Drive
	Gate   string          // the gate whose word counts
	Key    *seal.PublicKey // of its receipts
	Ledger *ledger.Log
	Staff  string
	// Erase deletes from the drive what has been accepted, with its receipt.
	Erase bool
}

// Answer is one receipt that was found, with the bag it is for.
type Answer struct {
	Receipt *manifest.Receipt
	Bag     *outbox.Bag // nil when this outbox has no such bag
}

const (
	maxReceipts    = 1000
	receiptSuffix  = ".dsse.json"
	maxReceiptFile = 128 << 10 // bytes
)

// Settle reads the receipts on the drive and settles the bags they accept. A
// receipt counts only when the gate's key signed it; any other is left alone and
// its name returned. The error is a *Refusal.
func Settle(s Settling) (answers []Answer, unknown []string, err error) {
	names, err := s.Drive.List(manifest.Receipts, maxReceipts)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, AsRefusal(explainDrive(err), ReadFailed)
	}
	for _, n := range names {
		id, ok := strings.CutSuffix(n.Name, receiptSuffix)
		if !n.File || !ok || !manifest.ValidID(id) {
			unknown = append(unknown, n.Name)
			continue
		}
		name := path.Join(manifest.Receipts, n.Name)
		envelope, err := s.Drive.ReadFile(name, maxReceiptFile)
		if errors.Is(err, drive.ErrTooLarge) {
			unknown = append(unknown, n.Name)
			continue
		}
		if err != nil {
			return answers, unknown, AsRefusal(explainDrive(err), ReadFailed)
		}
		receipt, err := OpenReceipt(envelope, s.Gate, s.Key)
		if err != nil || receipt.Transfer != id {
			unknown = append(unknown, n.Name)
			continue
		}
		bag, err := s.settle(receipt, envelope, name)
		if err != nil {
			return answers, unknown, AsRefusal(explainDrive(err), Failed)
		}
		answers = append(answers, Answer{receipt, bag})
	}
	return answers, unknown, nil
}

func (s *Settling) settle(r *manifest.Receipt, envelope []byte, name string) (*outbox.Bag, error) {
	bag, err := s.Outbox.Find(r.Payload)
	if err != nil || bag == nil {
		return nil, err
	}
	if r.Result != manifest.Accepted {
		return bag, nil
	}
	if !bag.Settled { // recorded first: a second record after a crash is better than none
		if _, err := s.Ledger.Append(ledger.Record{Event: ledger.Settle, By: s.Staff, Transfer: bag.ID(), Result: r.Result,
			Facts: map[string]string{"gate": r.Gate, "generation": r.Generation}}); err != nil {
			return nil, err
		}
	}
	if err := bag.Settle(envelope); err != nil { // again: a crash may have come before the disk was freed
		return nil, err
	}
	if !s.Erase {
		return bag, nil
	}
	// The bag first: its receipt is what says that it may go.
	if err := s.Drive.Remove(path.Join(manifest.Transfers, bag.ID())); err != nil {
		return nil, err
	}
	return bag, s.Drive.Remove(name)
}

// OpenReceipt returns a receipt when the key of that gate signed it.
func OpenReceipt(envelope []byte, gate string, key *seal.PublicKey) (*manifest.Receipt, error) {
	data, err := seal.OpenSigned(manifest.ReceiptType, envelope, key)
	if err != nil {
		return nil, err
	}
	r, err := manifest.ParseReceipt(data)
	if err != nil {
		return nil, err
	}
	if r.Gate != gate {
		return nil, errors.New("the receipt is of another gate")
	}
	return r, nil
}

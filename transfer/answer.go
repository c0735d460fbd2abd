package transfer

import (
	"path"
	"slices"
	"strconv"
	"time"

	"sekisho/transfer/ledger"
	"sekisho/transfer/manifest"
	"sekisho/transfer/vault"
)

// record notes an outcome in the ledger. Verifying leaves no trace.
func (in *Inbound) record(o *Outcome) error {
	if in.VerifyOnly || o.Reason == AlreadyAccepted {
		return nil
	}
	r := ledger.Record{Event: ledger.Import, Transfer: o.Transfer, Result: manifest.Accepted, Facts: map[string]string{}}
	if o.Refusal != nil {
		r.Event, r.Result, r.Reason = ledger.Refuse, manifest.Refused, string(o.Refusal.Reason)
		if o.Refusal.Reason.Trouble() {
			r.Result = "trouble"
		}
	}
	if s := o.Statement; s != nil {
		r.Facts["kiosk"], r.Facts["counter"], r.Facts["payload"] = s.Kiosk, strconv.FormatUint(s.Counter, 10), s.Payload.String()
		r.Facts["drive"] = s.Drive
	} else {
		r.Transfer = "" // what a folder is called proves nothing
	}
	if len(o.Gaps) > 0 {
		r.Facts["gaps"] = gapsText(o.Gaps)
	}
	_, err := in.Ledger.Append(r)
	return err
}

// reconcile records the newest generation when a crash came between its commit
// and its record. An older one that lacks its record was not lost so: that is
// left for the check of the records to find. Acceptances are timed in seconds,
// so any of the last second may be the newest.
func (in *Inbound) reconcile() error {
	if in.VerifyOnly {
		return nil
	}
	all, err := in.Vault.Generations()
	// An empty ledger was not cut short: a gate's begins with its keys.
	if err != nil || len(all) == 0 || in.Ledger.Size() == 0 {
		return err
	}
	newest := all[len(all)-1].Time
	all = slices.DeleteFunc(all, func(g vault.Generation) bool { return !g.Time.Equal(newest) })
	if err := ledger.List(in.LedgerDir, 0, func(r ledger.Record) error {
		if r.Event == ledger.Import {
			all = slices.DeleteFunc(all, func(g vault.Generation) bool { return g.Transfer == r.Transfer })
		}
		return nil
	}); err != nil {
		return err
	}
	for _, g := range all {
		if _, err := in.Ledger.Append(ledger.Record{Event: ledger.Import, Transfer: g.Transfer, Result: manifest.Accepted,
			Facts: map[string]string{"kiosk": g.Kiosk, "counter": strconv.FormatUint(g.Counter, 10), "payload": g.Payload.String(), "note": "interrupted"}}); err != nil {
			return err
		}
	}
	return nil
}

// answer writes the receipt for a transfer whose seal held onto the drive.
func (in *Inbound) answer(o *Outcome) error {
	s := o.Statement
	r := &manifest.Receipt{
		Gate: in.Gate, Transfer: s.Transfer, Kiosk: s.Kiosk, Counter: s.Counter, Payload: s.Payload,
		Result: manifest.Accepted, Generation: o.Generation,
		Time: time.Now().UTC().Truncate(time.Second), Ledger: string(in.Ledger.Checkpoint()),
	}
	switch {
	case o.Refusal != nil:
		r.Result, r.Reason, r.Generation = manifest.Refused, string(o.Reason), ""
	case o.Reason == AlreadyAccepted:
		g, err := in.Vault.Generation(o.Generation)
		if err != nil {
			return err
		}
		r.Scanned, r.Engines = g.Scanned, g.Engines
	case in.Scanner != nil:
		r.Scanned, r.Engines = true, engines(in.Scanner.Definitions())
	}
	text, err := r.Marshal()
	if err != nil {
		return err
	}
	envelope, err := in.Receipts.Sign(manifest.ReceiptType, text)
	if err != nil {
		return err
	}
	return in.Drive.Put(path.Join(manifest.Receipts, s.Transfer+receiptSuffix), envelope)
}

package transfer

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"path"
	"slices"
	"strconv"
	"time"

	"sekisho/scan"
	"sekisho/transfer/drive"
	"sekisho/transfer/ledger"
	"sekisho/transfer/manifest"
	"sekisho/transfer/seal"
	"sekisho/transfer/vault"
)

// Inbound is what the gate takes drives in with.
type Inbound struct {
	Gate      string
	Drive     *drive.Drive
	Kiosks    []*seal.Kiosk // enrolled
	Identity  Identity      // of the gate
	Keys      *manifest.KeySet
	Vault     *vault.Vault
	Receipts  *seal.PrivateKey
	Ledger    *ledger.Log
	LedgerDir string
	Log       *slog.Logger
	Watcher   Watcher

	// Scanner searches every file before it is kept; nil when the gate is
	// configured not to, which every receipt then says.
	Scanner *scan.Scanner
	Spool   *scan.Spool
	Workers int

	PartMemory int64 // bytes of memory for parts; larger ones go through staging

	MaxAge         time.Duration // of a seal; 0: any
	DefinitionsAge time.Duration // of the kiosk's definitions when it sealed; 0: any

	// Keep nothing and write nothing: verify only.
	VerifyOnly bool
}

// Outcome is what became of one transfer on the drive.
type Outcome struct {
	Transfer   string
	Statement  *manifest.Statement // nil when the seal did not hold, or is of another folder or gate
	Generation string              // of an acceptance
	Reason     Reason              // of a refusal; AlreadyAccepted; or ""
	Refusal    *Refusal            // nil when it was accepted
	Gaps       []uint64            // counter values before it that are still open
	NoReceipt  error               // the receipt could not be written to the drive
}

// Import takes every sealed transfer from the drive, oldest first. Each is
// verified step by step, and becomes a generation or is refused; a refusal of one
// does not touch the others. When it returns, the generations of the accepted are
// on disk and in the ledger, and a receipt for each transfer whose seal held is
// on the drive. The error is a *Refusal of the drive as a whole, or the context's.
func Import(ctx context.Context, in Inbound) ([]Outcome, error) {
	if err := in.reconcile(); err != nil {
		return nil, refuse(Failed, "ledger", err)
	}
	ids, err := in.look()
	if err != nil {
		refusal := AsRefusal(explainDrive(err), ReadFailed)
		return nil, errors.Join(refusal, in.record(&Outcome{Refusal: refusal}))
	}
	var outcomes []Outcome
	for _, id := range ids {
		o := Outcome{Transfer: id}
		err := in.receive(ctx, id, &o)
		if ctx.Err() != nil {
			return outcomes, ctx.Err()
		}
		if err != nil {
			o.Refusal = AsRefusal(explain(explainDrive(err), Failed), Failed)
			o.Reason = o.Refusal.Reason
		}
		if err := in.record(&o); err != nil {
			return outcomes, refuse(Failed, "ledger", err)
		}
		if o.Statement != nil && !o.Reason.Trouble() && !in.VerifyOnly {
			o.NoReceipt = in.answer(&o)
		}
		outcomes = append(outcomes, o)
	}
	return outcomes, nil
}

// Bounds of a drive's listings: more names than these have no place on it.
const (
	maxNames     = 64   // in SEKISHO, in a transfer's folder
	maxTransfers = 1000 // on a drive
)

// look lists the sealed transfers on the drive, and refuses a SEKISHO folder
// with anything in it that has no place there.
func (in *Inbound) look() ([]string, error) {
	top, err := in.list(manifest.Root, maxNames)
	if absent(err) {
		return nil, refusef(NoTransfer, in.Drive.Path(), "there is no folder %s", manifest.Root)
	}
	if errors.Is(err, drive.ErrKind) {
		return nil, refuse(ExtraFile, manifest.Root, err)
	}
	if err != nil {
		return nil, err
	}
	for _, n := range top {
		switch name := path.Join(manifest.Root, n.Name); {
		case n.Folder && (name == manifest.Transfers || name == manifest.Receipts), n.File && name == manifest.DriveFile:
		default:
			return nil, refusef(ExtraFile, name, "it has no place on a drive")
		}
	}
	names, err := in.list(manifest.Transfers, maxTransfers)
	if absent(err) {
		return nil, refusef(NoTransfer, in.Drive.Path(), "there is no folder %s", manifest.Transfers)
	}
	if err != nil {
		return nil, err
	}
	var ids []string
	for _, n := range names {
		name := path.Join(manifest.Transfers, n.Name)
		if !n.Folder || !manifest.ValidID(n.Name) {
			return nil, refusef(ExtraFile, name, "it is no transfer")
		}
		sealed, err := in.list(path.Join(name, manifest.SealDir), maxNames)
		if absent(err) {
			in.Log.Warn("a transfer on the drive is not sealed", "transfer", n.Name)
			continue
		}
		// What cannot be listed is of that transfer alone: it is refused in turn.
		if err != nil || slices.ContainsFunc(sealed, func(s drive.Name) bool { return s.Name == manifest.Envelope }) {
			ids = append(ids, n.Name)
		}
	}
	if len(ids) == 0 {
		return nil, refusef(NoTransfer, in.Drive.Path(), "%d transfers lie there and none is sealed", len(names))
	}
	slices.Sort(ids)
	return ids, nil
}

// absent says that the drive is there and has no such object.
func absent(err error) bool {
	return errors.Is(err, fs.ErrNotExist) && !errors.Is(err, drive.ErrGone)
}

// receive verifies one transfer in the order of trust and keeps it. Each step
// runs only after the one before held.
func (in *Inbound) receive(ctx context.Context, id string, o *Outcome) error {
	d := &delivery{Inbound: in, id: id, folder: path.Join(manifest.Transfers, id)}
	err := d.openSeal() // envelope → seal → statement
	o.Statement = d.statement
	if err != nil {
		return err
	}
	known, err := d.checkHistory() // against the vault: replays, equivocation
	if err != nil {
		return err
	}
	o.Gaps = d.gaps
	if err := d.stage(); err != nil { // listing, room
		return err
	}
	defer d.staging.Discard()
	if err := d.readTags(); err != nil { // tag manifest → tag files → manifest
		return err
	}
	if known != nil && !in.VerifyOnly {
		// Nothing is kept twice, but an altered copy is still refused.
		if err := d.hashParts(ctx); err != nil {
			return err
		}
		o.Generation, o.Reason = known.ID, AlreadyAccepted
		return nil
	}
	if err := d.readIndex(); err != nil { // decrypted, checked against the statement
		return err
	}
	if err := d.readParts(ctx); err != nil { // hash → decrypt → headers, files → scan
		return err
	}
	if in.VerifyOnly {
		if known != nil {
			o.Generation, o.Reason = known.ID, AlreadyAccepted
		}
		return nil
	}
	g, err := d.generation()
	if err != nil {
		return err
	}
	if err := d.staging.Commit(g); err != nil {
		if errors.Is(err, fs.ErrExist) {
			return refuse(Equivocation, id, err)
		}
		return err
	}
	o.Generation = g.ID
	return nil
}

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
// left for the check of the records to find.
func (in *Inbound) reconcile() error {
	if in.VerifyOnly {
		return nil
	}
	all, err := in.Vault.Generations()
	if err != nil || len(all) == 0 {
		return err
	}
	last := all[len(all)-1]
	found := false
	if err := ledger.List(in.LedgerDir, 0, func(r ledger.Record) error {
		found = found || r.Event == ledger.Import && r.Transfer == last.Transfer
		return nil
	}); err != nil || found {
		return err
	}
	_, err = in.Ledger.Append(ledger.Record{Event: ledger.Import, Transfer: last.Transfer, Result: manifest.Accepted, Reason: "Interrupted",
		Facts: map[string]string{"kiosk": last.Kiosk, "counter": strconv.FormatUint(last.Counter, 10), "payload": last.Payload.String()}})
	return err
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

// list is the drive's listing, with too many names as what they are.
func (in *Inbound) list(name string, limit int) ([]drive.Name, error) {
	names, err := in.Drive.List(name, limit)
	if errors.Is(err, drive.ErrTooLarge) {
		return nil, refuse(ExtraFile, name, err)
	}
	return names, err
}

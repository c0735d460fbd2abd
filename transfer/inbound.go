package transfer

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"path"
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
	Retired   []Retired     // enrolled once: their seals are told from a stranger's
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
	Policy  scan.Policy // only its exemptions: a kiosk's word does not clear a detection
	Spool   *scan.Spool
	Workers int

	PartMemory int64 // bytes of memory for parts; larger ones go through staging

	MaxAge         time.Duration // of a seal; 0: any
	DefinitionsAge time.Duration // of the kiosk's definitions when it sealed; 0: any

	// EarlierKeys are the digests of this gate's earlier key sets that a kiosk
	// may still have.
	EarlierKeys []manifest.Hash
	// SoftwareRoots are the roots of software TPMs that the configuration names
	// on purpose, by the SHA-256 of their certificates in hex. The seals of any
	// other software TPM are refused.
	SoftwareRoots map[string]bool
	// Judge says whether IT approved the state that a seal proved: nil, or a
	// *Refusal with UnapprovedState. It is asked once the seal and its statement
	// held and nothing but them was read. Without it no state is judged.
	Judge func(by *seal.Opened) error

	// Keep nothing and write nothing: verify only.
	VerifyOnly bool
}

// Retired is a kiosk that was enrolled until then.
type Retired struct {
	*seal.Kiosk
	Since time.Time
}

// Outcome is what became of one transfer on the drive.
type Outcome struct {
	Transfer   string
	Statement  *manifest.Statement // nil when the seal did not hold, or is of another folder or gate
	Generation string              // of an acceptance
	Reason     Reason              // of a refusal; AlreadyAccepted; or ""
	Refusal    *Refusal            // nil when it was accepted
	Gaps       []uint64            // counter values before it that are still open
	Notes      []string            // what a person should know besides, as the log has it
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

// receive verifies one transfer in the order of trust and keeps it. Each step
// runs only after the one before held.
func (in *Inbound) receive(ctx context.Context, id string, o *Outcome) error {
	d := &delivery{Inbound: in, id: id, folder: path.Join(manifest.Transfers, id)}
	defer func() { o.Notes = d.notes }()
	if err := d.readSeal(); err != nil {
		return err
	}
	err := d.openSeal() // envelope → seal → statement
	o.Statement = d.statement
	if err != nil {
		return err
	}
	known, err := d.checkHistory() // against the vault: replays, equivocation, rollback, the chain
	if err != nil {
		return err
	}
	if err := d.judge(); err != nil { // the kiosk's state, as it was measured
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
		// The kiosk deletes its copy on the receipt's word: it must be true.
		if err := d.intact(known); err != nil {
			return refuse(VaultDamaged, known.ID, err)
		}
		if err := d.remember(known); err != nil {
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

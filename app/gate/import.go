package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"sekisho/app/console"
	"sekisho/app/state"
	"sekisho/scan"
	"sekisho/transfer"
	"sekisho/transfer/approval"
	"sekisho/transfer/drive"
	"sekisho/transfer/seal"
)

func runImport(ctx context.Context, c *console.Console, args []string) error {
	return takeIn(ctx, c, args, "import", "Verify every sealed transfer on the drive step by step, scan it, and keep it as a generation. A receipt goes onto the drive.", false)
}

func runVerify(ctx context.Context, c *console.Console, args []string) error {
	return takeIn(ctx, c, args, "verify", "Check the drive as import does, but keep nothing and write nothing.", true)
}

func takeIn(ctx context.Context, c *console.Console, args []string, name, short string, verifyOnly bool) (err error) {
	f := console.NewFlags("gate", name, "-config FILE [-json] DRIVE", short)
	noScan := false
	if verifyOnly {
		f.BoolVar(&noScan, "no-scan", false, "check seal and content without scanning")
	}
	rest, err := f.Parse(c, args, 1)
	if err != nil {
		return err
	}
	m, err := openMachine(c, f.Config)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	d, err := m.drive(rest[0])
	if err != nil {
		return err
	}
	if !verifyOnly { // a kiosk's answer may come with its first bags
		if _, err := m.finish(d); err != nil {
			return err
		}
	}
	in, err := m.inbound(ctx, d, noScan)
	if err != nil {
		return err
	}
	in.VerifyOnly = verifyOnly
	in.Judge = func(by *seal.Opened) error { return m.judge(by, !verifyOnly) }
	outcomes, err := transfer.Import(ctx, *in)
	var worst error
	for i := range outcomes {
		worst = console.Worse(worst, m.outcome(&outcomes[i], in))
	}
	if !verifyOnly {
		worst = console.Worse(worst, m.sendApprovals(in, outcomes))
	}
	return console.Worse(worst, err)
}

// inbound gathers what a drive is taken in with.
func (m *machine) inbound(ctx context.Context, d *drive.Drive, noScan bool) (_ *transfer.Inbound, err error) {
	in := &transfer.Inbound{
		Gate: m.Name, Drive: d, Vault: m.vault, Ledger: m.Ledger, LedgerDir: m.Path(state.LedgerDir), Log: m.Log, Workers: m.Engines.Workers,
		Policy: scan.Policy{Exempt: m.Exempt}, PartMemory: m.Limits.MemoryMiB << 20,
		MaxAge: m.MaxAge(), DefinitionsAge: m.DefinitionsAge(),
		Watcher: transfer.Watcher{Progress: m.Console.Progress, File: m.Console.File},
	}
	if in.Keys, err = m.keySet(); err != nil {
		return nil, err
	}
	if in.Identity, err = m.identity(""); err != nil {
		return nil, err
	}
	if in.Receipts, err = m.key(receiptsKey); err != nil {
		return nil, err
	}
	if err := m.trusted(in); err != nil {
		return nil, err
	}
	if len(in.Kiosks) == 0 {
		m.Console.Note("no kiosk is enrolled yet")
	}
	if !noScan {
		in.Scanner, in.Spool, err = m.scanner(ctx)
	}
	return in, err
}

// trusted fills in whose seals count.
func (m *machine) trusted(in *transfer.Inbound) (err error) {
	if in.Kiosks, err = m.kiosks(); err != nil {
		return err
	}
	if in.Retired, err = m.retired(); err != nil {
		return err
	}
	_, earlier, err := m.history()
	if err != nil {
		return err
	}
	in.EarlierKeys = accepted(earlier)
	in.SoftwareRoots, err = m.softwareRoots()
	return err
}

// sendApprovals puts what IT approved for the kiosks of these transfers onto the
// drive, which is on its way back to them.
func (m *machine) sendApprovals(in *transfer.Inbound, outcomes []transfer.Outcome) error {
	store, err := m.approvalStore()
	if err != nil {
		return err
	}
	approved, err := store.List()
	if err != nil {
		return err
	}
	for _, a := range approved {
		of := func(o transfer.Outcome) bool { return o.Statement != nil && o.Statement.Kiosk == a.Kiosk }
		if a.Standing(time.Now()) == approval.Expired || !slices.ContainsFunc(outcomes, of) {
			continue
		}
		if err := putApproval(in.Drive, a); err != nil {
			m.Console.Note("approval %s could not be written to the drive: %s", a.ID(), console.OneLine(err))
		}
	}
	return nil
}

// outcome reports what became of one transfer.
func (m *machine) outcome(o *transfer.Outcome, in *transfer.Inbound) error {
	c := m.Console
	if o.Refusal != nil {
		result := console.Refused
		switch {
		case o.Reason.Trouble():
			result = console.Trouble
		case o.Reason.Held():
			result = console.Held
		}
		c.Result(result, o.Reason, o.Transfer, o.Refusal)
		return console.Said(o.Refusal)
	}
	c.Result(console.Accepted, o.Reason, o.Transfer, nil)
	st := o.Statement
	word := "accepted as generation " + o.Generation
	if in.VerifyOnly {
		word = "verified; nothing was kept"
	}
	c.Say("transfer      %s: %s", o.Transfer, word)
	c.Say("  kiosk       %s, counter %d, data as of %s", st.Kiosk, st.Counter, st.DataAsOf.Local().Format("2006-01-02 15:04"))
	c.Counts(st)
	var notes []string
	if st.Partial {
		notes = append(notes, "files were left out at the kiosk")
	}
	if st.SoftTPM {
		notes = append(notes, "sealed by a software TPM (demonstration)")
	}
	if st.Demonstration() {
		notes = append(notes, "scanned at the kiosk with demonstration signatures")
	}
	if in.Scanner == nil {
		notes = append(notes, "not scanned here")
	}
	if len(o.Gaps) > 0 {
		notes = append(notes, fmt.Sprintf("not arrived yet: %s before it", console.Count(int64(len(o.Gaps)), "seal")))
	}
	for _, n := range append(notes, o.Notes...) {
		c.Say("  note        %s", n)
	}
	if o.NoReceipt != nil {
		c.Note("the receipt could not be written to the drive; import it again when it can be: %s", console.OneLine(o.NoReceipt))
	} else if !in.VerifyOnly {
		c.Say("  receipt     on the drive, for the kiosk")
	}
	return nil
}

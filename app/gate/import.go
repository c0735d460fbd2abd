package main

import (
	"context"
	"errors"
	"fmt"

	"sekisho/app/console"
	"sekisho/app/state"
	"sekisho/scan"
	"sekisho/transfer"
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
	var worst error
	if !verifyOnly { // a kiosk's answer may come with its first bags, and stops none of them
		if _, worst, err = m.finish(d); err != nil {
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
	for i := range outcomes {
		worst = console.Worse(worst, m.outcome(&outcomes[i], in))
	}
	if !verifyOnly {
		worst = console.Worse(worst, m.sendApprovals(d, outcomes))
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

// outcome reports what became of one transfer.
func (m *machine) outcome(o *transfer.Outcome, in *transfer.Inbound) error {
	c := m.Console
	if o.Refusal != nil {
		c.Result(result(o.Reason), o.Reason, o.Transfer, o.Refusal)
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

// result is what -json calls an end for this reason.
func result(r transfer.Reason) string {
	switch {
	case r.Trouble():
		return console.Trouble
	case r.Held():
		return console.Held
	}
	return console.Refused
}

package main

import (
	"context"
	"errors"
	"slices"

	"sekisho/app/console"
	"sekisho/transfer"
	"sekisho/transfer/approval"
	"sekisho/transfer/drive"
	"sekisho/transfer/outbox"
)

func runWrite(ctx context.Context, c *console.Console, args []string) (err error) {
	var drivePath, staff, again string
	f := console.NewFlags("kiosk", "write", "-config FILE -drive FOLDER [-transfer ID] [-staff N] [-json]",
		"Write the bags that are due to the drive, read them back, and seal them.")
	f.StringVar(&drivePath, "drive", "", "the drive, as a mounted `folder`")
	f.StringVar(&again, "transfer", "", "write this transfer, also when it was written before: its drive was lost")
	f.Staff(&staff)
	if _, err := f.Parse(c, args, 0); err != nil {
		return err
	}
	if drivePath == "" {
		return console.Usagef("-drive FOLDER is missing")
	}
	if err := console.CheckStaff(staff); err != nil {
		return err
	}
	m, err := openMachine(c, f.Config)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	d, err := m.drive(drivePath, staff, true)
	if err != nil {
		return err
	}
	if again != "" {
		bag, err := m.outbox.Bag(again)
		if err != nil || bag.Settled {
			return console.Usagef("the outbox holds no transfer %q to write; kiosk outbox lists them", again)
		}
		return m.write(ctx, d, staff, []*outbox.Bag{bag})
	}
	due, err := m.due()
	if err != nil {
		return err
	}
	if len(due) == 0 {
		return &transfer.Refusal{Reason: transfer.NothingDue}
	}
	return m.write(ctx, d, staff, due)
}

func (m *machine) due() ([]*outbox.Bag, error) {
	all, err := m.outbox.Bags()
	if err != nil {
		return nil, err
	}
	var due []*outbox.Bag
	for _, b := range all {
		if b.Due() {
			due = append(due, b)
		}
	}
	return due, nil
}

// write writes every bag that is due, oldest first: what was left behind last
// night goes tonight. Those of bags come last and are what the caller is about:
// they alone make the outcome partial.
func (m *machine) write(ctx context.Context, d *drive.Drive, staff string, bags []*outbox.Bag) error {
	due, err := m.due()
	if err != nil {
		return err
	}
	asked := func(b *outbox.Bag) bool {
		return slices.ContainsFunc(bags, func(a *outbox.Bag) bool { return a.ID() == b.ID() })
	}
	earlier := slices.DeleteFunc(due, asked)
	if len(earlier)+len(bags) == 0 {
		return nil
	}
	if len(earlier) > 0 && len(bags) > 0 {
		m.Console.Note("%s from before goes along", console.Count(int64(len(earlier)), "bag"))
	}
	return m.writeBags(ctx, d, staff, append(earlier, bags...), asked)
}

// writeBags writes and seals the bags in this order. In a state that IT has not
// approved each is written all the same: kiosk seal -pending goes on from there.
func (m *machine) writeBags(ctx context.Context, d *drive.Drive, staff string, bags []*outbox.Bag, asked func(*outbox.Bag) bool) error {
	t, key, err := m.signer(ctx)
	if err != nil {
		return err
	}
	state, err := m.present(t)
	if err != nil {
		return sealTrouble(err)
	}
	verdict, err := m.judge(state)
	if err != nil {
		return err
	}
	var worst error
	for _, b := range bags {
		err := transfer.Write(ctx, transfer.Writing{Outbox: m.outbox, Drive: d, Signer: key, Software: "sekisho kiosk " + version,
			Ledger: m.Ledger, Staff: staff, Watcher: transfer.Watcher{Progress: m.Console.Progress}}, b)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			report(m.Console, b, err)
			worst = console.Worse(worst, console.Said(err))
			switch transfer.AsRefusal(err, transfer.Failed).Reason {
			case transfer.BagDamaged, transfer.UnapprovedState:
				continue
			}
			return worst // the next bag would meet the same drive
		}
		summary(m.Console, b)
		if asked(b) {
			worst = console.Worse(worst, partial(b))
		}
	}
	if !verdict.Approved {
		return console.Worse(worst, m.askApproval(d, state, verdict))
	}
	return worst
}

// askApproval says what changed and whom to ask, and gives the drive the state,
// for IT to approve.
func (m *machine) askApproval(d *drive.Drive, state approval.State, verdict approval.Verdict) error {
	if !m.TPM.Approved {
		note := "sealed in a state that IT has not approved: the gate will hold it until then"
		if m.Console.Lang == "ja" {
			note = "情報部門が承認していない状態で封印しました。承認されるまで、受入装置で確認待ちになります。"
		}
		m.Console.Note("%s", note)
	}
	m.explain(verdict)
	text, err := state.Marshal()
	if err != nil {
		return err
	}
	if err := transfer.PutTrust(d, transfer.StateFile, m.Name, "", text); err != nil {
		return err
	}
	m.Console.Note("%s", typed(m.Console.Lang))
	m.Console.Note("  %s", state.ID())
	m.Console.Note("  (%s)", transfer.TrustPath(transfer.StateFile, m.Name, ""))
	return nil
}

// summary reports a bag that is ready or sealed.
func summary(c *console.Console, b *outbox.Bag) {
	st := &b.Statement
	result, reason := console.Sealed, transfer.Reason("")
	if st.Partial {
		result, reason = console.Partial, transfer.LeftOut
	}
	if len(b.Written) == 0 && !c.JSON {
		reason = "" // its text speaks of carrying, and there is no drive yet
	}
	c.Result(result, reason, b.ID(), nil)
	c.Say("transfer      %s", b.ID())
	c.Counts(st)
	var size int64
	for _, p := range st.Sizes.Parts {
		size += p
	}
	c.Say("  parts       %d, %s encrypted", len(st.Sizes.Parts), console.Bytes(size))
	if q := b.Quarantine(); q != "" {
		c.Say("  left out    kept encrypted in %s", q)
	}
	if len(b.Written) == 0 {
		c.Say("  ready       in the outbox: %s", b.Dir())
		return
	}
	last := b.Written[len(b.Written)-1]
	c.Say("  sealed      counter %d, drive %.8s", last.Counter, last.Drive)
}

// report tells of a workflow or bag that did not go through.
func report(c *console.Console, b *outbox.Bag, err error) {
	r := transfer.AsRefusal(err, transfer.Failed)
	id := ""
	if b != nil {
		id = b.ID()
	}
	result := console.Held
	if r.Reason.Trouble() {
		result = console.Trouble
	}
	c.Result(result, r.Reason, id, r)
	if b != nil && b.Held != "" {
		c.Say("transfer      %s is held; do not carry it", id)
		c.Counts(&b.Statement)
		if q := b.Quarantine(); q != "" {
			c.Say("  not clean   kept encrypted in %s", q)
		}
	}
}

func partial(b *outbox.Bag) error {
	if b.Statement.Partial {
		return console.ErrPartial
	}
	return nil
}

package main

import (
	"context"
	"errors"
	"path/filepath"
	"time"

	"sekisho/app/config"
	"sekisho/app/console"
	"sekisho/transfer"
	"sekisho/transfer/ledger"
	"sekisho/transfer/outbox"
)

// outboxLine is one bag, as -json prints it.
type outboxLine struct {
	Transfer string           `json:"transfer"`
	Workflow string           `json:"workflow"`
	State    string           `json:"state"` // due, held, written, accepted, damaged, discarded
	Reason   transfer.Reason  `json:"reason,omitempty"`
	Files    int64            `json:"files"`
	Bytes    int64            `json:"bytes"` // encrypted
	Prepared time.Time        `json:"prepared"`
	Written  []outbox.Written `json:"written"`
}

func runOutbox(_ context.Context, c *console.Console, args []string) error {
	var drivePath, discard, staff string
	var all bool
	f := console.NewFlags("kiosk", "outbox", "-config FILE [-drive FOLDER] [-discard ID] [-staff N] [-all] [-json]",
		"List what waits for a drive or a receipt. With -drive, receipts found on it settle bags first; the drive is not changed.")
	f.StringVar(&drivePath, "drive", "", "read the receipts on this drive, a mounted `folder`")
	f.StringVar(&discard, "discard", "", "give up the `transfer`: held, damaged, or made for keys that the gate has no more")
	f.BoolVar(&all, "all", false, "list the accepted and the discarded too")
	f.Staff(&staff)
	if _, err := f.Parse(c, args, 0); err != nil {
		return err
	}
	if err := console.CheckStaff(staff); err != nil {
		return err
	}
	if drivePath != "" || discard != "" {
		m, err := openMachine(c, f.Config)
		if err != nil {
			return err
		}
		if drivePath != "" {
			_, err = m.drive(drivePath, staff, false)
		}
		if err == nil && discard != "" {
			err = m.discard(discard, staff)
		}
		if err := errors.Join(err, m.Close()); err != nil {
			return err
		}
	}
	cfg, err := config.ReadKiosk(f.Config)
	if err != nil {
		return &console.UsageError{Err: err}
	}
	box, err := outbox.Open(filepath.Join(cfg.State, "outbox"))
	if err != nil {
		return err
	}
	bags, err := box.Bags()
	if err != nil {
		return err
	}
	shown := 0
	for _, b := range bags {
		if (b.Settled || b.Dropped) && !all {
			continue
		}
		shown++
		l := line(b)
		if c.JSON {
			c.Print(l)
			continue
		}
		c.Say("%s  %-10s %s  %s, %s", l.Transfer, l.Workflow, words[l.State], console.Count(l.Files, "file"), console.Bytes(l.Bytes))
		if l.State == held {
			c.Say("    %s", console.TextOf(l.Reason, c.Lang).What)
		}
		for _, w := range b.Written {
			c.Say("    on drive %.8s since %s, counter %d", w.Drive, w.Time.Local().Format("2006-01-02 15:04"), w.Counter)
		}
	}
	if shown == 0 {
		c.Say("the outbox is empty")
	}
	return nil
}

// discard gives up a bag that cannot be carried: held, damaged, or made for keys
// that the gate may not have any more.
func (m *machine) discard(id, staff string) error {
	b, err := m.outbox.Bag(id)
	if err != nil || b.Dropped || b.Settled || b.Held == "" && !b.Damaged && !m.madeForOthers(b) {
		return console.Usagef("the outbox holds no transfer %q that is held, damaged or made for other keys than the pinned ones; only such are discarded", id)
	}
	if _, err := m.Ledger.Append(ledger.Record{Event: ledger.Approve, By: staff, Transfer: id, Result: "discarded", Reason: b.Held}); err != nil {
		return err
	}
	return b.Drop()
}

// madeForOthers says that the bag was made for another key set than the pinned one.
func (m *machine) madeForOthers(b *outbox.Bag) bool {
	keys, err := m.gateKeys()
	if err != nil {
		return false
	}
	digest, err := keys.Digest()
	return err == nil && b.Statement.GateKeys != digest
}

// States of a bag.
const (
	due       = "due"
	held      = "held"
	written   = "written"
	accepted  = "accepted"
	damaged   = "damaged"
	discarded = "discarded"
)

var words = map[string]string{
	due: "waits for a drive", held: "held for IT", written: "waits for its receipt", accepted: "accepted",
	damaged: "damaged, cannot be written", discarded: "discarded",
}

func line(b *outbox.Bag) outboxLine {
	st := &b.Statement
	l := outboxLine{Transfer: b.ID(), Workflow: b.Plan.Workflow, State: due, Reason: transfer.Reason(b.Held),
		Bytes: st.Sizes.Total(), Prepared: st.Prepared, Written: append([]outbox.Written{}, b.Written...)}
	for _, c := range st.Counts {
		l.Files += c.Files
	}
	switch {
	case b.Settled:
		l.State = accepted
	case b.Dropped:
		l.State = discarded
	case b.Damaged:
		l.State = damaged
	case b.Held != "":
		l.State = held
	case len(b.Written) > 0:
		l.State = written
	}
	return l
}

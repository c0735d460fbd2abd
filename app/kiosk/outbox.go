package main

import (
	"context"
	"errors"
	"path/filepath"
	"time"

	"sekisho/app/config"
	"sekisho/app/console"
	"sekisho/transfer"
	"sekisho/transfer/outbox"
)

// outboxLine is one bag, as -json prints it.
type outboxLine struct {
	Transfer string           `json:"transfer"`
	Workflow string           `json:"workflow"`
	State    string           `json:"state"` // due, held, written, accepted
	Reason   transfer.Reason  `json:"reason,omitempty"`
	Files    int64            `json:"files"`
	Bytes    int64            `json:"bytes"` // encrypted
	Prepared time.Time        `json:"prepared"`
	Written  []outbox.Written `json:"written"`
}

func runOutbox(_ context.Context, c *console.Console, args []string) error {
	var drivePath string
	var all bool
	f := console.NewFlags("kiosk", "outbox", "-config FILE [-drive FOLDER] [-all] [-json]",
		"List what waits for a drive or a receipt. With -drive, receipts found on it settle bags first.")
	f.StringVar(&drivePath, "drive", "", "read the receipts on this drive, a mounted `folder`")
	f.BoolVar(&all, "all", false, "list the accepted too")
	if _, err := f.Parse(c, args, 0); err != nil {
		return err
	}
	if drivePath != "" {
		m, err := openMachine(c, f.Config)
		if err != nil {
			return err
		}
		_, err = m.drive(drivePath, "", false)
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
		if b.Settled && !all {
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

// States of a bag.
const (
	due      = "due"
	held     = "held"
	written  = "written"
	accepted = "accepted"
)

var words = map[string]string{
	due: "waits for a drive", held: "held for IT", written: "waits for its receipt", accepted: "accepted",
}

func line(b *outbox.Bag) outboxLine {
	st := &b.Statement
	l := outboxLine{Transfer: b.ID(), Workflow: b.Plan.Workflow, State: due, Reason: transfer.Reason(b.Held),
		Bytes: st.Sizes.Total(), Prepared: st.Prepared, Written: b.Written}
	for _, c := range st.Counts {
		l.Files += c.Files
	}
	switch {
	case b.Settled:
		l.State = accepted
	case b.Held != "":
		l.State = held
	case len(b.Written) > 0:
		l.State = written
	}
	return l
}

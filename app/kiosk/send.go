package main

import (
	"context"
	"errors"
	"path/filepath"

	"sekisho/app/config"
	"sekisho/app/console"
	"sekisho/transfer"
	"sekisho/transfer/drive"
	"sekisho/transfer/outbox"
	"sekisho/transfer/source"
)

// what says which workflows a command is about.
type what struct {
	source   string
	workflow string
	due      bool
	staff    string
}

func (w *what) flags(f *console.Flags) {
	f.StringVar(&w.source, "source", "", "read this `folder` instead of a workflow's, under the policy of -workflow or of the first")
	f.StringVar(&w.workflow, "workflow", "", "the `name` of one workflow")
	f.BoolVar(&w.due, "due", false, "every workflow of the configuration")
	f.Staff(&w.staff)
}

// check refuses what could not have been meant.
func (w *what) check() error {
	if !w.due && w.source == "" && w.workflow == "" {
		return console.Usagef("what to read? Give -source FOLDER, -workflow NAME or -due")
	}
	if w.due && (w.source != "" || w.workflow != "") {
		return console.Usagef("-due stands alone, without -source or -workflow")
	}
	return console.CheckStaff(w.staff)
}

// workflows are the ones that w names.
func (w *what) workflows(cfg *config.Kiosk) ([]config.Workflow, error) {
	if w.due {
		return cfg.Workflows, nil
	}
	one, err := cfg.Workflow(w.workflow)
	if err != nil {
		return nil, &console.UsageError{Err: err}
	}
	chosen := *one
	if w.source != "" {
		if chosen.Source, err = filepath.Abs(w.source); err != nil {
			return nil, err
		}
	}
	return []config.Workflow{chosen}, nil
}

func runPrepare(ctx context.Context, c *console.Console, args []string) error {
	return prepareAndWrite(ctx, c, args, "prepare", false)
}

func runSend(ctx context.Context, c *console.Console, args []string) error {
	return prepareAndWrite(ctx, c, args, "send", true)
}

// prepareAndWrite is prepare and send: what happens to one workflow does not
// keep the others from being carried.
func prepareAndWrite(ctx context.Context, c *console.Console, args []string, name string, write bool) (err error) {
	var w what
	var drivePath string
	usage, short := "-config FILE (-source FOLDER | -workflow NAME | -due) [-staff N] [-json]", "Read, scan and pack into the outbox."
	if write {
		usage, short = "-config FILE (-source FOLDER | -workflow NAME | -due) -drive FOLDER [-staff N] [-json]", "Prepare, then write what is due to the drive and seal it."
	}
	f := console.NewFlags("kiosk", name, usage, short)
	w.flags(f)
	if write {
		f.StringVar(&drivePath, "drive", "", "the drive, as a mounted `folder`")
	}
	if _, err := f.Parse(c, args, 0); err != nil {
		return err
	}
	if err := w.check(); err != nil {
		return err
	}
	if write && drivePath == "" {
		return console.Usagef("-drive FOLDER is missing")
	}
	m, err := openMachine(c, f.Config)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	flows, err := w.workflows(m.Kiosk)
	if err != nil {
		return err
	}
	var d *drive.Drive
	if write { // before an hour of scanning, not after it
		if d, err = m.drive(drivePath, w.staff, true); err != nil {
			return err
		}
		if err := apart(d, flows); err != nil {
			return err
		}
	}
	var bags []*outbox.Bag
	var worst error
	for _, flow := range flows {
		bag, err := m.prepare(ctx, flow, w.staff)
		if err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			report(c, bag, err)
			worst = console.Worse(worst, console.Said(err))
			continue
		}
		bags = append(bags, bag)
		if !write {
			summary(c, bag)
			worst = console.Worse(worst, partial(bag))
		}
	}
	if write { // also what was left behind last night
		worst = console.Worse(worst, m.write(ctx, d, w.staff, bags))
	}
	return worst
}

// apart refuses a drive that is a source: it would be read while it is written.
func apart(d *drive.Drive, flows []config.Workflow) error {
	for _, flow := range flows {
		same, err := d.Same(flow.Source)
		if err != nil {
			continue // one of them cannot be opened, which is said when it is used
		}
		if same {
			return console.Usagef("the drive %q and the source %q are the same folder, or one is in the other", d.Path(), flow.Source)
		}
	}
	return nil
}

// deepest is how many folders deep a source is read: names of 255 bytes still
// make paths that the index can hold. A deeper folder counts as unread.
const deepest = 120

// prepare makes the bag of one workflow.
func (m *machine) prepare(ctx context.Context, flow config.Workflow, staff string) (*outbox.Bag, error) {
	keys, err := m.gateKeys()
	if err != nil {
		return nil, err
	}
	tree, err := source.OpenFolder(flow.Source, source.Options{MaxDepth: deepest})
	if err != nil {
		reason := transfer.SourceFailed
		if errors.Is(err, source.ErrMissing) || errors.Is(err, source.ErrNotFolder) {
			reason = transfer.SourceMissing
		}
		return nil, &transfer.Refusal{Reason: reason, Err: err}
	}
	defer tree.Close()
	if m.engines == nil {
		if m.engines, m.spool, err = m.Scanner(ctx, &m.Engines, &m.Limits); err != nil {
			return nil, err
		}
	}
	w, err := flow.Transfer()
	if err != nil {
		return nil, err
	}
	return transfer.Prepare(ctx, transfer.Preparation{
		Kiosk: m.Name, Workflow: w, Tree: tree, Spool: m.spool, Scanner: m.engines, Workers: m.Engines.Workers,
		Outbox: m.outbox, PartSize: m.PartMiB << 20, Keys: keys, HoldAge: m.HoldAge(), Ledger: m.Ledger, Staff: staff,
		Watcher: transfer.Watcher{Progress: m.Console.Progress, File: m.Console.File}, Log: m.Log,
	})
}

package transfer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"filippo.io/age"
	"golang.org/x/sys/unix"

	"sekisho/scan"
	"sekisho/transfer/ledger"
	"sekisho/transfer/manifest"
	"sekisho/transfer/outbox"
	"sekisho/transfer/source"
)

// Workflow is a configured source with its policy.
type Workflow struct {
	Name   string
	Number int
	Source string // as configured, for the record
	Policy scan.Policy
	Digest manifest.Hash // of the policy as it was read
}

// Preparation is what the kiosk prepares a bag with.
type Preparation struct {
	Kiosk    string
	Workflow Workflow
	Tree     source.Tree
	Spool    *scan.Spool
	Scanner  *scan.Scanner
	Workers  int // files read and scanned at a time
	Outbox   *outbox.Outbox
	PartSize int64 // bytes of plaintext in a part
	Keys     *manifest.KeySet
	HoldAge  time.Duration // definitions older than this hold the workflow
	Ledger   *ledger.Log
	Staff    string
	Watcher  Watcher
	Log      *slog.Logger
}

// Prepare reads the source once, scans it, and packs what may be carried into a
// bag of the outbox. It goes on with an unfinished bag of the same source, and
// returns a finished one that waits for a drive when the source has not changed
// since. When it returns a bag, the bag is on disk; a *Refusal beside it says
// that the bag is held. Without a bag the error is a *Refusal or the context's.
func Prepare(ctx context.Context, p Preparation) (*outbox.Bag, error) {
	bag, err := p.prepare(ctx)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	record := ledger.Record{Event: ledger.Prepare, By: p.Staff, Result: "sealed", Facts: map[string]string{"workflow": p.Workflow.Name}}
	var refusal *Refusal
	switch {
	case err != nil:
		refusal = AsRefusal(err, Failed)
		record.Result, record.Reason = "trouble", string(refusal.Reason)
	case bag.Held != "":
		refusal = refusef(Reason(bag.Held), p.Workflow.Name, "the bag %s waits for IT", bag.ID())
		record.Result, record.Reason = "held", bag.Held
	default:
		record.Result = "ready"
		if err := p.supersede(bag); err != nil {
			return nil, refuse(Failed, "outbox", err)
		}
	}
	if bag != nil {
		record.Transfer = bag.ID()
		for _, c := range bag.Statement.Counts {
			record.Facts[c.Verdict] = strconv.FormatInt(c.Files, 10)
		}
	}
	if _, lerr := p.Ledger.Append(record); lerr != nil {
		return nil, refuse(Failed, "ledger", lerr)
	}
	if refusal != nil {
		return bag, refusal
	}
	return bag, nil
}

// supersede gives up the held bags of earlier nights that bag takes the place of.
func (p *Preparation) supersede(bag *outbox.Bag) error {
	all, err := p.Outbox.Bags()
	if err != nil {
		return err
	}
	for _, b := range all {
		if b.Held != "" && b.OnDisk() && b.Plan.Workflow == bag.Plan.Workflow && b.Plan.Source == bag.Plan.Source {
			if err := b.Drop(); err != nil {
				return err
			}
		}
	}
	return nil
}

func (p *Preparation) prepare(ctx context.Context) (*outbox.Bag, error) {
	total, err := p.count(ctx)
	if err != nil {
		return nil, err
	}
	if stale := p.stale(); stale != nil {
		return nil, stale
	}
	plan, to, err := p.plan()
	if err != nil {
		return nil, err
	}
	if bag, err := p.unchanged(ctx, plan); bag != nil || err != nil {
		return bag, err
	}
	draft, err := p.Outbox.Resume(plan, to...)
	if err != nil {
		return nil, refuse(Failed, "outbox", err)
	}
	if draft != nil {
		bag, err := p.goOn(ctx, draft, total)
		if !errors.Is(err, outbox.ErrChanged) {
			return bag, err
		}
		p.Log.Info("the source changed since the unfinished bag was begun; beginning anew", "transfer", draft.Plan.Transfer)
		if err := draft.Discard(); err != nil {
			return nil, refuse(Failed, "outbox", err)
		}
	}
	if err := p.room(total, 0); err != nil {
		return nil, err
	}
	if draft, err = p.Outbox.Begin(plan, to...); err != nil {
		return nil, explain(err, Failed)
	}
	return p.fill(ctx, draft, total)
}

// goOn completes an unfinished bag; outbox.ErrChanged when the source is no
// longer what it was begun from.
func (p *Preparation) goOn(ctx context.Context, draft *outbox.Draft, total source.Total) (*outbox.Bag, error) {
	same, err := p.compare(ctx, draft.Lines, false)
	if err != nil {
		return nil, refuse(SourceFailed, p.Workflow.Source, err)
	}
	if !same {
		return nil, outbox.ErrChanged
	}
	if err := p.room(total, draft.Bytes()); err != nil {
		return nil, err
	}
	return p.fill(ctx, draft, total)
}

// unchanged returns a finished bag that waits for a drive and was made from
// the source as it is now; nil when there is none.
func (p *Preparation) unchanged(ctx context.Context, plan outbox.Plan) (*outbox.Bag, error) {
	bag, err := p.Outbox.Waiting(plan)
	if bag == nil || err != nil {
		return nil, err
	}
	lines := func(fn func(*outbox.Line) error) error { return p.Outbox.Lines(bag.ID(), fn) }
	same, err := p.compare(ctx, lines, true)
	if err != nil {
		return nil, refuse(SourceFailed, p.Workflow.Source, err)
	}
	if !same {
		return nil, nil
	}
	return bag, lines(func(l *outbox.Line) error {
		p.Watcher.file(&l.Entry)
		return nil
	})
}

// count looks at the source without reading it, for estimates.
func (p *Preparation) count(ctx context.Context) (source.Total, error) {
	total, err := p.Tree.Count(ctx, func(files, bytes int64) {
		p.Watcher.progress(Progress{Phase: PhaseCount, Files: files, Bytes: bytes})
	})
	if err != nil {
		return total, refuse(SourceFailed, p.Workflow.Source, err)
	}
	if total.Files+total.Left+total.Failed == 0 {
		return total, refusef(SourceEmpty, p.Workflow.Source, "no file in %d folders", total.Folders)
	}
	return total, nil
}

// room refuses to begin what the outbox has no room for. there is what it holds
// of the bag already, in bytes.
func (p *Preparation) room(total source.Total, there int64) error {
	free, err := p.Outbox.Free()
	if err != nil {
		return refuse(Failed, "outbox", err)
	}
	// Tar and age add less than 2 % to all but tiny files, whose headers do.
	if need := total.Bytes + total.Bytes/50 + 2048*(total.Files+total.Folders) - there; need > free {
		return refusef(NoSpace, p.Outbox.Dir(), "the source needs about %d more bytes in the outbox, %d are free", need, free)
	}
	return nil
}

// stale refuses to scan with definitions that are older than the policy takes.
// Demonstration signatures have no age: they are named for what they are.
func (p *Preparation) stale() error {
	for _, d := range p.Scanner.Definitions() {
		if age := time.Since(d.Newest); !d.Demonstration && age > p.HoldAge {
			return refusef(StaleDefinitions, d.Engine, "the newest definitions are %d days old", int(age.Hours()/24))
		}
	}
	return nil
}

// plan is what the bag will be made from, and for whom.
func (p *Preparation) plan() (outbox.Plan, []age.Recipient, error) {
	var to []age.Recipient
	for _, r := range []string{p.Keys.Encryption, p.Keys.Recovery} {
		recipient, err := outbox.Hybrid(r)
		if err != nil {
			return outbox.Plan{}, nil, refuse(NotEnrolled, "gate keys", err)
		}
		to = append(to, recipient)
	}
	keys, err := p.Keys.Digest()
	if err != nil {
		return outbox.Plan{}, nil, refuse(NotEnrolled, "gate keys", err)
	}
	return outbox.Plan{
		Workflow: p.Workflow.Name, Number: p.Workflow.Number, Source: p.Workflow.Source, Kiosk: p.Kiosk,
		Policy: p.Workflow.Digest, Definitions: definitionsDigest(p.Scanner.Definitions()), GateKeys: keys, PartSize: p.PartSize,
	}, to, nil
}

// fill completes a draft: read, scan, pack, finish.
func (p *Preparation) fill(ctx context.Context, draft *outbox.Draft, total source.Total) (*outbox.Bag, error) {
	defer draft.Close()
	r := &reading{Preparation: p, draft: draft, total: total, rules: make(map[string]int64)}
	started := draft.Plan.Started
	if err := r.run(ctx); err != nil {
		return nil, explain(err, Failed)
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	st := manifest.Statement{
		DataAsOf: started, AsOf: "start of reading",
		Counts: r.counts(), Folders: r.folders, Partial: r.tally.LeftOut > 0,
		Engines: engines(p.Scanner.Definitions()),
	}
	details := &manifest.Details{
		Transfer: draft.Plan.Transfer, Workflow: p.Workflow.Name, Source: p.Workflow.Source, Started: started,
		Definitions: listing(p.Scanner.Definitions()), Exemptions: r.exemptions(),
	}
	bag, err := draft.Finish(st, details, string(r.held()))
	if err != nil {
		return nil, explain(err, Failed)
	}
	return bag, nil
}

// explain gives an error of the way its reason.
func explain(err error, otherwise Reason) error {
	var r *Refusal
	switch {
	case err == nil, errors.As(err, &r), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case errors.Is(err, outbox.ErrChanged):
		return refuse(SourceChanged, "", err)
	case errors.Is(err, scan.ErrSpoolFull), errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT):
		return refuse(NoSpace, "", err)
	case errors.Is(err, scan.ErrEngine):
		return refuse(EngineFailed, "", err)
	}
	return refuse(otherwise, "", fmt.Errorf("unexpected: %w", err))
}

package transfer

import (
	"context"
	"errors"
	"iter"

	"golang.org/x/sync/errgroup"

	"sekisho/scan"
	"sekisho/transfer/manifest"
	"sekisho/transfer/outbox"
	"sekisho/transfer/source"
)

// ahead is how many files are open before the one being packed. It bounds open
// descriptors; memory is bounded by the spool.
const ahead = 64

// reading is one pass over the source into a draft:
//
//	walk (in order) → workers: read once, hash, scan → pack (in order)
type reading struct {
	*Preparation
	draft *outbox.Draft
	total source.Total

	tally   scan.Tally
	sums    map[string]manifest.Count // by verdict
	folders int64
	others  int64            // neither file nor folder
	unseen  int64            // of these, what may hold files
	rules   map[string]int64 // uses of exemptions
	bytes   int64
}

func (r *reading) run(ctx context.Context) error {
	r.sums = make(map[string]manifest.Count)
	g, ctx := errgroup.WithContext(ctx)
	ordered := make(chan *item, ahead)
	work := make(chan *item, ahead)
	g.Go(func() error {
		defer close(work)
		defer close(ordered)
		return r.walk(ctx, func(i *item) error {
			if i.room == nil { // nothing to read
				close(i.done)
			} else if err := send(ctx, work, i); err != nil {
				i.close()
				return err
			}
			if err := send(ctx, ordered, i); err != nil {
				<-i.done
				i.close()
				return err
			}
			return nil
		})
	})
	for range max(r.Workers, 1) {
		g.Go(func() error {
			for i := range work {
				i.err = r.examine(ctx, i)
				close(i.done)
			}
			return nil
		})
	}
	g.Go(func() error {
		for i := range ordered {
			<-i.done
			err := i.err
			if err == nil {
				err = r.pack(i)
			}
			i.close()
			if err != nil {
				return err
			}
		}
		return nil
	})
	err := g.Wait()
	for i := range ordered { // after an error: what was on its way
		<-i.done
		i.close()
	}
	return err
}

func send(ctx context.Context, to chan<- *item, i *item) error {
	select {
	case to <- i:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// walk hands on every entry of the source that the draft does not have yet.
func (r *reading) walk(ctx context.Context, next func(*item) error) error {
	known, stop := iter.Pull2(journal(r.draft.Lines))
	defer stop()
	replaying := true
	err := r.Tree.Walk(ctx, func(e source.Entry) error {
		i := &item{from: e, done: make(chan struct{})}
		if replaying {
			line, err, ok := known()
			if ok && (err != nil || !matches(line, &e)) {
				i.close()
				return errors.Join(outbox.ErrChanged, err)
			}
			if replaying = ok; ok {
				i.close()
				r.note(&line.Entry, line.Rule)
				return nil
			}
		}
		i.entry = describe(&e)
		if e.File != nil {
			room, err := r.Spool.Reserve(ctx, e.Size)
			if err != nil {
				i.close()
				return err
			}
			i.room = room
		}
		return next(i)
	})
	if err == nil && replaying {
		if _, _, more := known(); more {
			return outbox.ErrChanged // the journal has files that are gone
		}
	}
	if err != nil && ctx.Err() == nil && !errors.Is(err, outbox.ErrChanged) {
		return refuse(SourceFailed, r.Workflow.Source, err)
	}
	return err
}

// pack puts an examined entry into the draft.
func (r *reading) pack(i *item) error {
	if err := r.draft.Add(&i.entry, outbox.Origin(i.from.ID), i.rule, i.content()); err != nil {
		return err
	}
	if err := i.entry.Check(); err != nil {
		return refuse(SourceFailed, source.Quote(i.from.Path), err)
	}
	r.note(&i.entry, i.rule)
	return nil
}

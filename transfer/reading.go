package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"time"

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
	rules   map[string]int64 // uses of exemptions
	bytes   int64
}

// item is one entry on its way through the pass.
type item struct {
	from  source.Entry
	room  *scan.Room
	entry manifest.Entry
	rule  string
	blob  *scan.Blob
	err   error
	done  chan struct{}
}

func (i *item) close() {
	if i.from.File != nil {
		_ = i.from.File.Close() // only read from
	}
	if i.room != nil {
		i.room.Release() // nothing to do once it was filled
	}
	if i.blob != nil {
		_ = i.blob.Close()
	}
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

// compare walks the source beside a journal, reading nothing, and says whether
// the journal's lines are its first entries; with whole, all of them.
func (p *Preparation) compare(ctx context.Context, lines func(func(*outbox.Line) error) error, whole bool) (bool, error) {
	known, stop := iter.Pull2(journal(lines))
	defer stop()
	differs, enough := errors.New("differs"), errors.New("enough")
	err := p.Tree.Walk(ctx, func(e source.Entry) error {
		if e.File != nil {
			_ = e.File.Close()
		}
		line, err, ok := known()
		switch {
		case err != nil:
			return err
		case !ok && whole, ok && !matches(line, &e):
			return differs
		case !ok:
			return enough
		}
		return nil
	})
	switch {
	case errors.Is(err, enough):
		return true, nil
	case errors.Is(err, differs):
		return false, nil
	case err != nil:
		return false, err
	}
	_, err, more := known()
	return !more, err
}

// journal turns the calls of Lines into a sequence.
func journal(lines func(func(*outbox.Line) error) error) iter.Seq2[*outbox.Line, error] {
	return func(yield func(*outbox.Line, error) bool) {
		stopped := errors.New("stopped")
		err := lines(func(l *outbox.Line) error {
			if !yield(l, nil) {
				return stopped
			}
			return nil
		})
		if err != nil && err != stopped {
			yield(nil, err)
		}
	}
}

// matches says whether the journal's line is of this very state of the entry.
func matches(l *outbox.Line, e *source.Entry) bool {
	if l.Entry.Path != manifest.Path(e.Path) || l.Entry.Type != typeOf(e) {
		return false
	}
	// A folder's identity changes with everything in it; what counts is its
	// name and time, which are carried.
	if l.Entry.Type == manifest.Folder {
		return l.Entry.ModTime.Equal(manifest.Timestamp(e.ModTime))
	}
	unreadable := len(l.Entry.Findings) > 0 && l.Entry.Findings[0] == fromSource(unreadable)[0]
	return l.Origin == outbox.Origin(e.ID) && unreadable == (e.Err != nil)
}

func typeOf(e *source.Entry) manifest.Type {
	switch {
	case e.Kind == source.File:
		return manifest.File
	case e.Kind == source.Dir && e.Err == nil:
		return manifest.Folder
	}
	return manifest.Other
}

// describe begins an entry's line in the index: what is known before reading.
func describe(e *source.Entry) manifest.Entry {
	m := manifest.Entry{Path: manifest.Path(e.Path), Type: typeOf(e), Size: e.Size, ModTime: manifest.Timestamp(e.ModTime)}
	switch {
	case e.Err != nil:
		m.Verdict, m.Findings = manifest.Unscannable, fromSource(unreadable)
	case m.Type == manifest.Other:
		m.Verdict, m.Findings = manifest.Unscannable, fromSource(notAFile+"."+e.Kind.String())
	}
	return m
}

// Findings of the reading itself.
const (
	unreadable = "Unreadable"
	changing   = "ChangedWhileRead"
	notAFile   = "NotAFile" // followed by "." and what it is
)

func fromSource(name string) []manifest.Finding {
	return []manifest.Finding{{Engine: "source", Name: name}}
}

// examine reads a file once and gives it its verdict.
func (r *reading) examine(ctx context.Context, i *item) error {
	src := &sourceFile{File: i.from.File}
	blob, err := i.room.Fill(src)
	i.blob = blob
	changed, cerr := source.Changed(i.from.ID, i.from.File)
	switch {
	case errors.Is(err, scan.ErrGrew), errors.Is(err, scan.ErrShrank), err == nil && changed:
		return i.leave(changing)
	case src.failed, err == nil && cerr != nil:
		return i.leave(unreadable)
	case err != nil:
		return err
	}
	result, err := r.Scanner.Scan(ctx, blob)
	if err != nil {
		return fmt.Errorf("scanning: %w", err)
	}
	result, rule := r.Workflow.Policy.Exempted(i.from.Path, blob.Facts(), result, time.Now())
	sum := manifest.Hash(blob.SHA256())
	i.entry.SHA256, i.entry.Verdict = &sum, result.Verdict.String()
	for _, f := range result.Findings[:min(len(result.Findings), manifest.MaxFindings)] {
		i.entry.Findings = append(i.entry.Findings, manifest.Finding{
			Engine: f.Engine, Name: manifest.Text(f.Name, manifest.MaxText), Where: manifest.Text(f.Where, manifest.MaxText)})
	}
	if rule != nil {
		i.rule = ruleText(rule)
	}
	return nil
}

// leave gives the verdict on a file whose bytes could not be had.
func (i *item) leave(why string) error {
	i.entry.Verdict, i.entry.Findings = manifest.Unscannable, fromSource(why)
	if i.blob == nil {
		return nil
	}
	b := i.blob
	i.blob = nil
	return b.Close()
}

// sourceFile remembers whether reading failed on the source's side: such a
// file is left out, while a failing spool stops the work.
type sourceFile struct {
	*os.File
	failed bool
}

func (f *sourceFile) Read(p []byte) (int, error) {
	n, err := f.File.Read(p)
	f.failed = err != nil && err != io.EOF
	return n, err
}

// content is what there is to pack or to keep; nil for folders and for what
// could not be read.
func (i *item) content() io.Reader {
	if i.blob == nil {
		return nil
	}
	return i.blob.NewReader()
}

// ruleText words an exemption for the details.
func ruleText(e *scan.Exemption) string {
	return manifest.Text(fmt.Sprintf("path=%q signature=%q sha256=%q until=%s by=%q: %s",
		e.Path, e.Signature, e.SHA256, e.Until.UTC().Format(time.RFC3339), e.By, e.Reason), manifest.MaxRule)
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

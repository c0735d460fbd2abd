package transfer

import (
	"context"
	"errors"
	"iter"

	"sekisho/transfer/manifest"
	"sekisho/transfer/outbox"
	"sekisho/transfer/source"
)

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
		case err != nil: // the journal is damaged, the source is not
			return differs
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
	_, _, more := known()
	return !more, nil
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
	// One that can be opened now is another case than when it could not.
	return l.Origin == outbox.Origin(e.ID) && unreadable == (e.Err != nil)
}

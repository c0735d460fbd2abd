package transfer

import (
	"errors"
	"testing"

	"sekisho/transfer/manifest"
	"sekisho/transfer/outbox"
	"sekisho/transfer/source"
)

// An unfinished or waiting bag is gone on with only while nothing differs: a
// file that could not be opened and now can is worth another bag, also when its
// times did not change; one whose bytes failed to come looks the same again.
func TestMatches(t *testing.T) {
	id := source.Identity{Device: 1, Inode: 2, Size: 3, ModTime: 4, Changed: 5}
	denied := errors.New("permission denied")
	line := func(finding string) *outbox.Line {
		l := &outbox.Line{Entry: manifest.Entry{Path: "f", Type: manifest.File, Verdict: manifest.Clean}, Origin: outbox.Origin(id)}
		if finding != "" {
			l.Entry.Verdict, l.Entry.Findings = manifest.Unscannable, fromSource(finding)
		}
		return l
	}
	other := id
	other.Changed++
	for _, c := range []struct {
		finding string
		id      source.Identity
		err     error
		want    bool
	}{
		{"", id, nil, true},
		{"", other, nil, false},
		{"", id, denied, false},
		{unreadable, id, denied, true},
		{unreadable, id, nil, false},
		{readFailed, id, nil, true},
		{readFailed, id, denied, false},
		{changing, id, nil, true},
		{changing, other, nil, false},
	} {
		e := &source.Entry{Path: "f", Kind: source.File, ID: c.id, Err: c.err}
		if got := matches(line(c.finding), e); got != c.want {
			t.Errorf("a line of %q, then %v of %v: %v", c.finding, c.err, c.id, got)
		}
	}
}

package outbox

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"filippo.io/age"

	"sekisho/transfer/durable"
	"sekisho/transfer/manifest"
)

// Plan is what a bag is made from. A draft is gone on with only under the same
// plan: other rules or definitions could give other verdicts.
type Plan struct {
	Workflow    string        `json:"workflow"`
	Number      int           `json:"number"` // the workflow's
	Source      string        `json:"source"`
	Kiosk       string        `json:"kiosk"`
	Policy      manifest.Hash `json:"policy"`
	Definitions manifest.Hash `json:"definitions"` // of all engines
	GateKeys    manifest.Hash `json:"gateKeys"`
	PartSize    int64         `json:"partSize"` // bytes of plaintext
	Transfer    string        `json:"transfer"`
	Sequence    int64         `json:"sequence"` // the transfer's number
	Started     time.Time     `json:"started"`
}

// same says whether a draft made under p can be gone on with under q.
func (p Plan) same(q Plan) bool {
	p.Transfer, p.Sequence, p.Started = q.Transfer, q.Sequence, q.Started
	return p == q
}

// Draft is a bag being prepared. It is not safe for concurrent use.
type Draft struct {
	Plan Plan

	outbox  *Outbox
	to      []age.Recipient
	parts   []manifest.Sum // whole parts
	sizes   []int64
	ended   bool // the last whole part holds the trailer
	packer  *packer
	closing chan error // result of the part that is being flushed
	buf     []byte
}

// Begin starts a new bag for the recipients to. Nothing is on disk before the
// first part but the plan.
func (o *Outbox) Begin(p Plan, to ...age.Recipient) (*Draft, error) {
	n, err := o.Next()
	if err != nil {
		return nil, err
	}
	p.Started = time.Now().UTC().Truncate(time.Second)
	p.Sequence = n
	p.Transfer = manifest.ID(p.Started, p.Kiosk, n)
	d := &Draft{Plan: p, outbox: o, to: to}
	for _, dir := range []string{d.path("bag", manifest.Data), d.path("journal")} {
		if err := durable.Mkdir(dir, 0o700); err != nil {
			return nil, fmt.Errorf("beginning a bag: %w", err)
		}
	}
	data, err := marshalJSON(p)
	if err != nil {
		return nil, err
	}
	return d, durable.WriteNew(d.path("draft.json"), data, 0o600)
}

// Resume finds an unfinished bag of the plan's workflow and source and opens it
// after its last whole part. Unfinished bags that cannot be gone on with are
// deleted. It returns nil when there is nothing to go on with.
func (o *Outbox) Resume(p Plan, to ...age.Recipient) (*Draft, error) {
	ids, err := o.ids()
	if err != nil {
		return nil, err
	}
	var found *Draft
	for _, id := range ids {
		if _, err := os.Lstat(o.path(id, "ready.json")); err == nil {
			continue
		}
		d := &Draft{outbox: o, to: to}
		err := readJSON(o.path(id, "draft.json"), &d.Plan)
		if err == nil && (d.Plan.Workflow != p.Workflow || d.Plan.Source != p.Source) {
			continue
		}
		if err == nil && d.Plan.same(p) && found == nil {
			if err = d.rewind(); err == nil {
				found = d
				continue
			}
		}
		// The quarantine first: nothing would lead to it without the draft.
		if err := errors.Join(durable.Remove(o.quarantine(id)), durable.Remove(o.path(id))); err != nil {
			return nil, fmt.Errorf("clearing the unfinished bag %s: %w", id, err)
		}
	}
	return found, nil
}

// rewind drops what came after the last whole part.
func (d *Draft) rewind() error {
	type state struct {
		parts int
		ended bool
	}
	var good state
	err := d.outbox.segments(d.Plan.Transfer, func(n int, p *part) error {
		path := d.path("bag", manifest.PartName(n))
		if st, err := os.Lstat(path); err != nil || st.Size() != p.Bytes {
			return fmt.Errorf("part %d is not as the journal says", n)
		}
		d.parts = append(d.parts, manifest.Sum{Name: manifest.PartName(n), SHA256: p.SHA256})
		d.sizes = append(d.sizes, p.Bytes)
		if p.Whole {
			good = state{n, p.End}
		}
		return nil
	}, nil)
	if err != nil {
		return err
	}
	d.parts, d.sizes, d.ended = d.parts[:good.parts], d.sizes[:good.parts], good.ended
	return errors.Join(
		keepOnly(d.path("bag", manifest.Data), good.parts),
		keepOnly(d.path("journal"), good.parts),
		keepOnly(d.quarantine(), good.parts))
}

// keepOnly deletes from dir all but the files of the first n parts.
func keepOnly(dir string, n int) error {
	names, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range names {
		var k int
		var rest string
		if _, err := fmt.Sscanf(e.Name(), "%06d.%s", &k, &rest); err == nil && k >= 1 && k <= n &&
			(rest == "age" || "."+rest == quarantineSuffix) {
			continue
		}
		if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
			return err
		}
	}
	return durable.SyncDir(dir)
}

// Lines calls fn for what the journal already holds, in order.
func (d *Draft) Lines(fn func(*Line) error) error {
	return d.outbox.Lines(d.Plan.Transfer, fn)
}

// Bytes is how much the whole parts take on disk.
func (d *Draft) Bytes() int64 {
	var total int64
	for _, n := range d.sizes {
		total += n
	}
	return total
}

// Discard deletes the draft and its quarantine.
func (d *Draft) Discard() error {
	return errors.Join(d.Close(),
		durable.Remove(d.quarantine()),
		durable.Remove(d.outbox.path(d.Plan.Transfer)))
}

func (d *Draft) path(names ...string) string {
	return d.outbox.path(d.Plan.Transfer, names...)
}

func (d *Draft) quarantine() string {
	return d.outbox.quarantine(d.Plan.Transfer)
}

package outbox

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"sekisho/transfer/durable"
	"sekisho/transfer/manifest"
)

// packer writes one part: tar, age, SHA-256, disk, and beside it the journal's
// segment and, when something was left out, the quarantine.
type packer struct {
	n     int
	out   *sealed
	plain int64 // bytes of tar so far
	seg   *segment
	kept  *sealed // quarantine, nil when nothing was left out
	added bool    // a member was written
}

// Add puts an entry into the bag: entry, bytes and journal. It sets the entry's
// part and offset when it is carried. content holds the entry's bytes; for what
// is left out it may be nil, and otherwise goes to the quarantine. On error the
// draft is as good as after its last whole part.
func (d *Draft) Add(e *manifest.Entry, origin Origin, rule string, content io.Reader) error {
	carried := e.Type == manifest.Folder || e.Verdict == manifest.Clean || e.Verdict == manifest.Exempt
	header, err := manifest.Header(e)
	if err != nil {
		return err
	}
	size := int64(len(header)) + e.Size + manifest.Padding(e.Size)
	if carried && d.packer != nil && d.packer.added && d.packer.plain+size > d.Plan.PartSize {
		if err := d.closePart(part{Whole: true}); err != nil {
			return err
		}
	}
	if err := d.open(); err != nil {
		return err
	}
	if carried {
		e.Part, e.Offset = d.packer.n, d.packer.plain
	}
	if err := d.packer.seg.write(segmentLine{Line: &Line{*e, origin, rule}}); err != nil {
		return err
	}
	switch {
	case carried:
		return d.member(header, e.Size, content)
	case content != nil:
		return d.keep(header, e.Size, content)
	}
	return nil
}

// member writes one tar member, running on into further parts when it is
// larger than a part.
func (d *Draft) member(header []byte, size int64, content io.Reader) error {
	if err := d.packer.write(header); err != nil {
		return err
	}
	first := d.packer.n
	for left := size; left > 0; {
		if d.packer.plain >= d.Plan.PartSize {
			if err := d.closePart(part{}); err != nil {
				return err
			}
			if err := d.open(); err != nil {
				return err
			}
		}
		n, err := d.copyN(d.packer, content, min(left, d.Plan.PartSize-d.packer.plain))
		if err != nil {
			return fmt.Errorf("packing: %w", err)
		}
		left -= n
	}
	if err := d.packer.write(make([]byte, manifest.Padding(size))); err != nil {
		return err
	}
	if d.packer.n != first {
		d.packer.plain = max(d.packer.plain, d.Plan.PartSize) // the next member begins a part
	}
	return nil
}

// keep writes one left-out file into the quarantine, as a tar member.
func (d *Draft) keep(header []byte, size int64, content io.Reader) error {
	if d.packer.kept == nil {
		if err := durable.Mkdir(d.quarantine(), 0o700); err != nil {
			return err
		}
		kept, err := newSealed(filepath.Join(d.quarantine(), fmt.Sprintf("%06d%s", d.packer.n, quarantineSuffix)), d.to)
		if err != nil {
			return err
		}
		d.packer.kept = kept
	}
	if _, err := d.packer.kept.age.Write(header); err != nil {
		return err
	}
	if _, err := d.copyN(d.packer.kept.age, content, size); err != nil {
		return fmt.Errorf("keeping in quarantine: %w", err)
	}
	_, err := d.packer.kept.age.Write(make([]byte, manifest.Padding(size)))
	return err
}

// copyN copies exactly n bytes, with one buffer for all files of the draft.
func (d *Draft) copyN(to io.Writer, content io.Reader, n int64) (int64, error) {
	if d.buf == nil {
		d.buf = make([]byte, 256<<10)
	}
	copied, err := io.CopyBuffer(to, struct{ io.Reader }{io.LimitReader(content, n)}, d.buf)
	if err == nil && copied < n {
		err = io.ErrUnexpectedEOF
	}
	return copied, err
}

func (d *Draft) open() error {
	if d.packer != nil {
		return nil
	}
	if d.ended {
		return ErrChanged
	}
	n := len(d.parts) + 1
	if n > manifest.MaxParts {
		return fmt.Errorf("the bag needs more than %d parts of %d bytes; raise the part size", manifest.MaxParts, d.Plan.PartSize)
	}
	out, err := newSealed(d.path("bag", manifest.PartName(n)), d.to)
	if err != nil {
		return err
	}
	seg, err := newSegment(d.path("journal", segmentName(n)), d.outbox.key.Recipient())
	if err != nil {
		return errors.Join(err, out.close())
	}
	d.packer = &packer{n: n, out: out, seg: seg}
	return nil
}

func (p *packer) Write(data []byte) (int, error) {
	n, err := p.out.age.Write(data)
	p.plain += int64(n)
	p.added = true
	return n, err
}

func (p *packer) write(data []byte) error {
	_, err := p.Write(data)
	return err
}

// closePart ends the open part and flushes it while the next one is written:
// part → quarantine → journal, each on disk before the next.
func (d *Draft) closePart(end part) error {
	p := d.packer
	d.packer = nil
	if err := p.out.finish(); err != nil {
		return errors.Join(err, p.abandon())
	}
	end.SHA256, end.Bytes = p.out.sum(), p.out.size
	d.parts = append(d.parts, manifest.Sum{Name: manifest.PartName(p.n), SHA256: end.SHA256})
	d.sizes = append(d.sizes, end.Bytes)
	d.ended = end.End
	if err := d.flushed(); err != nil {
		return errors.Join(err, p.abandon())
	}
	d.closing = make(chan error, 1)
	go func(done chan<- error) { done <- p.commit(end) }(d.closing)
	return nil
}

func (p *packer) commit(end part) error {
	err := p.out.file.Commit()
	if err == nil && p.kept != nil {
		if err = p.kept.finish(); err == nil {
			err = p.kept.file.Commit()
		}
	}
	if err == nil {
		if err = p.seg.write(segmentLine{Part: &end}); err == nil {
			err = p.seg.commit()
		}
	}
	if err != nil {
		return errors.Join(fmt.Errorf("writing part %d: %w", p.n, err), p.abandon())
	}
	return nil
}

func (p *packer) abandon() error {
	err := errors.Join(p.out.close(), p.seg.file.Close())
	if p.kept != nil {
		err = errors.Join(err, p.kept.close())
	}
	return err
}

// flushed waits until the part before is on disk.
func (d *Draft) flushed() error {
	if d.closing == nil {
		return nil
	}
	err := <-d.closing
	d.closing = nil
	return err
}

// Close ends the use of a draft without finishing it. What is on disk is its
// whole parts; Resume goes on from there.
func (d *Draft) Close() error {
	err := d.flushed()
	if d.packer != nil {
		err = errors.Join(err, d.packer.abandon())
		d.packer = nil
	}
	return err
}

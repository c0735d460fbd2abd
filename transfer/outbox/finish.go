package outbox

import (
	"bufio"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"filippo.io/age"

	"sekisho/transfer/durable"
	"sekisho/transfer/manifest"
)

// ErrChanged says that a draft which was gone on with is no longer of the same
// source. The caller discards it and begins anew.
var ErrChanged = errors.New("the source is no longer what the unfinished bag was made from")

// Finish completes the bag: the last part's trailer, index, checksum lists,
// details and BagIt's files, and then, as its commit point, ready.json. The
// caller fills in of st what it knows; held is the reason that the bag is not to
// be carried, or empty.
func (d *Draft) Finish(st manifest.Statement, details *manifest.Details, held string) (*Bag, error) {
	if err := d.end(); err != nil {
		return nil, err
	}
	sums := make(map[string]manifest.Hash, len(manifest.TagFiles))
	sizes := make(map[string]int64, len(manifest.TagFiles))
	note := func(name string, h manifest.Hash, size int64) { sums[name], sizes[name] = h, size }

	if err := d.lists(note); err != nil {
		return nil, err
	}
	text, err := details.Marshal()
	if err != nil {
		return nil, err
	}
	if err := d.encrypted(manifest.DetailsFile, note, func(w io.Writer) error { _, err := w.Write(text); return err }); err != nil {
		return nil, err
	}

	st.Transfer, st.Kiosk, st.Number, st.Workflow = d.Plan.Transfer, d.Plan.Kiosk, d.Plan.Sequence, d.Plan.Number
	st.Policy, st.GateKeys = d.Plan.Policy, d.Plan.GateKeys
	st.Prepared = time.Now().UTC().Truncate(time.Second)
	for name, data := range map[string][]byte{
		manifest.BagIt:    []byte(manifest.BagItText),
		manifest.BagInfo:  manifest.Info(st.Transfer, st.Prepared, len(d.parts), d.Bytes()),
		manifest.Manifest: manifest.MarshalSums(d.parts),
		manifest.Script:   manifest.RecoverScript,
	} {
		if err := durable.Replace(d.path("bag", name), data, 0o600); err != nil {
			return nil, err
		}
		note(name, sha256.Sum256(data), int64(len(data)))
	}

	var tags []manifest.Sum
	st.Sizes = manifest.Sizes{Parts: d.sizes}
	for _, name := range manifest.TagFiles {
		tags = append(tags, manifest.Sum{Name: name, SHA256: sums[name]})
		st.Sizes.Tags = append(st.Sizes.Tags, manifest.Size{Name: name, Bytes: sizes[name]})
	}
	list := manifest.MarshalSums(tags)
	if err := durable.Replace(d.path("bag", manifest.TagManifest), list, 0o600); err != nil {
		return nil, err
	}
	st.Sizes.TagManifest = int64(len(list))
	st.Payload = sha256.Sum256(list)

	b := &Bag{Plan: d.Plan, Statement: st, Held: held, outbox: d.outbox}
	data, err := marshalJSON(b)
	if err != nil {
		return nil, err
	}
	if err := durable.WriteNew(d.path("ready.json"), data, 0o600); err != nil {
		return nil, fmt.Errorf("finishing the bag: %w", err)
	}
	return b, nil
}

// end writes the tar's trailer into the last part and waits for the disk.
func (d *Draft) end() error {
	if !d.ended {
		if d.packer == nil && len(d.parts) > 0 {
			return ErrChanged // the journal expected more of the source
		}
		if err := d.open(); err != nil {
			return err
		}
		if err := d.packer.write(manifest.Trailer); err != nil {
			return err
		}
		if err := d.closePart(part{Whole: true, End: true}); err != nil {
			return err
		}
	}
	return d.flushed()
}

// lists makes the index and the checksum list from the journal, in one pass.
func (d *Draft) lists(note func(string, manifest.Hash, int64)) error {
	return d.encrypted(manifest.Index, note, func(index io.Writer) error {
		return d.encrypted(manifest.FileSums, note, func(sums io.Writer) error {
			x, err := manifest.NewIndexWriter(index, d.Plan.Transfer)
			if err != nil {
				return err
			}
			return d.Lines(func(l *Line) error {
				if l.Entry.Type == manifest.File && l.Entry.Carried() {
					if _, err := sums.Write(manifest.FileSum(&l.Entry)); err != nil {
						return err
					}
				}
				return x.Write(&l.Entry)
			})
		})
	})
}

// encrypted writes one encrypted tag file, replacing one of an attempt before.
func (d *Draft) encrypted(name string, note func(string, manifest.Hash, int64), fill func(io.Writer) error) error {
	path := d.path("bag", name)
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	s, err := newSealed(path, d.to)
	if err != nil {
		return err
	}
	defer s.close()
	buf := bufio.NewWriterSize(s.age, 64<<10)
	if err := fill(buf); err != nil {
		return err
	}
	if err := buf.Flush(); err != nil {
		return err
	}
	if err := s.finish(); err != nil {
		return err
	}
	if err := s.file.Commit(); err != nil {
		return fmt.Errorf("writing %s: %w", name, err)
	}
	note(name, s.sum(), s.size)
	return nil
}

// Hybrid reads an age recipient of the hybrid post-quantum type, the only one a
// bag is encrypted to.
func Hybrid(recipient string) (age.Recipient, error) {
	r, err := age.ParseHybridRecipient(recipient)
	if err != nil {
		return nil, fmt.Errorf("%.40q is no hybrid age recipient: %w", recipient, err)
	}
	return r, nil
}

package transfer

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"time"

	"sekisho/transfer/drive"
	"sekisho/transfer/durable"
	"sekisho/transfer/ledger"
	"sekisho/transfer/manifest"
	"sekisho/transfer/outbox"
	"sekisho/transfer/seal"
)

// Writing is what the kiosk writes bags to a drive with.
type Writing struct {
	Outbox   *outbox.Outbox
	Drive    *drive.Drive
	Signer   seal.Signer
	Software string // name and version of the program
	Ledger   *ledger.Log
	Staff    string
	Watcher  Watcher
}

// Write puts the bags onto the drive and seals them, one after the other. A bag
// that it returned nil for is on the medium: flushed, read back past the cache,
// and its seal, the last thing written, as well. A drive that was pulled or is
// full holds no seal for the bag, and writing it again resumes. The error is a
// *Refusal or the context's.
func Write(ctx context.Context, w Writing, bags ...*outbox.Bag) error {
	for _, bag := range bags {
		err := w.write(ctx, bag)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			refusal := AsRefusal(explainDrive(err), WriteFailed)
			_, lerr := w.Ledger.Append(ledger.Record{Event: ledger.Write, By: w.Staff, Transfer: bag.ID(), Result: "trouble", Reason: string(refusal.Reason)})
			if lerr != nil {
				return refuse(Failed, "ledger", errors.Join(refusal, lerr))
			}
			return refusal
		}
	}
	return nil
}

func (w *Writing) write(ctx context.Context, bag *outbox.Bag) error {
	if bag.Held != "" {
		return refusef(Reason(bag.Held), bag.ID(), "the bag waits for IT and is not to be carried")
	}
	id, err := w.Drive.ID(manifest.DriveFile)
	if errors.Is(err, drive.ErrNotPrepared) {
		id, err = w.Drive.Prepare(manifest.DriveFile)
	}
	if err != nil {
		return err
	}
	folder := path.Join(manifest.Transfers, bag.ID())
	// An old seal must not stand beside bytes that are being replaced.
	if err := w.Drive.Remove(path.Join(folder, manifest.SealDir, manifest.Envelope)); err != nil {
		return err
	}
	objects, total, err := objects(bag, folder)
	if err != nil {
		return err
	}
	if err := w.room(total, folder); err != nil {
		return err
	}
	var written, checked atomic.Int64
	err = w.Drive.Copy(ctx, objects, func(wrote, read int64) {
		// Both halves count: the carrier waits for both.
		w.Watcher.progress(Progress{Phase: PhaseWrite, Transfer: bag.ID(),
			Bytes: (written.Add(wrote) + checked.Add(read)) / 2, TotalBytes: total})
	})
	if err != nil {
		return err
	}
	w.Watcher.progress(Progress{Phase: PhaseSeal, Transfer: bag.ID(), Bytes: total, TotalBytes: total})
	return w.seal(bag, id, folder)
}

// objects lists the bag's files as the drive will hold them, the tag manifest
// last, with the digests that the bag itself states.
func objects(bag *outbox.Bag, folder string) (list []drive.Object, total int64, err error) {
	sizes := &bag.Statement.Sizes
	add := func(name string, size int64, sum manifest.Hash) {
		list = append(list, drive.Object{Name: path.Join(folder, name), Size: size, SHA256: sum,
			Open: func() (io.ReadCloser, error) {
				f, err := os.Open(filepath.Join(bag.Dir(), name))
				if err != nil {
					return nil, err
				}
				return durable.NewReader(f)
			}})
	}
	tags, err := os.ReadFile(filepath.Join(bag.Dir(), manifest.TagManifest))
	if err != nil {
		return nil, 0, refuse(BagDamaged, bag.ID(), err)
	}
	if sha256.Sum256(tags) != bag.Statement.Payload {
		return nil, 0, refusef(BagDamaged, bag.ID(), "%s was altered", manifest.TagManifest)
	}
	sums, err := manifest.ParseSums(tags, manifest.TagFiles)
	if err != nil {
		return nil, 0, refuse(BagDamaged, bag.ID(), err)
	}
	var parts []manifest.Hash
	for i, name := range manifest.TagFiles {
		if name != manifest.Manifest {
			continue
		}
		data, err := os.ReadFile(filepath.Join(bag.Dir(), name))
		if err == nil && sha256.Sum256(data) != sums[i] {
			err = drive.ErrSource
		}
		if err == nil {
			parts, err = manifest.ParseSums(data, manifest.PartNames(len(sizes.Parts)))
		}
		if err != nil {
			return nil, 0, refuse(BagDamaged, bag.ID(), err)
		}
	}
	for i, sum := range parts {
		add(manifest.PartName(i+1), sizes.Parts[i], sum)
	}
	for i, t := range sizes.Tags {
		add(t.Name, t.Bytes, sums[i])
	}
	add(manifest.TagManifest, sizes.TagManifest, bag.Statement.Payload)
	return list, sizes.Total(), nil
}

// room asks for space before anything is written. What an earlier attempt
// already wrote counts as room.
func (w *Writing) room(total int64, folder string) error {
	free, err := w.Drive.Free()
	if err != nil {
		return err
	}
	free += w.Drive.Used(folder)
	const slack = 1 << 20 // seal, folders
	if total+slack > free {
		return refusef(DriveFull, w.Drive.Path(), "%d bytes are needed and %d are free: %d are missing", total+slack, free, total+slack-free)
	}
	return nil
}

// seal signs the statement for this drive and writes the seal, its envelope last:
//
//	statement persisted → counter → evidence → drive → ledger → outbox
//
// A crash after the counter moved finishes the same statement when it is for
// this bag and drive; otherwise the value is a gap that the next one explains.
func (w *Writing) seal(bag *outbox.Bag, driveID, folder string) error {
	chain, err := w.Outbox.Chain()
	if err != nil {
		return refuse(Failed, "outbox", err)
	}
	counter, err := w.Signer.Counter()
	if err != nil {
		return refuse(SealFailed, "TPM", err)
	}
	if chain.Counter == 0 {
		chain.Counter = counter // nothing sealed yet: what the enrolment left
	}
	if counter < chain.Counter {
		return refusef(SealFailed, "TPM", "its counter is at %d, before the last seal's %d: this is another TPM, or an older state of it", counter, chain.Counter)
	}
	p := chain.Pending
	if p == nil || p.Counter != counter || p.Transfer != bag.ID() || p.Drive != driveID {
		if p, err = w.begin(bag, driveID, chain, counter); err != nil {
			return err
		}
	}
	sealed, err := w.Signer.Seal(manifest.StatementType, p.Statement)
	if err != nil {
		return refuse(SealFailed, "TPM", err)
	}
	for name, data := range sealed.Evidence.Files() {
		if err := w.Drive.Put(path.Join(folder, manifest.SealDir, name), data); err != nil {
			return err
		}
	}
	if err := w.Drive.Put(path.Join(folder, manifest.SealDir, manifest.Envelope), sealed.Envelope); err != nil {
		return err
	}
	if err := w.Drive.Present(); err != nil {
		return err
	}
	// The record comes first: a seal without one would look like a deletion.
	if _, err := w.Ledger.Append(ledger.Record{Event: ledger.Write, By: w.Staff, Transfer: bag.ID(), Result: "sealed",
		Facts: map[string]string{"counter": strconv.FormatUint(p.Counter, 10), "drive": driveID}}); err != nil {
		return refuse(Failed, "ledger", err)
	}
	previous := manifest.Hash(sha256.Sum256(p.Statement))
	if err := bag.AddWrite(outbox.Written{Counter: p.Counter, Drive: driveID, Staff: w.Staff, Time: time.Now().UTC().Truncate(time.Second)}); err != nil {
		return refuse(Failed, "outbox", err)
	}
	return w.Outbox.SetChain(&outbox.Chain{Counter: p.Counter, Previous: &previous})
}

// begin completes the statement, puts it on disk and moves the counter.
func (w *Writing) begin(bag *outbox.Bag, driveID string, chain *outbox.Chain, counter uint64) (*outbox.Pending, error) {
	st := bag.Statement
	st.Counter, st.Previous, st.Drive, st.Staff = counter+1, chain.Previous, driveID, w.Staff
	st.Software, st.SoftTPM = w.Software, w.Signer.Software()
	st.Time, st.TimeFrom = time.Now().UTC().Truncate(time.Second), "system clock"
	st.Ledger = string(w.Ledger.Checkpoint())
	for c := chain.Counter + 1; c <= counter && len(st.Gaps) < manifest.MaxGaps; c++ {
		st.Gaps = append(st.Gaps, c)
	}
	text, err := st.Marshal()
	if err != nil {
		return nil, refuse(Failed, "statement", err)
	}
	p := &outbox.Pending{Transfer: bag.ID(), Drive: driveID, Counter: st.Counter, Statement: text}
	if err := w.Outbox.SetChain(&outbox.Chain{Counter: chain.Counter, Previous: chain.Previous, Pending: p}); err != nil {
		return nil, refuse(Failed, "outbox", err)
	}
	moved, err := w.Signer.Increment()
	if err != nil {
		return nil, refuse(SealFailed, "TPM", err)
	}
	if moved != st.Counter {
		return nil, refusef(SealFailed, "TPM", "its counter went to %d instead of %d: something else uses it", moved, st.Counter)
	}
	return p, nil
}

// explainDrive gives a drive's error its reason.
func explainDrive(err error) error {
	for _, c := range []struct {
		err    error
		reason Reason
	}{
		{drive.ErrSource, BagDamaged}, {drive.ErrNone, NoDrive}, {drive.ErrGone, DriveGone}, {drive.ErrFull, DriveFull},
		{drive.ErrReadOnly, DriveProtected}, {drive.ErrReadBack, DriveFaulty}, {drive.ErrUnreadable, ReadFailed},
	} {
		if errors.Is(err, c.err) && !errors.As(err, new(*Refusal)) {
			return refuse(c.reason, "", err)
		}
	}
	return err
}

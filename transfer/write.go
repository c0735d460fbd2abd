package transfer

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"sync/atomic"

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
			result := "trouble"
			switch {
			case !refusal.Reason.Trouble():
				result = "held"
			case refusal.Reason == BagDamaged: // or it would stand in the way of every other
				if err := bag.SetDamaged(); err != nil {
					return refuse(Failed, "outbox", errors.Join(refusal, err))
				}
			}
			_, lerr := w.Ledger.Append(ledger.Record{Event: ledger.Write, By: w.Staff, Transfer: bag.ID(), Result: result, Reason: string(refusal.Reason)})
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
	objects, total, err := objects(bag, folder)
	if err != nil {
		return err
	}
	if err := w.room(total, folder); err != nil {
		return err
	}
	// An old seal must not stand beside bytes that are being replaced.
	if err := w.Drive.Remove(path.Join(folder, manifest.SealDir, manifest.Envelope)); err != nil {
		return err
	}
	if err := w.sweep(objects, folder); err != nil {
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

// sweep deletes from the bag's folder what is none of its objects: what an
// interrupted write or another computer left there, which a gate would refuse.
func (w *Writing) sweep(objects []drive.Object, folder string) error {
	folders, files := map[string]bool{path.Join(folder, manifest.Data): true}, make(map[string]bool)
	for _, o := range objects {
		files[o.Name] = true
	}
	for _, dir := range []string{folder, path.Join(folder, manifest.Data)} {
		names, err := w.Drive.List(dir, manifest.MaxParts+maxNames)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		for _, n := range names {
			name := path.Join(dir, n.Name)
			if n.Folder && folders[name] || n.File && files[name] {
				continue
			}
			if err := w.Drive.Remove(name); err != nil {
				return err
			}
		}
	}
	return nil
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

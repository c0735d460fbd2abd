package transfer

import (
	"errors"
	"io/fs"
	"path"
	"slices"

	"sekisho/transfer/drive"
	"sekisho/transfer/manifest"
)

// Bounds of a drive's listings: more names than these have no place on it.
const (
	maxNames     = 64   // in SEKISHO, in a transfer's folder
	maxTransfers = 1000 // on a drive
)

// look lists the sealed transfers on the drive, and refuses a SEKISHO folder
// with anything in it that has no place there. Receipts and files of trust are no
// part of any transfer: what lies among them is neither read here nor minded.
func (in *Inbound) look() ([]string, error) {
	top, err := in.list(manifest.Root, maxNames)
	if absent(err) {
		return nil, refusef(NoTransfer, in.Drive.Path(), "there is no folder %s", manifest.Root)
	}
	if errors.Is(err, drive.ErrKind) {
		return nil, refuse(ExtraFile, manifest.Root, err)
	}
	if err != nil {
		return nil, err
	}
	for _, n := range top {
		switch name := path.Join(manifest.Root, n.Name); {
		case n.Folder && (name == manifest.Transfers || name == manifest.Receipts || name == manifest.Trust), n.File && name == manifest.DriveFile:
		default:
			return nil, refusef(ExtraFile, name, "it has no place on a drive")
		}
	}
	names, err := in.list(manifest.Transfers, maxTransfers)
	if absent(err) {
		return nil, refusef(NoTransfer, in.Drive.Path(), "there is no folder %s", manifest.Transfers)
	}
	if err != nil {
		return nil, err
	}
	var ids []string
	for _, n := range names {
		name := path.Join(manifest.Transfers, n.Name)
		if !n.Folder || !manifest.ValidID(n.Name) {
			return nil, refusef(ExtraFile, name, "it is no transfer")
		}
		sealed, err := in.list(path.Join(name, manifest.SealDir), maxNames)
		if absent(err) {
			in.Log.Warn("a transfer on the drive is not sealed", "transfer", n.Name)
			continue
		}
		// What cannot be listed is of that transfer alone: it is refused in turn.
		if err != nil || slices.ContainsFunc(sealed, func(s drive.Name) bool { return s.Name == manifest.Envelope }) {
			ids = append(ids, n.Name)
		}
	}
	if len(ids) == 0 {
		return nil, refusef(NoTransfer, in.Drive.Path(), "%d transfers lie there and none is sealed", len(names))
	}
	slices.Sort(ids)
	return ids, nil
}

// absent says that the drive is there and has no such object.
func absent(err error) bool {
	return errors.Is(err, fs.ErrNotExist) && !errors.Is(err, drive.ErrGone)
}

// list is the drive's listing, with too many names as what they are.
func (in *Inbound) list(name string, limit int) ([]drive.Name, error) {
	names, err := in.Drive.List(name, limit)
	if errors.Is(err, drive.ErrTooLarge) {
		return nil, refuse(ExtraFile, name, err)
	}
	return names, err
}

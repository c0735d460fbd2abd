package main

import (
	"context"
	"errors"
	"path"
	"slices"

	"sekisho/app/console"
	"sekisho/transfer"
	"sekisho/transfer/drive"
	"sekisho/transfer/manifest"
	"sekisho/transfer/outbox"
)

func runApprove(_ context.Context, c *console.Console, args []string) (err error) {
	var staff string
	f := console.NewFlags("kiosk", "approve", "-config FILE [-staff N] APPROVAL",
		"Take IT's approval in the file APPROVAL, which gate approve wrote. One on a drive is taken by itself when the drive is used.")
	f.Staff(&staff)
	rest, err := f.Parse(c, args, 1)
	if err != nil {
		return err
	}
	if err := console.CheckStaff(staff); err != nil {
		return err
	}
	data, err := console.ReadFile(rest[0], maxKeys)
	if err != nil {
		return err
	}
	m, err := openMachine(c, f.Config)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	a, err := m.takeApproval(data, staff)
	if err != nil {
		return err
	}
	if a == nil {
		c.Say("this approval was here already")
		return nil
	}
	c.Say("approval %s of kiosk %s holds until %s", a.ID(), a.Kiosk, a.LastDay())
	return nil
}

// runSeal finishes what was written while the kiosk's state was not approved.
func runSeal(ctx context.Context, c *console.Console, args []string) (err error) {
	var drivePath, staff string
	f := console.NewFlags("kiosk", "seal", "-config FILE -pending -drive FOLDER [-staff N] [-json]",
		"Seal the bags that lie on the drive without a seal, once IT has approved this kiosk's state. They are read back, not scanned again.")
	pending := f.Bool("pending", false, "seal what waits; there is nothing else to seal")
	f.StringVar(&drivePath, "drive", "", "the drive, as a mounted `folder`")
	f.Staff(&staff)
	if _, err := f.Parse(c, args, 0); err != nil {
		return err
	}
	if drivePath == "" || !*pending {
		return console.Usagef("seal wants -pending and -drive FOLDER")
	}
	if err := console.CheckStaff(staff); err != nil {
		return err
	}
	m, err := openMachine(c, f.Config)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	d, err := m.drive(drivePath, staff, true)
	if err != nil {
		return err
	}
	due, err := m.due()
	if err != nil {
		return err
	}
	var waiting []*outbox.Bag
	for _, b := range due {
		if isWritten(d, b.ID()) {
			waiting = append(waiting, b)
		}
	}
	if len(waiting) == 0 {
		return &transfer.Refusal{Reason: transfer.NothingDue, Where: d.Path()}
	}
	return m.writeBags(ctx, d, staff, waiting, func(*outbox.Bag) bool { return true })
}

// isWritten says whether the drive holds the bag but for its seal: the tag
// manifest is the last of its files.
func isWritten(d *drive.Drive, id string) bool {
	// After an error there is nothing, or nothing that can be read: kiosk write
	// says which.
	names, err := d.List(path.Join(manifest.Transfers, id), maxNames)
	return err == nil && slices.ContainsFunc(names, func(n drive.Name) bool { return n.File && n.Name == manifest.TagManifest })
}

const maxNames = 64 // in a transfer's folder

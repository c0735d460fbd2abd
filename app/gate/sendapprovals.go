package main

import (
	"slices"
	"time"

	"sekisho/app/console"
	"sekisho/transfer"
	"sekisho/transfer/approval"
	"sekisho/transfer/drive"
)

func putApproval(d *drive.Drive, a *approval.Approval) error {
	return transfer.PutTrust(d, transfer.ApprovalFile, a.Kiosk, a.ID(), a.Envelope())
}

// sendApprovals leaves on the drive, which goes back to them, what IT approved for
// the kiosks of these transfers by the key in use, and nothing else: a kiosk would
// take what was revoked, and wonder about what another key signed.
func (m *machine) sendApprovals(d *drive.Drive, outcomes []transfer.Outcome) error {
	stores, err := m.approvalStore()
	if err != nil {
		return err
	}
	approved, err := stores[0].List()
	if err != nil {
		return err
	}
	there, err := transfer.TrustNames(d, transfer.ApprovalFile)
	if err != nil { // what was accepted stays accepted
		m.Console.Note("approvals could not be put onto the drive: %s", console.OneLine(err))
		return nil
	}
	of := func(kiosk string) bool {
		return slices.ContainsFunc(outcomes, func(o transfer.Outcome) bool { return o.Statement != nil && o.Statement.Kiosk == kiosk })
	}
	approved = slices.DeleteFunc(approved, func(a *approval.Approval) bool {
		return !of(a.Kiosk) || a.Standing(time.Now()) == approval.Expired
	})
	for _, n := range there {
		if !of(n.Kiosk) || slices.ContainsFunc(approved, func(a *approval.Approval) bool { return a.Kiosk == n.Kiosk && a.ID() == n.ID }) {
			continue
		}
		if err := transfer.RemoveTrust(d, transfer.ApprovalFile, n.Kiosk, n.ID); err != nil {
			m.Console.Note("approval %q stays on the drive and holds no more: %s", n.ID, console.OneLine(err))
		}
	}
	for _, a := range approved {
		if err := putApproval(d, a); err != nil {
			m.Console.Note("approval %s could not be written to the drive: %s", a.ID(), console.OneLine(err))
		}
	}
	return nil
}

package main

import (
	"context"
	"errors"
	"io/fs"

	"sekisho/app/console"
	"sekisho/transfer/approval"
	"sekisho/transfer/durable"
	"sekisho/transfer/ledger"
	"sekisho/transfer/manifest"
)

func runRevoke(_ context.Context, c *console.Console, args []string) (err error) {
	var staff, reason string
	f := console.NewFlags("gate", "revoke", "-config FILE [-staff N] [-reason TEXT] APPROVAL",
		"Revoke an approval, by the id that gate approvals shows; a kiosk's name revokes the state in which it was enrolled.")
	f.StringVar(&reason, "reason", "", "why, kept with the revoked approval: a line of `text`")
	f.Staff(&staff)
	rest, err := f.Parse(c, args, 1)
	if err != nil {
		return err
	}
	if err := console.CheckStaff(staff); err != nil {
		return err
	}
	if !approval.ValidReason(reason) {
		return console.Usagef("-reason: one line of at most %d bytes", approval.MaxReason)
	}
	m, err := openMachine(c, f.Config)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	by := staff
	if by == "" {
		by = "it"
	}
	stores, err := m.approvalStore()
	if err != nil {
		return err
	}
	// Recorded first: a second record after a crash is better than none.
	record := func() error {
		_, err := m.Ledger.Append(ledger.Record{Event: ledger.Approve, By: staff, Result: "revoked", Facts: map[string]string{"approval": rest[0]}})
		return err
	}
	err = stores.Revoke(rest[0], by, reason, record)
	if errors.Is(err, approval.ErrNone) {
		err = m.revokeEnrolled(rest[0], record)
	}
	if errors.Is(err, approval.ErrRevoked) {
		return &console.UsageError{Err: err}
	}
	if errors.Is(err, fs.ErrNotExist) {
		return console.Usagef("there is no approval %q, and no kiosk of that name; gate approvals lists them", rest[0])
	}
	if err != nil {
		return err
	}
	c.Say("%s is revoked: the gate holds what is sealed in that state", rest[0])
	c.Say("A TPM that is bound to approved states knows no revocation and goes on to seal.")
	return nil
}

// revokeEnrolled forgets the state in which a kiosk was enrolled, once record kept
// that.
func (m *machine) revokeEnrolled(name string, record func() error) error {
	if !manifest.ValidName(name) {
		return fs.ErrNotExist
	}
	k, err := readKiosk(m.kioskPath(name))
	if err != nil {
		return err
	}
	if len(k.PCRs) == 0 {
		return console.Usagef("the state in which kiosk %s was enrolled is revoked already", name)
	}
	// Or an answer that is still on its way would bring a state back.
	if err := m.giveUp(name, "its state was revoked"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	k.PCRs, k.Events = nil, nil
	data, err := k.Marshal()
	if err != nil {
		return err
	}
	if err := record(); err != nil {
		return err
	}
	return durable.Replace(m.kioskPath(name), data, 0o600)
}

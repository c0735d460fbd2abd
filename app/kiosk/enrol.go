package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"sekisho/app/console"
	"sekisho/transfer"
	"sekisho/transfer/durable"
	"sekisho/transfer/enrol"
	"sekisho/transfer/ledger"
)

// runEnrolRequest is the first of four steps; the file goes to the gate.
func runEnrolRequest(ctx context.Context, c *console.Console, args []string) (err error) {
	f := console.NewFlags("kiosk", "enrol request", "-config FILE [-software-roots FILE] DRIVE",
		"Make this kiosk's sealing key, if it has none yet, and write the request that asks a gate to enrol it to the drive.")
	roots := f.String("software-roots", "", "of a software TPM: write the certificates of its maker to this new `file`, for software_tpm_roots of the gate")
	rest, err := f.Parse(c, args, 1)
	if err != nil {
		return err
	}
	m, err := openMachine(c, f.Config)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	d, err := m.openDrive(rest[0])
	if err != nil {
		return err
	}
	request, err := m.request(ctx)
	if err != nil {
		return err
	}
	data, err := request.Marshal()
	if err != nil {
		return err
	}
	if *roots != "" {
		if err := m.softwareRoots(*roots); err != nil {
			return err
		}
	}
	if err := durable.Replace(m.Path(requestFile), data, 0o600); err != nil {
		return err
	}
	if err := transfer.PutTrust(d, transfer.RequestFile, m.Name, "", data); err != nil {
		return err
	}
	if _, err := m.Ledger.Append(ledger.Record{Event: ledger.Enrol, Result: "requested", Facts: map[string]string{"fingerprint": request.Fingerprint()}}); err != nil {
		return err
	}
	c.Say("kiosk %s asks to be enrolled; its fingerprint is", m.Name)
	c.Say("  %s", request.Fingerprint())
	c.Say("At the gate, with the drive: gate enrol challenge -fingerprint, with what this screen shows.")
	return nil
}

// request asks for the TPM's key, in the form that is configured.
func (m *machine) request(ctx context.Context) (*enrol.Request, error) {
	form, err := m.form()
	if err != nil {
		if m.TPM.Approved {
			return nil, console.Usagef("require_approved_state needs IT's approvals key first: kiosk enrol trust KEYS, with the gate's key set")
		}
		return nil, err
	}
	t, err := m.tpm(ctx)
	if err != nil {
		return nil, err
	}
	key, err := t.CreateKey(form)
	if err != nil {
		return nil, sealTrouble(fmt.Errorf("making the sealing key: %w", err))
	}
	m.Console.Note("asking the TPM for its endorsement key; a chip may take a minute")
	ek, err := t.Endorsement(ctx)
	if err != nil {
		return nil, sealTrouble(err)
	}
	state, err := m.present(t)
	if err != nil {
		return nil, sealTrouble(err)
	}
	state.Time = time.Time{} // the request has its own, and the fingerprint none
	text, err := state.Marshal()
	if err != nil {
		return nil, err
	}
	return enrol.NewRequest(m.Name, ek, key, form, text, time.Now())
}

func (m *machine) softwareRoots(path string) error {
	if m.TPM.Kind != "software" {
		return console.Usagef("-software-roots is for a software TPM, and this kiosk is configured with a device")
	}
	roots, err := enrol.SoftwareRoots(m.Path("tpm"))
	if err != nil {
		return err
	}
	return console.WriteNew(path, roots, 0o644)
}

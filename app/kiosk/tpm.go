package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"

	"sekisho/transfer"
	"sekisho/transfer/approval"
	"sekisho/transfer/measure"
	"sekisho/transfer/seal"
)

// tpm opens the TPM and tells it what was measured, so that seals say it.
func (m *machine) tpm(ctx context.Context) (*seal.TPM, error) {
	open := func() (*seal.TPM, error) { return seal.OpenSoftware(ctx, m.Path("tpm")) }
	if m.TPM.Kind == "device" {
		open = func() (*seal.TPM, error) { return seal.OpenDevice(ctx, m.TPM.Device) }
	}
	t, err := open()
	if err != nil {
		return nil, sealTrouble(err)
	}
	m.OnClose(t.Close)
	if m.TPM.Kind == "device" {
		return t, m.measured(t)
	}
	// A software TPM starts with this program and forgets its registers with it.
	if m.events, err = m.measure(); err != nil {
		return nil, err
	}
	if err := t.Measure(m.events); err != nil {
		return nil, sealTrouble(err)
	}
	return t, nil
}

// configuration is the name of this program's configuration among the measured
// files: it is the same wherever the file lies.
const configuration = "configuration"

// measure lists the program, its configuration and the files that this one names.
func (m *machine) measure() (*measure.List, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	list, err := measure.Files(m.TPM.Register, append([]string{program}, m.Measure.Files...))
	if err != nil {
		return nil, err
	}
	data, err := os.ReadFile(m.File)
	if err != nil {
		return nil, fmt.Errorf("measuring the configuration: %w", err)
	}
	list.Events = slices.Insert(list.Events, 1, measure.Event{Name: configuration, SHA256: sha256.Sum256(data)})
	return list, nil
}

// measured takes over the list that kiosk measure made at this start. Without a
// list that fits, the gate judges the register by its value alone.
func (m *machine) measured(t *seal.TPM) error {
	list, err := measure.Load(m.Measure.List)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		m.Console.Note("Sekisho was not measured since this machine started: kiosk measure runs before it (%q is missing)", m.Measure.List)
	case err != nil:
		return err
	case list.Register != m.TPM.Register:
		m.Console.Note("Sekisho was measured into register %d, and is configured with %d now: kiosk measure runs at the next start", list.Register, m.TPM.Register)
	default:
		err := t.Measured(list)
		if !errors.Is(err, seal.ErrMeasured) {
			m.events = list
			return sealTrouble(err)
		}
		m.Console.Note("the list of what was measured does not explain register %d: %v", list.Register, err)
	}
	m.events = &measure.List{Register: m.TPM.Register}
	return sealTrouble(t.Measured(m.events))
}

// sealTrouble gives a TPM's error its reason.
func sealTrouble(err error) error {
	if err == nil || errors.As(err, new(*transfer.Refusal)) {
		return err
	}
	reason := transfer.SealFailed
	switch {
	case errors.Is(err, seal.ErrMissing):
		reason = transfer.NoTPM
	case errors.Is(err, seal.ErrInUse), errors.Is(err, seal.ErrNoAnswer):
		reason = transfer.TPMBusy
	case errors.Is(err, seal.ErrLocked):
		reason = transfer.TPMLocked
	case errors.Is(err, seal.ErrUnapproved):
		reason = transfer.UnapprovedState
	case errors.Is(err, seal.ErrNoKey):
		reason = transfer.NotEnrolled
	}
	return &transfer.Refusal{Reason: reason, Where: "TPM", Err: err}
}

// signer opens the TPM and its sealing key, and says when the gate will have to
// ask IT about the state it is in.
func (m *machine) signer(ctx context.Context) (*seal.TPM, *seal.Key, error) {
	form, err := m.form()
	if err != nil {
		return nil, nil, err
	}
	t, err := m.tpm(ctx)
	if err != nil {
		return nil, nil, err
	}
	key, err := t.Key(form)
	if errors.Is(err, seal.ErrNoKey) && m.lostKey(t) {
		err = &transfer.Refusal{Reason: transfer.RolledBack, Where: "TPM", Err: errors.New("the sealing key that was enrolled is gone: the TPM was cleared or replaced")}
	}
	if err != nil {
		return nil, nil, sealTrouble(err)
	}
	if err := m.authorize(key); err != nil {
		return nil, nil, err
	}
	if key.Software() {
		m.Console.Note("software TPM: the seal is a demonstration")
	}
	return t, key, nil
}

// lostKey says that this kiosk was enrolled once and its TPM has a key in neither
// form.
func (m *machine) lostKey(t *seal.TPM) bool {
	if _, ok, err := m.enrolledState(); !ok || err != nil {
		return false
	}
	var other seal.Form
	if !m.TPM.Approved {
		by, err := m.approvalsKey()
		if err != nil {
			return false
		}
		other.Approvals = by
	}
	_, err := t.Key(other)
	return errors.Is(err, seal.ErrNoKey)
}

// authorize hands the key what IT approved and what holds now: a TPM has no
// calendar of its own.
func (m *machine) authorize(key *seal.Key) error {
	approved, err := m.approvals()
	if err != nil {
		return err
	}
	var all []seal.Authorization
	for _, a := range approved {
		if a.Standing(time.Now()) == approval.Holds {
			all = append(all, a.Authorization())
		}
	}
	key.Authorized(all)
	return nil
}

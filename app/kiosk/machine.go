package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"sekisho/app/config"
	"sekisho/app/console"
	"sekisho/app/state"
	"sekisho/scan"
	"sekisho/transfer"
	"sekisho/transfer/drive"
	"sekisho/transfer/manifest"
	"sekisho/transfer/measure"
	"sekisho/transfer/outbox"
	"sekisho/transfer/seal"
)

// machine is the kiosk with its state folder, owned until Close.
type machine struct {
	*config.Kiosk
	*state.Folder
	outbox  *outbox.Outbox
	engines *scan.Scanner // started when first needed
	spool   *scan.Spool
	events  *measure.List // what the TPM's software register was extended with
}

// openMachine takes the state folder for this process and opens what every
// writing command needs.
func openMachine(c *console.Console, path string) (*machine, error) {
	cfg, err := config.ReadKiosk(path)
	if err != nil {
		return nil, &console.UsageError{Err: err}
	}
	folder, err := state.Open(c, cfg.State)
	if err != nil {
		return nil, err
	}
	m := &machine{Kiosk: cfg, Folder: folder}
	if err := m.open(); err != nil {
		return nil, errors.Join(err, m.Close())
	}
	return m, nil
}

func (m *machine) open() (err error) {
	if m.outbox, err = outbox.Open(m.Path("outbox")); err != nil {
		return err
	}
	key, err := m.ledgerKey()
	if err != nil {
		return err
	}
	return m.OpenLedger(origin(m.Name), key)
}

func origin(kiosk string) string { return "sekisho/kiosk/" + kiosk }

// ledgerKey loads the key that signs checkpoints, making it at the first start.
func (m *machine) ledgerKey() (*seal.PrivateKey, error) {
	path := m.Path("ledger.key")
	key, err := seal.LoadPrivateKey(path)
	if errors.Is(err, fs.ErrNotExist) {
		key, err = seal.CreatePrivateKey(path)
	}
	if err != nil {
		return nil, fmt.Errorf("the ledger's key: %w", err)
	}
	return key, nil
}

// gateKeys returns the pinned key set of the gate.
func (m *machine) gateKeys() (*manifest.KeySet, error) {
	path := m.Path(keysFile)
	data, err := os.ReadFile(path)
	if err == nil {
		var keys *manifest.KeySet
		if keys, err = manifest.ParseKeySet(data); err == nil {
			return keys, nil
		}
	}
	return nil, &transfer.Refusal{Reason: transfer.NotEnrolled, Where: path, Err: err}
}

// drive opens the drive at path, settles what the receipts on it accept, and takes
// IT's approvals from it.
func (m *machine) drive(path, staff string, erase bool) (*drive.Drive, error) {
	d, err := m.openDrive(path)
	if err != nil {
		return nil, err
	}
	keys, err := m.gateKeys()
	if err != nil {
		return nil, err
	}
	key, err := seal.ParsePublicKey([]byte(keys.Receipts))
	if err != nil {
		return nil, &transfer.Refusal{Reason: transfer.NotEnrolled, Where: "receipt key", Err: err}
	}
	answers, unknown, err := transfer.Settle(transfer.Settling{Outbox: m.outbox, Drive: d, Gate: keys.Gate, Key: key, Ledger: m.Ledger, Staff: staff, Erase: erase})
	for _, a := range answers {
		r := a.Receipt
		if r.Result == manifest.Accepted {
			m.Console.Note("receipt: transfer %s was accepted on %s", r.Transfer, r.Time.Local().Format("2006-01-02 15:04"))
		} else {
			m.Console.Note("receipt: transfer %s was refused: %s", r.Transfer, console.TextOf(transfer.Reason(r.Reason), m.Console.Lang).What)
		}
	}
	if err != nil {
		return nil, err
	}
	for _, name := range unknown {
		m.Console.Note("the drive holds a receipt that is not of gate %s and was left alone: %q", keys.Gate, name)
	}
	return d, m.takeApprovals(d, staff, erase)
}

// openDrive opens the drive and reads nothing of it.
func (m *machine) openDrive(path string) (*drive.Drive, error) {
	d, err := drive.Open(path)
	if err != nil {
		return nil, &transfer.Refusal{Reason: transfer.NoDrive, Err: err}
	}
	m.OnClose(d.Close)
	return d, nil
}

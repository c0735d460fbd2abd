package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"sekisho/app/config"
	"sekisho/app/console"
	"sekisho/assets"
	"sekisho/scan"
	"sekisho/transfer"
	"sekisho/transfer/drive"
	"sekisho/transfer/durable"
	"sekisho/transfer/ledger"
	"sekisho/transfer/manifest"
	"sekisho/transfer/outbox"
	"sekisho/transfer/seal"
)

// machine is the kiosk's state, opened once and owned until Close.
type machine struct {
	*config.Kiosk
	console *console.Console
	log     *slog.Logger
	outbox  *outbox.Outbox
	ledger  *ledger.Log
	engines *scan.Scanner // started when first needed
	spool   *scan.Spool

	closers []func() error
}

// openMachine takes the state folder for this process and opens what every
// writing command needs.
func openMachine(c *console.Console, path string) (*machine, error) {
	cfg, err := config.ReadKiosk(path)
	if err != nil {
		return nil, &console.UsageError{Err: err}
	}
	m := &machine{Kiosk: cfg, console: c, log: c.Log()}
	if err := m.open(); err != nil {
		return nil, errors.Join(err, m.Close())
	}
	return m, nil
}

func (m *machine) open() error {
	if err := durable.Mkdir(m.State, 0o700); err != nil {
		return fmt.Errorf("opening the kiosk's state: %w", err)
	}
	lock, err := durable.Acquire(m.State)
	if errors.As(err, new(*durable.HeldError)) {
		return &transfer.Refusal{Reason: transfer.Busy, Err: err}
	}
	if err != nil {
		return err
	}
	m.closers = append(m.closers, lock.Release)
	if m.outbox, err = outbox.Open(filepath.Join(m.State, "outbox")); err != nil {
		return err
	}
	key, err := m.ledgerKey()
	if err != nil {
		return err
	}
	if m.ledger, err = ledger.Open(m.ledgerDir(), origin(m.Name), key.Signer()); err != nil {
		err = fmt.Errorf("opening the data transfer records: %w", err)
		if errors.As(err, new(*ledger.Fault)) {
			return console.Faulty(err)
		}
		return err
	}
	m.closers = append(m.closers, m.ledger.Close)
	return nil
}

func origin(kiosk string) string { return "sekisho/kiosk/" + kiosk }

func (m *machine) ledgerDir() string { return filepath.Join(m.State, "ledger") }

// ledgerKey loads the key that signs checkpoints, making it at the first start.
func (m *machine) ledgerKey() (*seal.PrivateKey, error) {
	path := filepath.Join(m.State, "ledger.key")
	key, err := seal.LoadPrivateKey(path)
	if errors.Is(err, fs.ErrNotExist) {
		key, err = seal.CreatePrivateKey(path)
	}
	if err != nil {
		return nil, fmt.Errorf("the ledger's key: %w", err)
	}
	return key, nil
}

// Close gives back what was opened, last first.
func (m *machine) Close() error {
	var errs []error
	for i := len(m.closers) - 1; i >= 0; i-- {
		errs = append(errs, m.closers[i]())
	}
	m.closers = nil
	return errors.Join(errs...)
}

// gateKeys returns the pinned key set of the gate.
func (m *machine) gateKeys() (*manifest.KeySet, error) {
	path := filepath.Join(m.State, keysFile)
	data, err := os.ReadFile(path)
	if err == nil {
		var keys *manifest.KeySet
		if keys, err = manifest.ParseKeySet(data); err == nil {
			return keys, nil
		}
	}
	return nil, &transfer.Refusal{Reason: transfer.NotEnrolled, Where: path, Err: err}
}

// scanner starts the engines and the spool.
func (m *machine) scanner(ctx context.Context) (*scan.Scanner, *scan.Spool, error) {
	if err := durable.Mkdir(m.Limits.Spool, 0o700); err != nil {
		return nil, nil, fmt.Errorf("the spool: %w", err)
	}
	spool, err := scan.NewSpool(m.Limits.Spooling())
	if err != nil {
		return nil, nil, fmt.Errorf("the spool: %w", err)
	}
	cfg := m.Engines.Scan()
	cfg.Builtin, cfg.Log = assets.Rules, m.log
	s, err := scan.New(ctx, cfg)
	if err != nil {
		return nil, nil, &transfer.Refusal{Reason: transfer.EngineFailed, Err: err}
	}
	m.closers = append(m.closers, s.Close)
	if s.Demonstration() {
		m.console.Note("demonstration signatures: the engines know little more than test files")
	}
	return s, spool, nil
}

// signer opens the TPM and its sealing key.
func (m *machine) signer(ctx context.Context) (*seal.Key, error) {
	t, err := m.tpm(ctx)
	if err != nil {
		return nil, &transfer.Refusal{Reason: transfer.SealFailed, Where: "TPM", Err: err}
	}
	key, err := t.Key()
	if errors.Is(err, seal.ErrNoKey) {
		return nil, &transfer.Refusal{Reason: transfer.NotEnrolled, Where: "TPM", Err: err}
	}
	if err != nil {
		return nil, &transfer.Refusal{Reason: transfer.SealFailed, Where: "TPM", Err: err}
	}
	if key.Software() {
		m.console.Note("software TPM: the seal is a demonstration")
	}
	return key, nil
}

func (m *machine) tpm(ctx context.Context) (*seal.TPM, error) {
	open := func() (*seal.TPM, error) { return seal.OpenSoftware(ctx, filepath.Join(m.State, "tpm")) }
	if m.TPM.Kind == "device" {
		open = func() (*seal.TPM, error) { return seal.OpenDevice(ctx, m.TPM.Device) }
	}
	t, err := open()
	if err != nil {
		return nil, err
	}
	m.closers = append(m.closers, t.Close)
	return t, nil
}

// drive opens the drive at path and settles what the receipts on it accept.
func (m *machine) drive(path, staff string, erase bool) (*drive.Drive, error) {
	d, err := drive.Open(path)
	if err != nil {
		return nil, &transfer.Refusal{Reason: transfer.NoDrive, Err: err}
	}
	m.closers = append(m.closers, d.Close)
	keys, err := m.gateKeys()
	if err != nil {
		return nil, err
	}
	key, err := seal.ParsePublicKey([]byte(keys.Receipts))
	if err != nil {
		return nil, &transfer.Refusal{Reason: transfer.NotEnrolled, Where: "receipt key", Err: err}
	}
	answers, unknown, err := transfer.Settle(transfer.Settling{Outbox: m.outbox, Drive: d, Gate: keys.Gate, Key: key, Ledger: m.ledger, Staff: staff, Erase: erase})
	for _, a := range answers {
		r := a.Receipt
		if r.Result == manifest.Accepted {
			m.console.Note("receipt: transfer %s was accepted on %s", r.Transfer, r.Time.Local().Format("2006-01-02 15:04"))
		} else {
			m.console.Note("receipt: transfer %s was refused: %s", r.Transfer, console.TextOf(transfer.Reason(r.Reason), m.console.Lang).What)
		}
	}
	for _, name := range unknown {
		m.console.Note("the drive holds a receipt that is not of gate %s and was left alone: %q", keys.Gate, name)
	}
	return d, err
}

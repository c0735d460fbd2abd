package main

import (
	"context"
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
	"sekisho/transfer/seal"
	"sekisho/transfer/vault"
)

// machine is the gate with its state folder, owned until Close.
type machine struct {
	*config.Gate
	*state.Folder
	vault *vault.Vault
}

// Files of the state folder.
const (
	keysFile     = "gate.keys.json" // the public key set, for kiosks
	identityFile = "gate.key"       // the age identity
	receiptsKey  = "receipts.key"
	ledgerKey    = "ledger.key"
	reportsKey   = "reports.key"
	kiosksDir    = "kiosks"
)

// openMachine takes the state folder for this process and opens what every
// writing command needs.
func openMachine(c *console.Console, path string) (*machine, error) {
	cfg, err := config.ReadGate(path)
	if err != nil {
		return nil, &console.UsageError{Err: err}
	}
	m, err := openState(c, cfg)
	if err != nil {
		return nil, err
	}
	if err := m.open(); err != nil {
		return nil, errors.Join(err, m.Close())
	}
	return m, nil
}

// openState takes the state folder for this process, in which no replacement of
// keys is half done then.
func openState(c *console.Console, cfg *config.Gate) (*machine, error) {
	folder, err := state.Open(c, cfg.State)
	if err != nil {
		return nil, err
	}
	m := &machine{Gate: cfg, Folder: folder}
	if m.rotating() {
		c.Note("a replacement of keys was interrupted; it is completed now")
	}
	if err := m.completeRotation(); err != nil {
		return nil, errors.Join(err, m.Close())
	}
	return m, nil
}

func (m *machine) open() error {
	if err := m.openLedger(); err != nil {
		return err
	}
	if err := m.openVault(); err != nil {
		return err
	}
	return m.completeEnrolments()
}

func (m *machine) openVault() (err error) {
	m.vault, err = vault.Open(m.Vault)
	if errors.Is(err, vault.ErrMissing) {
		return console.Usagef("%w; is its disk mounted?", err)
	}
	return err
}

func (m *machine) openLedger() error {
	key, err := m.key(ledgerKey)
	if err != nil {
		return err
	}
	keys, earlier, err := m.history()
	if err != nil {
		return err
	}
	ring, err := ledgerKeys(setsOf(keys, earlier))
	if err != nil {
		return err
	}
	return m.OpenLedger(origin(m.Name), key, ring[:len(ring)-1]...)
}

func origin(gate string) string { return "sekisho/gate/" + gate }

// key loads a signing key of the gate. Missing keys are a matter of set-up.
func (m *machine) key(name string) (*seal.PrivateKey, error) {
	key, err := seal.LoadPrivateKey(m.Path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, console.Usagef("the gate has no keys yet (%q is missing): gate keys create makes them", m.Path(name))
	}
	if err != nil {
		return nil, fmt.Errorf("the key %q: %w", m.Path(name), err)
	}
	return key, nil
}

func (m *machine) keySet() (*manifest.KeySet, error) {
	data, err := os.ReadFile(m.Path(keysFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, console.Usagef("the gate has no keys yet: gate keys create makes them")
	}
	if err != nil {
		return nil, err
	}
	keys, err := manifest.ParseKeySet(data)
	if err != nil {
		return nil, fmt.Errorf("%q: %w", m.Path(keysFile), err)
	}
	return keys, nil
}

// identity reads what opens bags: the gate's keys, or the recovery key at path.
func (m *machine) identity(path string) (transfer.Identity, error) {
	if path != "" {
		return readIdentity(path)
	}
	return m.identities()
}

// drive opens the drive and reads nothing of it.
func (m *machine) drive(path string) (*drive.Drive, error) {
	d, err := drive.Open(path)
	if err != nil {
		return nil, &transfer.Refusal{Reason: transfer.NoDrive, Err: err}
	}
	m.OnClose(d.Close)
	return d, nil
}

// scanner starts the engines, unless the gate is configured not to scan: then
// both are nil.
func (m *machine) scanner(ctx context.Context) (*scan.Scanner, *scan.Spool, error) {
	if !m.Scans() {
		m.Console.Note("the gate is configured not to scan; its receipts say so")
		return nil, nil, nil
	}
	return m.Scanner(ctx, &m.Engines, &m.Limits)
}

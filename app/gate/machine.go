package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"sekisho/app/config"
	"sekisho/app/console"
	"sekisho/assets"
	"sekisho/scan"
	"sekisho/transfer"
	"sekisho/transfer/durable"
	"sekisho/transfer/ledger"
	"sekisho/transfer/manifest"
	"sekisho/transfer/seal"
	"sekisho/transfer/vault"
)

// machine is the gate's state, opened once and owned until Close.
type machine struct {
	*config.Gate
	console *console.Console
	log     *slog.Logger
	vault   *vault.Vault
	ledger  *ledger.Log

	closers []func() error
}

// Files of the state folder.
const (
	keysFile     = "gate.keys.json" // the public key set, for kiosks
	identityFile = "gate.key"       // the age identity
	receiptsKey  = "receipts.key"
	ledgerKey    = "ledger.key"
	ledgerDir    = "ledger"
	kiosksDir    = "kiosks"
)

// openMachine takes the state folder for this process and opens what every
// writing command needs.
func openMachine(c *console.Console, path string) (*machine, error) {
	cfg, err := config.ReadGate(path)
	if err != nil {
		return nil, &console.UsageError{Err: err}
	}
	m := &machine{Gate: cfg, console: c, log: c.Log()}
	if err := m.open(); err != nil {
		return nil, errors.Join(err, m.Close())
	}
	return m, nil
}

func (m *machine) open() error {
	if err := durable.Mkdir(m.State, 0o700); err != nil {
		return fmt.Errorf("opening the gate's state: %w", err)
	}
	if err := m.lock(); err != nil {
		return err
	}
	if err := m.openLedger(); err != nil {
		return err
	}
	var err error
	m.vault, err = vault.Open(m.Vault)
	if errors.Is(err, vault.ErrMissing) {
		return console.Usagef("%w; is its disk mounted?", err)
	}
	return err
}

// openLedger opens the records under their key.
func (m *machine) openLedger() error {
	key, err := m.key(ledgerKey)
	if err != nil {
		return err
	}
	if m.ledger, err = ledger.Open(m.path(ledgerDir), origin(m.Name), key.Signer()); err != nil {
		err = fmt.Errorf("opening the data transfer records: %w", err)
		if errors.As(err, new(*ledger.Fault)) {
			return console.Faulty(err)
		}
		return err
	}
	m.closers = append(m.closers, m.ledger.Close)
	return nil
}

// lock takes the state folder, or says who has it.
func (m *machine) lock() error {
	lock, err := durable.Acquire(m.State)
	if errors.As(err, new(*durable.HeldError)) {
		return &transfer.Refusal{Reason: transfer.Busy, Err: err}
	}
	if err != nil {
		return err
	}
	m.closers = append(m.closers, lock.Release)
	return nil
}

func origin(gate string) string { return "sekisho/gate/" + gate }

func (m *machine) path(names ...string) string {
	return filepath.Join(append([]string{m.State}, names...)...)
}

// key loads a signing key of the gate. Missing keys are a matter of set-up.
func (m *machine) key(name string) (*seal.PrivateKey, error) {
	key, err := seal.LoadPrivateKey(m.path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, console.Usagef("the gate has no keys yet (%q is missing): gate keys create makes them", m.path(name))
	}
	if err != nil {
		return nil, fmt.Errorf("the key %q: %w", m.path(name), err)
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

func (m *machine) keySet() (*manifest.KeySet, error) {
	data, err := os.ReadFile(m.path(keysFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, console.Usagef("the gate has no keys yet: gate keys create makes them")
	}
	if err != nil {
		return nil, err
	}
	keys, err := manifest.ParseKeySet(data)
	if err != nil {
		return nil, fmt.Errorf("%q: %w", m.path(keysFile), err)
	}
	return keys, nil
}

// identity reads an age identity: the gate's, or the recovery key at path.
func (m *machine) identity(path string) (transfer.Identity, error) {
	if path == "" {
		path = m.path(identityFile)
	}
	st, err := os.Stat(path)
	if err != nil {
		return transfer.Identity{}, console.Usagef("the key file: %w", err)
	}
	if st.Mode().Perm()&0o077 != 0 {
		return transfer.Identity{}, console.Usagef("the key file %q can be read by others (%v): chmod 600", path, st.Mode().Perm())
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return transfer.Identity{}, err
	}
	id, err := transfer.NewIdentity(string(text))
	if err != nil {
		return transfer.Identity{}, console.Usagef("%q: %w", path, err)
	}
	return id, nil
}

// kiosks reads the enrolled kiosks.
func (m *machine) kiosks() ([]*seal.Kiosk, error) {
	entries, err := os.ReadDir(m.path(kiosksDir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var kiosks []*seal.Kiosk
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".json") {
			continue
		}
		data, err := os.ReadFile(m.path(kiosksDir, e.Name()))
		if err != nil {
			return nil, err
		}
		k, err := seal.ParseKiosk(data)
		if err != nil {
			return nil, fmt.Errorf("the enrolment %q: %w", m.path(kiosksDir, e.Name()), err)
		}
		kiosks = append(kiosks, k)
	}
	slices.SortFunc(kiosks, func(a, b *seal.Kiosk) int { return strings.Compare(a.Name, b.Name) })
	return kiosks, nil
}

// scanner starts the engines and the spool, unless the gate is configured not
// to scan: then both are nil.
func (m *machine) scanner(ctx context.Context) (*scan.Scanner, *scan.Spool, error) {
	if !m.Scans() {
		m.console.Note("the gate is configured not to scan; its receipts say so")
		return nil, nil, nil
	}
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

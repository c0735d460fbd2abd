package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"sekisho/app/config"
	"sekisho/app/console"
	"sekisho/app/state"
	"sekisho/scan"
	"sekisho/transfer"
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
	kiosksDir    = "kiosks"
)

// openMachine takes the state folder for this process and opens what every
// writing command needs.
func openMachine(c *console.Console, path string) (*machine, error) {
	cfg, err := config.ReadGate(path)
	if err != nil {
		return nil, &console.UsageError{Err: err}
	}
	folder, err := state.Open(c, cfg.State)
	if err != nil {
		return nil, err
	}
	m := &machine{Gate: cfg, Folder: folder}
	if err := m.open(); err != nil {
		return nil, errors.Join(err, m.Close())
	}
	return m, nil
}

func (m *machine) open() error {
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

func (m *machine) openLedger() error {
	key, err := m.key(ledgerKey)
	if err != nil {
		return err
	}
	return m.OpenLedger(origin(m.Name), key)
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

// identity reads an age identity: the gate's, or the recovery key at path.
func (m *machine) identity(path string) (transfer.Identity, error) {
	if path == "" {
		path = m.Path(identityFile)
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
	entries, err := os.ReadDir(m.Path(kiosksDir))
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
		data, err := os.ReadFile(m.Path(kiosksDir, e.Name()))
		if err != nil {
			return nil, err
		}
		k, err := seal.ParseKiosk(data)
		if err != nil {
			return nil, fmt.Errorf("the enrolment %q: %w", m.Path(kiosksDir, e.Name()), err)
		}
		kiosks = append(kiosks, k)
	}
	slices.SortFunc(kiosks, func(a, b *seal.Kiosk) int { return strings.Compare(a.Name, b.Name) })
	return kiosks, nil
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

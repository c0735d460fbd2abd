package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"filippo.io/age"

	"sekisho/app/config"
	"sekisho/app/console"
	"sekisho/app/state"
	"sekisho/transfer/durable"
	"sekisho/transfer/ledger"
	"sekisho/transfer/manifest"
	"sekisho/transfer/seal"
	"sekisho/transfer/vault"
)

// runKeysCreate makes the gate's keys once. It never replaces one: what an old
// key encrypted would be lost.
func runKeysCreate(_ context.Context, c *console.Console, args []string) (err error) {
	f := console.NewFlags("gate", "keys create", "-config FILE -recovery FILE [-keys FILE]",
		"Make the gate's keys. The recovery key is written to a file of its own: print it, put it into two envelopes, and delete the file.")
	recovery := f.String("recovery", "", "write the recovery key to this new `file`")
	public := f.String("keys", "", "write the public key set, for kiosks, to this new `file` too")
	if _, err := f.Parse(c, args, 0); err != nil {
		return err
	}
	if *recovery == "" {
		return console.Usagef("-recovery FILE is missing")
	}
	cfg, err := config.ReadGate(f.Config)
	if err != nil {
		return &console.UsageError{Err: err}
	}
	folder, err := state.Open(c, cfg.State)
	if err != nil {
		return err
	}
	m := &machine{Gate: cfg, Folder: folder}
	defer func() { err = errors.Join(err, m.Close()) }()
	// The key set comes last: it says that the others are complete.
	files := []string{*recovery, m.Path(identityFile), m.Path(receiptsKey), m.Path(ledgerKey), m.Path(state.LedgerDir), m.Path(keysFile)}
	if *public != "" {
		files = append(files, *public)
	}
	for _, path := range files {
		if _, err := os.Lstat(path); err == nil {
			return console.Usagef("%q is there already; a key is never replaced", path)
		}
	}
	defer func() {
		if err != nil { // nothing was encrypted to them yet
			for _, path := range files {
				_ = os.RemoveAll(path) // may not have come to be
			}
		}
	}()
	keys := &manifest.KeySet{Gate: m.Name}
	if keys.Recovery, err = createIdentity(*recovery, "recovery key of gate "+m.Name); err != nil {
		return err
	}
	if keys.Encryption, err = createIdentity(m.Path(identityFile), "the gate's key"); err != nil {
		return err
	}
	if keys.Receipts, err = createKey(m.Path(receiptsKey)); err != nil {
		return err
	}
	if keys.Ledger, err = createKey(m.Path(ledgerKey)); err != nil {
		return err
	}
	data, err := keys.Marshal()
	if err != nil {
		return err
	}
	if *public != "" {
		if err := console.WriteNew(*public, data, 0o644); err != nil {
			return err
		}
	}
	if _, err := vault.Create(m.Vault); err != nil {
		return err
	}
	if err := m.begin(keys); err != nil {
		return err
	}
	if err := durable.WriteNew(m.Path(keysFile), data, 0o644); err != nil {
		return err
	}
	c.Say("the recovery key is in %s: print it for two envelopes, then delete the file", *recovery)
	return showKeys(c, keys)
}

// begin writes the first record of the gate's ledger: an empty one would not
// show that it was emptied.
func (m *machine) begin(keys *manifest.KeySet) error {
	digest, err := keys.Digest()
	if err != nil {
		return err
	}
	if err := m.openLedger(); err != nil {
		return err
	}
	_, err = m.Ledger.Append(ledger.Record{Event: ledger.Trust, Result: "created", Facts: map[string]string{"keys": digest.String()}})
	return err
}

// createIdentity makes a hybrid age key in a new file and returns its recipient.
func createIdentity(path, comment string) (string, error) {
	id, err := age.GenerateHybridIdentity()
	if err != nil {
		return "", err
	}
	text := fmt.Sprintf("# %s\n%s\n", comment, id)
	if err := console.WriteNew(path, []byte(text), 0o600); err != nil {
		return "", err
	}
	return id.Recipient().String(), nil
}

func createKey(path string) (string, error) {
	key, err := seal.CreatePrivateKey(path)
	if err != nil {
		return "", fmt.Errorf("writing a key: %w", err)
	}
	return string(key.Public().Marshal()), nil
}

func runKeysShow(_ context.Context, c *console.Console, args []string) error {
	f := console.NewFlags("gate", "keys show", "-config FILE", "Show the digest of the key set, for comparison with a kiosk.")
	if _, err := f.Parse(c, args, 0); err != nil {
		return err
	}
	cfg, err := config.ReadGate(f.Config)
	if err != nil {
		return &console.UsageError{Err: err}
	}
	keys, err := (&machine{Gate: cfg, Folder: state.At(cfg.State)}).keySet()
	if err != nil {
		return err
	}
	return showKeys(c, keys)
}

func showKeys(c *console.Console, keys *manifest.KeySet) error {
	digest, err := keys.Digest()
	if err != nil {
		return err
	}
	c.Say("gate %s; the digest of its keys is", keys.Gate)
	c.Say("  %s", console.Grouped(digest))
	return nil
}

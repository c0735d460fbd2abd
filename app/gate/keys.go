package main

import (
	"context"
	"errors"
	"os"
	"time"

	"sekisho/app/config"
	"sekisho/app/console"
	"sekisho/app/state"
	"sekisho/transfer/durable"
	"sekisho/transfer/ledger"
	"sekisho/transfer/manifest"
	"sekisho/transfer/vault"
)

// runKeysCreate makes the gate's keys once. It never replaces one: what an old
// key encrypted would be lost.
func runKeysCreate(_ context.Context, c *console.Console, args []string) (err error) {
	f := console.NewFlags("gate", "keys create",
		"-config FILE -recovery FILE [-approvals FILE] [-definitions FILE] [-passphrase FILE] [-sheet FILE.pdf] [-keys FILE]",
		"Make the gate's keys, one for each purpose. The recovery key is written to a file of its own: print it for two envelopes, and delete the file. "+
			"The keys for approvals and definitions are for IT, on a medium that stays offline, encrypted with a passphrase.")
	o := newOffline(f)
	public := f.String("keys", "", "write the public key set, for kiosks, to this new `file` too")
	if _, err := f.Parse(c, args, 0); err != nil {
		return err
	}
	if o.recovery == "" {
		return console.Usagef("-recovery FILE is missing")
	}
	o.besideRecovery()
	cfg, err := config.ReadGate(f.Config)
	if err != nil {
		return &console.UsageError{Err: err}
	}
	if err := o.check(cfg, *public); err != nil {
		return err
	}
	passphrase, err := c.Passphrase(o.passphrase, "the keys for approvals and definitions", true)
	if err != nil {
		return err
	}
	folder, err := state.Open(c, cfg.State)
	if err != nil {
		return err
	}
	m := &machine{Gate: cfg, Folder: folder}
	defer func() { err = errors.Join(err, m.Close()) }()
	// The key set comes last: it says that the others are complete.
	files := o.files()
	for _, p := range purposes {
		if p.file != "" {
			files = append(files, m.Path(p.file))
		}
	}
	files = append(files, m.Path(state.LedgerDir), m.Path(keysFile))
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
	maker := &keyMaker{gate: m.Name, state: cfg.State, offline: o, passphrase: passphrase, made: time.Now()}
	for _, p := range purposes {
		if err := maker.make(p, keys); err != nil {
			return err
		}
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
	o.say(c)
	return showDigest(c, keys)
}

// begin writes the first record of the gate's ledger: an empty one would not
// show that it was emptied.
func (m *machine) begin(keys *manifest.KeySet) error {
	digest, err := keys.Digest()
	if err != nil {
		return err
	}
	key, err := m.key(ledgerKey)
	if err != nil {
		return err
	}
	if err := m.OpenLedger(origin(m.Name), key); err != nil {
		return err
	}
	_, err = m.Ledger.Append(ledger.Record{Event: ledger.Trust, Result: "created", Facts: map[string]string{"keys": digest.String()}})
	return err
}

func showDigest(c *console.Console, keys *manifest.KeySet) error {
	digest, err := keys.Digest()
	if err != nil {
		return err
	}
	c.Say("gate %s; the digest of its keys is", keys.Gate)
	c.Say("  %s", console.Grouped(digest))
	return nil
}

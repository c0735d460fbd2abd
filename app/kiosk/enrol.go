package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"sekisho/app/console"
	"sekisho/transfer/durable"
	"sekisho/transfer/ledger"
	"sekisho/transfer/manifest"
	"sekisho/transfer/seal"
)

const (
	keysFile = "gate.keys.json" // the pinned key set, in the state folder
	maxKeys  = 64 << 10         // bytes
)

func runEnrolRequest(ctx context.Context, c *console.Console, args []string) (err error) {
	f := console.NewFlags("kiosk", "enrol request", "-config FILE REQUEST",
		"Make this kiosk's sealing key, if it has none yet, and write the file REQUEST that asks a gate to enrol it.")
	rest, err := f.Parse(c, args, 1)
	if err != nil {
		return err
	}
	m, err := openMachine(c, f.Config)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	t, err := m.tpm(ctx)
	if err != nil {
		return err
	}
	key, err := t.CreateKey()
	if err != nil {
		return fmt.Errorf("making the sealing key: %w", err)
	}
	request, err := key.Request(m.Name)
	if err != nil {
		return err
	}
	data, err := request.Marshal()
	if err != nil {
		return err
	}
	if err := console.WriteNew(rest[0], data, 0o644); err != nil {
		return err
	}
	if _, err := m.Ledger.Append(ledger.Record{Event: ledger.Enrol, Result: "requested", Facts: map[string]string{"fingerprint": request.Fingerprint()}}); err != nil {
		return err
	}
	c.Say("kiosk %s asks to be enrolled; its fingerprint is", m.Name)
	c.Say("  %s", request.Fingerprint())
	c.Say("The gate shows it too; two people compare them.")
	return nil
}

func runEnrolTrust(_ context.Context, c *console.Console, args []string) (err error) {
	f := console.NewFlags("kiosk", "enrol trust", "-config FILE [-replace] KEYS",
		"Pin the key set in the file KEYS: bags are encrypted to it, and only its receipts count.")
	replace := f.Bool("replace", false, "pin it in the place of another; bags made for that one will be refused")
	rest, err := f.Parse(c, args, 1)
	if err != nil {
		return err
	}
	data, err := console.ReadFile(rest[0], maxKeys)
	if err != nil {
		return err
	}
	keys, err := manifest.ParseKeySet(data)
	if err == nil {
		_, err = seal.ParsePublicKey([]byte(keys.Receipts))
	}
	if err != nil {
		return console.Usagef("%q is not the key set of a gate: %w", rest[0], err)
	}
	m, err := openMachine(c, f.Config)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	digest, err := keys.Digest()
	if err != nil {
		return err
	}
	path := m.Path(keysFile)
	if pinned, err := os.ReadFile(path); err == nil && !bytes.Equal(pinned, data) && !*replace {
		return console.Usagef("another key set is pinned: %q; -replace takes its place, and bags made for it will be refused", path)
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := durable.Replace(path, data, 0o644); err != nil {
		return err
	}
	if _, err := m.Ledger.Append(ledger.Record{Event: ledger.Trust, Result: "trusted", Facts: map[string]string{"gate": keys.Gate, "keys": digest.String()}}); err != nil {
		return err
	}
	c.Say("gate %s is trusted; the digest of its keys is", keys.Gate)
	c.Say("  %s", console.Grouped(digest))
	c.Say("gate keys show prints it too; two people compare them.")
	return nil
}

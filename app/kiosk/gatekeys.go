package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"sekisho/app/console"
	"sekisho/transfer"
	"sekisho/transfer/durable"
	"sekisho/transfer/enrol"
	"sekisho/transfer/ledger"
	"sekisho/transfer/manifest"
	"sekisho/transfer/seal"
)

const (
	keysFile = "gate.keys.json" // the pinned key set, in the state folder
	maxKeys  = 64 << 10         // bytes
)

func runEnrolTrust(_ context.Context, c *console.Console, args []string) (err error) {
	f := console.NewFlags("kiosk", "enrol trust", "-config FILE [-digest D] [-replace] [-staff N] KEYS",
		"Pin the gate's key set in the file KEYS: bags are encrypted to it, and only its receipts count.")
	digest := f.String("digest", "", "the `digest` that the gate shows; needed unless these keys are pinned already")
	replace := f.Bool("replace", false, "pin it in the place of another")
	var staff string
	f.Staff(&staff)
	rest, err := f.Parse(c, args, 1)
	if err != nil {
		return err
	}
	if err := console.CheckStaff(staff); err != nil {
		return err
	}
	data, err := console.ReadFile(rest[0], maxKeys)
	if err != nil {
		return err
	}
	if _, err := manifest.ParseKeySet(data); err != nil {
		return console.Usagef("%q is not the key set of a gate: %w", rest[0], err)
	}
	m, err := openMachine(c, f.Config)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	return m.pin(data, rest[0], *digest, *replace, staff)
}

// pin trusts a gate's key set, which the file from holds, once it was compared:
// whoever holds the drive could have put his own in its place.
func (m *machine) pin(data []byte, from, compared string, replace bool, staff string) error {
	keys, err := manifest.ParseKeySet(data)
	if err != nil {
		return &transfer.Refusal{Reason: transfer.EnrolmentRefused, Where: "key set", Err: err}
	}
	if _, err := seal.ParsePublicKey([]byte(keys.Receipts)); err != nil {
		return &transfer.Refusal{Reason: transfer.EnrolmentRefused, Where: "key set", Err: err}
	}
	digest, err := keys.Digest()
	if err != nil {
		return err
	}
	path := m.Path(keysFile)
	pinned, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if bytes.Equal(pinned, data) {
		m.Console.Say("gate %s is trusted already; the digest of its keys is", keys.Gate)
		m.Console.Say("  %s", enrol.KeysFingerprint(digest))
		return nil
	}
	if pinned != nil && !replace {
		return console.Usagef("another key set is pinned: %q; -replace takes its place, and the new gate may refuse bags made for the old", path)
	}
	shown := enrol.KeysFingerprint(digest)
	switch {
	case compared == "": // not shown here: it would only be typed again
		return console.Usagef("these are keys of gate %q: give the digest that its own screen shows (gate keys show) with -digest; nothing was pinned", keys.Gate)
	case !console.SameGroups(compared, shown): // nor here
		return &transfer.Refusal{Reason: transfer.ComparisonFailed, Where: "gate's keys",
			Err: fmt.Errorf("what was typed is not the digest of the keys in %q", from)}
	}
	if err := durable.Replace(path, data, 0o644); err != nil {
		return err
	}
	if _, err := m.Ledger.Append(ledger.Record{Event: ledger.Trust, By: staff, Result: "trusted", Facts: map[string]string{"gate": keys.Gate, "keys": digest.String()}}); err != nil {
		return err
	}
	m.Console.Say("gate %s is trusted; the digest of its keys is", keys.Gate)
	m.Console.Say("  %s", shown)
	return nil
}

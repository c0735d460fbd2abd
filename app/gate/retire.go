package main

import (
	"context"
	"errors"
	"path/filepath"
	"time"

	"sekisho/app/console"
	"sekisho/transfer/durable"
	"sekisho/transfer/ledger"
	"sekisho/transfer/manifest"
)

// runKeysRetire ends the acceptance of what is made for an earlier key set. Its
// age identity is kept: generations that it opens stay readable.
func runKeysRetire(_ context.Context, c *console.Console, args []string) (err error) {
	f := console.NewFlags("gate", "keys retire", "-config FILE [-staff N] DIGEST",
		"Refuse from now on what is made for an earlier key set, which DIGEST names as gate keys show prints it. What lies in the vault stays readable.")
	var staff string
	f.Staff(&staff)
	rest, err := f.Parse(c, args, 1)
	if err != nil {
		return err
	}
	if err := console.CheckStaff(staff); err != nil {
		return err
	}
	m, err := openMachine(c, f.Config)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	keys, earlier, err := m.history()
	if err != nil {
		return err
	}
	if names(rest[0], mustDigest(keys)) {
		return console.Usagef("%q is the key set in use: gate keys rotate replaces it first", rest[0])
	}
	for _, s := range earlier {
		if !names(rest[0], s.digest) {
			continue
		}
		if s.retired {
			return console.Usagef("the key set %s is retired already", console.Grouped(s.digest))
		}
		// Recorded first: a second record after a crash is better than none.
		if _, err := m.Ledger.Append(ledger.Record{Event: ledger.Trust, By: staff, Result: "retired", Facts: map[string]string{"keys": s.digest.String()}}); err != nil {
			return err
		}
		note := `{"Time":"` + time.Now().UTC().Format(time.RFC3339) + `"}`
		if err := durable.WriteNew(filepath.Join(s.dir, retiredFile), []byte(note), 0o600); err != nil {
			return err
		}
		c.Say("what is made for the key set %s is refused from now on", console.Grouped(s.digest))
		return nil
	}
	return console.Usagef("the gate never had a key set %q; gate keys show lists them", rest[0])
}

// names says whether what was typed is a digest as people or as files have it.
func names(typed string, digest manifest.Hash) bool {
	return console.SameGroups(typed, console.Grouped(digest)) || typed == digest.String()
}

package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"sekisho/app/config"
	"sekisho/app/console"
	"sekisho/app/state"
	"sekisho/transfer/ledger"
	"sekisho/transfer/manifest"
	"sekisho/transfer/vault"
)

func runLogList(_ context.Context, c *console.Console, args []string) error {
	f := console.NewFlags("gate", "log list", "-config FILE [-json]", "List the data transfer records, oldest first.")
	if _, err := f.Parse(c, args, 0); err != nil {
		return err
	}
	cfg, err := config.ReadGate(f.Config)
	if err != nil {
		return &console.UsageError{Err: err}
	}
	return c.Records(filepath.Join(cfg.State, "ledger"))
}

// runLogVerify checks the ledger against its signed checkpoints and against the
// vault, in which every generation must have its record.
func runLogVerify(_ context.Context, c *console.Console, args []string) error {
	f := console.NewFlags("gate", "log verify", "-config FILE [-json]", "Check that no data transfer record was changed or removed.")
	if _, err := f.Parse(c, args, 0); err != nil {
		return err
	}
	cfg, err := config.ReadGate(f.Config)
	if err != nil {
		return &console.UsageError{Err: err}
	}
	m := &machine{Gate: cfg, Folder: state.At(cfg.State)}
	dir := m.Path(state.LedgerDir)
	report, err := m.verifyLedger(dir)
	if errors.As(err, new(*console.UsageError)) {
		return err
	}
	if err == nil {
		err = complete(cfg, dir)
	}
	return c.Verified(report, err)
}

// verifyLedger checks the ledger under the keys of the set in use and of those
// before. Beside a replacement of its key, and after one that was interrupted, it
// is under the new set's already, or the sets have changed since they were read.
func (m *machine) verifyLedger(dir string) (*ledger.Report, error) {
	for try := 0; ; try++ {
		rotating := m.rotating()
		keys, earlier, err := m.history()
		if err != nil {
			return nil, err
		}
		sets := setsOf(keys, earlier)
		ring, err := ledgerKeys(sets)
		if err != nil {
			return nil, err
		}
		report, err := ring.Verify(dir, origin(m.Name))
		if err == nil || try == 3 {
			return report, err
		}
		if again, _, herr := m.history(); herr == nil && !rotating && !m.rotating() && mustDigest(again) == mustDigest(keys) {
			return report, err
		}
		if next, nerr := m.nextSet(); nerr == nil {
			if ring, nerr = ledgerKeys(append([]*manifest.KeySet{next}, sets...)); nerr == nil {
				if report, nerr = ring.Verify(dir, origin(m.Name)); nerr == nil {
					return report, nil
				}
			}
		}
	}
}

// complete compares the records with the vault: rolling all files of the ledger
// back together leaves it consistent, but behind the vault.
func complete(cfg *config.Gate, dir string) error {
	v, err := vault.Open(cfg.Vault)
	if err != nil {
		return err
	}
	all, err := v.Generations()
	if err != nil {
		return err
	}
	accepted := make(map[string]bool)
	if err := ledger.List(dir, 0, func(r ledger.Record) error {
		if r.Event == ledger.Import {
			accepted[r.Transfer+" "+r.Facts["payload"]] = true
		}
		return nil
	}); err != nil {
		return err
	}
	var errs []error
	for _, g := range all {
		if !accepted[g.Transfer+" "+g.Payload.String()] {
			errs = append(errs, fmt.Errorf("the records lack the acceptance of generation %s", g.ID))
		}
	}
	return errors.Join(errs...)
}

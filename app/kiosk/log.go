package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strconv"

	"sekisho/app/config"
	"sekisho/app/console"
	"sekisho/transfer/ledger"
	"sekisho/transfer/outbox"
	"sekisho/transfer/seal"
)

func runLogList(_ context.Context, c *console.Console, args []string) error {
	f := console.NewFlags("kiosk", "log list", "-config FILE [-json]", "List the data transfer records, oldest first.")
	if _, err := f.Parse(c, args, 0); err != nil {
		return err
	}
	cfg, err := config.ReadKiosk(f.Config)
	if err != nil {
		return &console.UsageError{Err: err}
	}
	return c.Records(filepath.Join(cfg.State, "ledger"))
}

// runLogVerify checks the ledger against its signed checkpoints, against what
// the seals say of it, and its last seal against the chain of the outbox.
func runLogVerify(_ context.Context, c *console.Console, args []string) error {
	f := console.NewFlags("kiosk", "log verify", "-config FILE [-json]", "Check that no data transfer record was changed or removed.")
	if _, err := f.Parse(c, args, 0); err != nil {
		return err
	}
	cfg, err := config.ReadKiosk(f.Config)
	if err != nil {
		return &console.UsageError{Err: err}
	}
	key, err := seal.LoadPrivateKey(filepath.Join(cfg.State, "ledger.key"))
	if errors.Is(err, fs.ErrNotExist) {
		return c.Verified(nil, errors.New("there is no ledger key: this kiosk has not been used yet, or its records were removed"))
	}
	if err != nil {
		return fmt.Errorf("the ledger's key: %w", err)
	}
	dir := filepath.Join(cfg.State, "ledger")
	report, err := ledger.Verify(dir, origin(cfg.Name), key.Signer().Public())
	if err == nil {
		err = complete(cfg, dir)
	}
	return c.Verified(report, err)
}

// complete compares the records with the outbox: rolling all files of the ledger
// back together leaves it consistent, but behind the seals that were made.
func complete(cfg *config.Kiosk, dir string) error {
	box, err := outbox.Open(filepath.Join(cfg.State, "outbox"))
	if err != nil {
		return err
	}
	bags, err := box.Bags()
	if err != nil {
		return err
	}
	sealed := make(map[string]bool)
	if err := ledger.List(dir, 0, func(r ledger.Record) error {
		if r.Event == ledger.Write && r.Result == "sealed" {
			sealed[r.Transfer+" "+r.Facts["counter"]] = true
		}
		return nil
	}); err != nil {
		return err
	}
	var errs []error
	for _, b := range bags {
		for _, w := range b.Written {
			if !sealed[b.ID()+" "+strconv.FormatUint(w.Counter, 10)] {
				errs = append(errs, fmt.Errorf("the records lack the seal of transfer %s at counter %d", b.ID(), w.Counter))
			}
		}
	}
	return errors.Join(errs...)
}

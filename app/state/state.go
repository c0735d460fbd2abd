// Package state is a program's own folder and what the program holds open
// there: the lock, the data transfer records, the engines. It is opened once by
// a command that writes, and closed last first. Commands that only read do
// without it.
package state

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"

	"sekisho/app/config"
	"sekisho/app/console"
	"sekisho/assets"
	"sekisho/scan"
	"sekisho/transfer"
	"sekisho/transfer/durable"
	"sekisho/transfer/ledger"
	"sekisho/transfer/seal"
)

// LedgerDir is the folder of the records, in the state folder of either program.
const LedgerDir = "ledger"

// Folder is a state folder that this process owns until Close.
type Folder struct {
	Console *console.Console
	Log     *slog.Logger
	Ledger  *ledger.Log // nil before OpenLedger

	dir     string
	closers []func() error
}

// Open makes the folder if need be and takes it for this process; who else has
// it is said as Busy.
func Open(c *console.Console, dir string) (*Folder, error) {
	if err := durable.Mkdir(dir, 0o700); err != nil {
		return nil, fmt.Errorf("opening the state folder: %w", err)
	}
	lock, err := durable.Acquire(dir)
	if errors.As(err, new(*durable.HeldError)) {
		return nil, &transfer.Refusal{Reason: transfer.Busy, Err: err}
	}
	if err != nil {
		return nil, err
	}
	f := &Folder{Console: c, Log: c.Log(), dir: dir}
	f.OnClose(lock.Release)
	return f, nil
}

// At names a state folder for reading. It takes nothing and opens nothing.
func At(dir string) *Folder { return &Folder{dir: dir} }

// Path is a path in the folder.
func (f *Folder) Path(names ...string) string {
	return filepath.Join(append([]string{f.dir}, names...)...)
}

// OnClose has Close call fn, before what was opened earlier is closed.
func (f *Folder) OnClose(fn func() error) { f.closers = append(f.closers, fn) }

// Close gives back what was opened, last first.
func (f *Folder) Close() error {
	var errs []error
	for i := len(f.closers) - 1; i >= 0; i-- {
		errs = append(errs, f.closers[i]())
	}
	f.closers = nil
	return errors.Join(errs...)
}

// OpenLedger opens the records under their key and those that they had before.
// Records that were tampered with end the command as refused: someone has to look.
func (f *Folder) OpenLedger(origin string, key *seal.PrivateKey, earlier ...crypto.PublicKey) (err error) {
	if f.Ledger, err = ledger.Open(f.Path(LedgerDir), origin, key.Signer(), earlier...); err != nil {
		return LedgerError(err)
	}
	f.OnClose(f.Ledger.Close)
	return nil
}

// LedgerError says what opening the records failed at.
func LedgerError(err error) error {
	err = fmt.Errorf("opening the data transfer records: %w", err)
	if errors.As(err, new(*ledger.Fault)) {
		return console.Faulty(err)
	}
	return err
}

// Scanner starts the engines and makes the spool that feeds them.
func (f *Folder) Scanner(ctx context.Context, engines *config.Engines, limits *config.Limits) (*scan.Scanner, *scan.Spool, error) {
	if err := durable.Mkdir(limits.Spool, 0o700); err != nil {
		return nil, nil, fmt.Errorf("the spool: %w", err)
	}
	spool, err := scan.NewSpool(limits.Spooling())
	if err != nil {
		return nil, nil, fmt.Errorf("the spool: %w", err)
	}
	cfg := engines.Scan()
	cfg.Builtin, cfg.Log = assets.Rules, f.Log
	s, err := scan.New(ctx, cfg)
	if err != nil {
		return nil, nil, &transfer.Refusal{Reason: transfer.EngineFailed, Err: err}
	}
	f.OnClose(s.Close)
	if s.Demonstration() {
		f.Console.Note("demonstration signatures: the engines know little more than test files")
	}
	return s, spool, nil
}

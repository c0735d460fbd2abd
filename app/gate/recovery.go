package main

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"time"

	"sekisho/app/config"
	"sekisho/app/console"
	"sekisho/app/state"
	"sekisho/transfer"
	"sekisho/transfer/durable"
	"sekisho/transfer/vault"
)

const checksFile = "recovery.json" // in the state folder

func runRecoveryExport(ctx context.Context, c *console.Console, args []string) error {
	f := console.NewFlags("gate", "recovery-check export", "-config FILE HEADERS",
		"Write the headers of what came since the last check to the new file HEADERS, for gate recovery-check try on a machine without a network. They hold no content.")
	rest, err := f.Parse(c, args, 1)
	if err != nil {
		return err
	}
	m, all, checks, err := openChecks(f.Config)
	if err != nil {
		return err
	}
	keys, earlier, err := m.history()
	if err != nil {
		return err
	}
	x := transfer.RecoveryExport{Gate: m.Name, Vault: m.vault, KeySets: setsOf(keys, earlier), Checked: checks.Checked}
	if checks.Unchecked(all) == 0 {
		c.Say("there is nothing to check: the recovery key was tried on every generation")
		return nil
	}
	var n transfer.RecoveryCount
	if err := writeNew(rest[0], func(w io.Writer) (err error) {
		n, err = transfer.ExportHeaders(ctx, x, w)
		return err
	}); err != nil {
		return err
	}
	c.Say("%s of %s are in %s", console.Count(int64(n.Headers), "header"), console.Count(int64(n.Generations), "generation"), rest[0])
	c.Say("Carry it to a machine without a network, and there: gate recovery-check try -recovery KEYFILE HEADERS RESULT")
	return nil
}

// writeNew streams a file that the command line names; it is there, whole and on
// disk, when the call returns nil, and otherwise not at all.
func writeNew(path string, write func(io.Writer) error) error {
	f, err := durable.Create(path, 0o600)
	switch {
	case errors.Is(err, fs.ErrExist):
		return console.Usagef("%q is there already; nothing was overwritten", path)
	case errors.Is(err, fs.ErrNotExist):
		return console.Usagef("the folder of %q does not exist", path)
	case err != nil:
		return err
	}
	if err := write(f); err != nil {
		return errors.Join(err, f.Close())
	}
	return f.Commit()
}

// runRecoveryTry needs nothing but this program: it runs where the key from the
// envelope may be typed in.
func runRecoveryTry(ctx context.Context, c *console.Console, args []string) (err error) {
	f := console.NewOfflineFlags("gate", "recovery-check try", "-recovery KEYFILE HEADERS RESULT",
		"On a machine without a network: open every header in the file HEADERS with the recovery key, and write what came of it to the new file RESULT. Delete KEYFILE afterwards.")
	keyFile := f.String("recovery", "", "the recovery key, in a `file`")
	rest, err := f.Parse(c, args, 2)
	if err != nil {
		return err
	}
	if *keyFile == "" {
		return console.Usagef("-recovery KEYFILE is missing")
	}
	key, err := readIdentity(*keyFile)
	if err != nil {
		return err
	}
	headers, err := os.Open(rest[0])
	if err != nil {
		return &console.UsageError{Err: err}
	}
	defer headers.Close()
	var n transfer.RecoveryCount
	var failed *transfer.Refusal // also that is a result
	err = writeNew(rest[1], func(w io.Writer) (err error) {
		n, err = transfer.TryRecovery(ctx, key, headers, w, func(generation, file string) {
			c.Note("the recovery key does not open %s/%s", generation, file)
		})
		if n.Generations > 0 && errors.As(err, &failed) && failed.Reason == transfer.RecoveryFailed {
			return nil
		}
		return err
	})
	if errors.Is(err, transfer.ErrCheckFile) {
		return console.Usagef("%q: %w", rest[0], err)
	}
	if err != nil {
		return err
	}
	c.Say("the recovery key opens %s of %s", console.Count(int64(n.Headers), "header"), console.Count(int64(n.Generations), "generation"))
	if n.Skipped > 0 {
		c.Note("not tried: %s, made for another recovery key; try that one too, with another file for its result", console.Count(int64(n.Skipped), "generation"))
	}
	c.Say("  proof  %s", console.Grouped(n.Proof))
	c.Say("Delete %s. Carry %s to the gate: gate recovery-check record", *keyFile, rest[1])
	if failed != nil {
		return failed
	}
	return nil
}

func runRecoveryRecord(ctx context.Context, c *console.Console, args []string) (err error) {
	f := console.NewFlags("gate", "recovery-check record", "-config FILE [-staff N] RESULT",
		"Check the proofs in the file RESULT, note the check in the records, and remember which generations need no other.")
	var staff string
	f.Staff(&staff)
	rest, err := f.Parse(c, args, 1)
	if err != nil {
		return err
	}
	if err := console.CheckStaff(staff); err != nil {
		return err
	}
	result, err := os.Open(rest[0])
	if err != nil {
		return &console.UsageError{Err: err}
	}
	defer result.Close()
	m, err := openMachine(c, f.Config)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	r := transfer.RecoveryRecord{Gate: m.Name, Vault: m.vault, Ledger: m.Ledger, Staff: staff}
	if r.Identity, err = m.identities(); err != nil {
		return err
	}
	path := m.Path(checksFile)
	if r.Checks, err = transfer.ReadRecoveryChecks(path); err != nil {
		return err
	}
	n, err := transfer.RecordRecovery(ctx, r, result)
	if errors.Is(err, transfer.ErrCheckFile) {
		return console.Usagef("%q: %w", rest[0], err)
	}
	all, lerr := m.vault.Generations()
	if lerr == nil {
		lerr = r.Checks.Write(path, all) // what was proven counts beside what failed
	}
	if err := errors.Join(err, lerr); err != nil {
		return err
	}
	c.Say("recorded: the recovery key opens %s of %s", console.Count(int64(n.Headers), "header"), console.Count(int64(n.Generations), "generation"))
	m.sayChecks(all, r.Checks)
	return nil
}

func runRecoveryStatus(_ context.Context, c *console.Console, args []string) error {
	return recoveryStatus(c, "recovery-check status", args)
}

func runRecoveryCheck(_ context.Context, c *console.Console, args []string) error {
	return recoveryStatus(c, "recovery-check", args)
}

func recoveryStatus(c *console.Console, name string, args []string) error {
	f := console.NewFlags("gate", name, "-config FILE", "Say when the recovery key was tried last, and on how many generations it was not.")
	if _, err := f.Parse(c, args, 0); err != nil {
		return err
	}
	m, all, checks, err := openChecks(f.Config)
	if err != nil {
		return err
	}
	m.Console = c
	if c.JSON {
		line := checksLine{Generations: len(all), Untried: checks.Unchecked(all)}
		if !checks.Last.IsZero() {
			line.Last = &checks.Last
		}
		c.Print(line)
	}
	m.sayChecks(all, checks)
	return nil
}

// checksLine is what recovery-check says with -json.
type checksLine struct {
	Generations int        `json:"generations"`
	Untried     int        `json:"untried"`
	Last        *time.Time `json:"last,omitempty"` // the recovery key was tried
}

// openChecks opens what is read only.
func openChecks(path string) (*machine, []vault.Generation, *transfer.RecoveryChecks, error) {
	cfg, err := config.ReadGate(path)
	if err != nil {
		return nil, nil, nil, &console.UsageError{Err: err}
	}
	m := &machine{Gate: cfg, Folder: state.At(cfg.State)}
	if err := m.openVault(); err != nil {
		return nil, nil, nil, err
	}
	all, err := m.vault.Generations()
	if err != nil {
		return nil, nil, nil, err
	}
	checks, err := transfer.ReadRecoveryChecks(m.Path(checksFile))
	return m, all, checks, err
}

func (m *machine) sayChecks(all []vault.Generation, checks *transfer.RecoveryChecks) {
	last := "never tried"
	if !checks.Last.IsZero() {
		last = "last tried " + checks.Last.Local().Format("2006-01-02") + ", " + console.Count(int64(time.Since(checks.Last).Hours()/24), "day") + " ago"
	}
	m.Console.Say("the recovery key was %s; not tried on %d of %s", last, checks.Unchecked(all), console.Count(int64(len(all)), "generation"))
}

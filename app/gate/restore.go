package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"sekisho/app/console"
	"sekisho/transfer"
	"sekisho/transfer/manifest"
	"sekisho/transfer/vault"
)

func runRestore(ctx context.Context, c *console.Console, args []string) (err error) {
	f := console.NewFlags("gate", "restore", "-config FILE [-key RECOVERY] [-staff N] [-json] GENERATION FOLDER",
		"Give the files of a generation back into an empty folder, with every hash checked. GENERATION may be \"latest\".")
	key := f.String("key", "", "open it with the recovery key in this `file` instead of the gate's key")
	var staff string
	f.Staff(&staff)
	rest, err := f.Parse(c, args, 2)
	if err != nil {
		return err
	}
	if err := console.CheckStaff(staff); err != nil {
		return err
	}
	if err := target(rest[1]); err != nil {
		return err
	}
	m, err := openMachine(c, f.Config)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	r := transfer.Restoration{Vault: m.vault, Ledger: m.Ledger, Staff: staff, Watcher: transfer.Watcher{Progress: c.Progress}}
	if r.Identity, err = m.identity(*key); err != nil {
		return err
	}
	if r.Kiosks, err = m.kiosks(); err != nil {
		return err
	}
	if r.Retired, err = m.retired(); err != nil {
		return err
	}
	generation, err := m.generation(rest[0])
	if err != nil {
		return err
	}
	st, err := transfer.Restore(ctx, r, generation, rest[1])
	if errors.Is(err, vault.ErrNone) {
		return console.Usagef("%w; gate list shows them", err)
	}
	if errors.Is(err, transfer.ErrNotEmpty) {
		return &console.UsageError{Err: err}
	}
	if err != nil {
		if ctx.Err() == nil {
			c.Note("what lies in %q is not the whole generation", rest[1])
		}
		return err
	}
	files := st.Count(manifest.Clean).Files + st.Count(manifest.Exempt).Files
	c.Result(console.Accepted, "", generation, nil)
	c.Say("restored %s of %s into %s", console.Count(files, "file"), generation, rest[1])
	c.Say("  data as of %s", st.DataAsOf.Local().Format("2006-01-02 15:04"))
	if st.Partial {
		c.Say("  note       files were left out of this transfer at the kiosk; its index lists them")
	}
	return nil
}

// target refuses a folder to restore into that cannot be one.
func target(dir string) error {
	st, err := os.Stat(dir)
	switch {
	case err == nil && !st.IsDir():
		return console.Usagef("%q is not a folder", dir)
	case errors.Is(err, fs.ErrNotExist):
		if _, err := os.Stat(filepath.Dir(filepath.Clean(dir))); err != nil {
			return console.Usagef("the folder that %q would be in does not exist", dir)
		}
	}
	return nil
}

// generation resolves "latest", which must leave no doubt what is meant.
func (m *machine) generation(name string) (string, error) {
	if name != "latest" {
		return name, nil
	}
	all, err := m.vault.Generations()
	if err != nil {
		return "", err
	}
	if len(all) == 0 {
		return "", console.Usagef("the vault is empty")
	}
	last := all[len(all)-1]
	for _, g := range all {
		if g.Kiosk != last.Kiosk || g.Workflow != last.Workflow {
			return "", console.Usagef("the vault holds more than one workflow; name the generation, gate list has them")
		}
	}
	return last.ID, nil
}

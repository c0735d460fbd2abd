package vault

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"sekisho/transfer/durable"
	"sekisho/transfer/manifest"
)

// Staging is a private folder that a transfer is received into.
type Staging struct {
	vault *Vault
	dir   string
}

// Stage begins to receive. Leftovers of receptions that were cut off are
// deleted: nothing of them was accepted.
func (v *Vault) Stage() (*Staging, error) {
	if err := v.clean(); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(filepath.Join(v.dir, "staging"), "")
	if err != nil {
		return nil, fmt.Errorf("staging: %w", err)
	}
	for _, sub := range []string{manifest.Data, manifest.SealDir} {
		if err := os.MkdirAll(filepath.Join(dir, "bag", sub), 0o700); err != nil {
			return nil, fmt.Errorf("staging: %w", err)
		}
	}
	return &Staging{v, dir}, nil
}

func (v *Vault) clean() error {
	entries, err := os.ReadDir(filepath.Join(v.dir, "staging"))
	if err != nil {
		return fmt.Errorf("staging: %w", err)
	}
	for _, e := range entries {
		if err := os.RemoveAll(filepath.Join(v.dir, "staging", e.Name())); err != nil {
			return fmt.Errorf("clearing staging: %w", err)
		}
	}
	return nil
}

// Bag is the folder of the bag that is being received.
func (s *Staging) Bag() string { return filepath.Join(s.dir, "bag") }

// Create makes a new file of the bag, readable and writable.
func (s *Staging) Create(name string) (*os.File, error) {
	return os.OpenFile(filepath.Join(s.Bag(), name), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
}

// Commit makes the staged bag a generation. On disk, in this order: every file
// and folder of it, its record, its name. When it returns nil the generation is
// there for good; fs.ErrExist means that one of that id was there before, and it
// was not touched. Either way the staging is over.
func (s *Staging) Commit(g Generation) error {
	defer s.Discard()
	data, err := json.MarshalIndent(g, "", "  ")
	if err != nil {
		return err
	}
	if err := durable.WriteNew(filepath.Join(s.dir, "generation.json"), append(data, '\n'), 0o400); err != nil {
		return fmt.Errorf("recording the generation: %w", err)
	}
	if err := s.flush(); err != nil {
		return fmt.Errorf("flushing the generation: %w", err)
	}
	if err := durable.Rename(s.dir, filepath.Join(s.vault.dir, "generations", g.ID)); err != nil {
		return fmt.Errorf("committing generation %s: %w", g.ID, err)
	}
	return nil
}

// flush puts every file and folder of the staging on disk, the files read-only.
// Folders stay writable, or a reception that is cut off could not be cleared.
func (s *Staging) flush() error {
	var folders []string
	err := filepath.WalkDir(s.dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if e.IsDir() {
			folders = append(folders, path)
			return nil
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		return errors.Join(f.Chmod(0o400), f.Sync(), f.Close())
	})
	for i := len(folders) - 1; i >= 0 && err == nil; i-- {
		err = durable.SyncDir(folders[i])
	}
	return err
}

// Discard deletes what was received. After Commit it does nothing.
func (s *Staging) Discard() error { return os.RemoveAll(s.dir) }

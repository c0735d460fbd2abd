package config

import (
	"errors"
	"fmt"
	"time"

	"sekisho/scan"
	"sekisho/transfer/manifest"
)

// Gate is the gate's configuration.
type Gate struct {
	Name          string           `toml:"gate"`   // letters, digits, - and _
	State         string           `toml:"state"`  // folder of keys, enrolments and ledger
	Vault         string           `toml:"vault"`  // folder of the generations
	Scan          *bool            `toml:"scan"`   // search every file before it is kept; default true
	Exempt        []scan.Exemption `toml:"exempt"` // detections that the gate takes, as its IT approved them
	Engines       Engines          `toml:"engines"`
	Limits        Limits           `toml:"limits"`
	MaxAgeDays    int              `toml:"max_age_days"`         // a seal older than this is refused; 0: any age
	MaxDefsDays   int              `toml:"max_definitions_days"` // so is one made with definitions older than this; default 30
	TPMRoots      []string         `toml:"tpm_roots"`            // certificates of TPM makers: PEM files or folders
	SoftwareRoots []string         `toml:"software_tpm_roots"`   // those of software TPMs, for demonstrations
}

// ReadGate reads and checks a gate's configuration.
func ReadGate(path string) (*Gate, error) {
	data, err := read(path)
	if err != nil {
		return nil, err
	}
	return parseGate(path, data)
}

func parseGate(path string, data []byte) (*Gate, error) {
	c := &Gate{Engines: engines, Limits: limits, MaxDefsDays: 30}
	if err := decode(path, data, c); err != nil {
		return nil, err
	}
	dir, err := folderOf(path)
	if err != nil {
		return nil, err
	}
	dir.fix(&c.State, &c.Vault)
	dir.fixAll(c.TPMRoots)
	dir.fixAll(c.SoftwareRoots)
	c.Engines.fix(dir)
	c.Limits.fix(dir, c.State)
	if err := c.check(); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}

func (c *Gate) check() error {
	switch {
	case !manifest.ValidName(c.Name):
		return fmt.Errorf("gate = %q: letters, digits, - and _, at most 32", c.Name)
	case c.State == "" || c.Vault == "":
		return errors.New("state or vault is missing")
	case c.MaxAgeDays < 0 || c.MaxAgeDays > maxDays:
		return fmt.Errorf("max_age_days = %d is out of range", c.MaxAgeDays)
	case c.MaxDefsDays < 1 || c.MaxDefsDays > maxDays:
		return fmt.Errorf("max_definitions_days = %d is out of range", c.MaxDefsDays)
	}
	own := scan.Policy{Exempt: c.Exempt}
	if err := own.Validate(); err != nil {
		return err
	}
	if !c.Scans() {
		return c.Limits.check()
	}
	return errors.Join(c.Engines.check(), c.Limits.check())
}

// Scans says whether the gate searches every file itself.
func (c *Gate) Scans() bool { return c.Scan == nil || *c.Scan }

// MaxAge is the age from which on a seal is refused, 0 for none.
func (c *Gate) MaxAge() time.Duration { return time.Duration(c.MaxAgeDays) * 24 * time.Hour }

// DefinitionsAge is how old a kiosk's definitions may be when it seals.
func (c *Gate) DefinitionsAge() time.Duration { return time.Duration(c.MaxDefsDays) * 24 * time.Hour }

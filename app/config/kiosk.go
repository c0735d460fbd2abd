package config

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"sekisho/scan"
	"sekisho/transfer"
	"sekisho/transfer/manifest"
	"sekisho/transfer/measure"
)

// Kiosk is the kiosk's configuration.
type Kiosk struct {
	Name      string     `toml:"kiosk"`   // as enrolled; lower-case letters, digits and -
	State     string     `toml:"state"`   // folder of everything the kiosk keeps
	Contact   string     `toml:"contact"` // whom to ask, as people at the kiosk read it; default "IT"
	TPM       TPM        `toml:"tpm"`
	Measure   Measure    `toml:"measure"`
	Engines   Engines    `toml:"engines"`
	HoldDays  int        `toml:"definitions_hold_days"` // older definitions hold; default 30
	Limits    Limits     `toml:"limits"`
	PartMiB   int64      `toml:"part_mib"` // plaintext of a part; default 128
	Workflows []Workflow `toml:"workflow"`

	File string `toml:"-"` // this configuration, absolute
}

// TPM says which TPM seals.
type TPM struct {
	Kind     string `toml:"kind"`                   // "software" or "device"
	Device   string `toml:"device"`                 // for "device"; default /dev/tpmrm0
	Approved bool   `toml:"require_approved_state"` // the TPM itself refuses to seal in a state that IT has not approved
	Register int    `toml:"software_register"`      // extended with Sekisho's own files; 11 to 14, default 13
}

// Measure says what the software register is extended with, beside the program
// and this configuration.
type Measure struct {
	Files []string `toml:"files"` // unit files and the like
	List  string   `toml:"list"`  // where kiosk measure keeps the list until the next start; default /run/sekisho/events.json
}

// Workflow is a source and its policy.
type Workflow struct {
	Name   string `toml:"name"`
	Number int    `toml:"number"` // its number in statements
	Source string `toml:"source"` // a folder
	scan.Policy
}

// ReadKiosk reads and checks a kiosk's configuration.
func ReadKiosk(path string) (*Kiosk, error) {
	data, err := read(path)
	if err != nil {
		return nil, err
	}
	return parseKiosk(path, data)
}

func parseKiosk(path string, data []byte) (*Kiosk, error) {
	c := &Kiosk{Engines: engines, Limits: limits, HoldDays: 30, PartMiB: 128, Contact: "IT",
		TPM: TPM{Register: 13}, Measure: Measure{List: "/run/sekisho/events.json"}}
	if err := decode(path, data, c); err != nil {
		return nil, err
	}
	dir, err := folderOf(path)
	if err != nil {
		return nil, err
	}
	c.File = filepath.Join(string(dir), filepath.Base(path))
	dir.fix(&c.State, &c.Measure.List)
	dir.fixAll(c.Measure.Files)
	c.Engines.fix(dir)
	c.Limits.fix(dir, c.State)
	if c.TPM.Kind == "device" && c.TPM.Device == "" {
		c.TPM.Device = "/dev/tpmrm0"
	}
	for i := range c.Workflows {
		dir.fix(&c.Workflows[i].Source)
	}
	if err := c.check(); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}

func (c *Kiosk) check() error {
	switch {
	case !manifest.ValidName(c.Name) || strings.ToLower(c.Name) != c.Name || strings.Contains(c.Name, "_"):
		return fmt.Errorf("kiosk = %q: lower-case letters, digits and -, at most 32", c.Name)
	case c.State == "":
		return errors.New("state is missing")
	case c.TPM.Kind != "software" && c.TPM.Kind != "device":
		return fmt.Errorf(`tpm.kind = %q: want "software" or "device"`, c.TPM.Kind)
	case c.TPM.Register < 11 || c.TPM.Register > 14:
		return fmt.Errorf("tpm.software_register = %d is not between 11 and 14", c.TPM.Register)
	case len(c.Measure.Files) > measure.MaxEvents-2:
		return fmt.Errorf("measure.files lists %d files, at most %d", len(c.Measure.Files), measure.MaxEvents-2)
	case !visible(c.Contact, 80):
		return fmt.Errorf("contact = %q: one line of at most 80 characters", c.Contact)
	case c.HoldDays < 1 || c.HoldDays > maxDays:
		return fmt.Errorf("definitions_hold_days = %d is out of range", c.HoldDays)
	case c.PartMiB < 1 || c.PartMiB > 3900:
		return fmt.Errorf("part_mib = %d is not between 1 and 3900", c.PartMiB)
	case len(c.Workflows) == 0:
		return errors.New("there is no [[workflow]]")
	}
	if err := errors.Join(c.Engines.check(), c.Limits.check()); err != nil {
		return err
	}
	names, numbers := make(map[string]bool), make(map[int]bool)
	for _, w := range c.Workflows {
		if !manifest.ValidName(w.Name) || names[w.Name] || w.Number < 1 || numbers[w.Number] {
			return fmt.Errorf("workflow %q, number %d: each needs a name and a number from 1 of its own", w.Name, w.Number)
		}
		if w.Source == "" {
			return fmt.Errorf("workflow %q: source is missing", w.Name)
		}
		names[w.Name], numbers[w.Number] = true, true
		if err := w.Policy.Validate(); err != nil {
			return fmt.Errorf("workflow %q: %w", w.Name, err)
		}
	}
	return nil
}

// visible says whether text is one line of 1 to limit characters.
func visible(text string, limit int) bool {
	n := utf8.RuneCountInString(text)
	return utf8.ValidString(text) && n >= 1 && n <= limit && !strings.ContainsFunc(text, unicode.IsControl)
}

// Measured lists what the software register is extended with, in order: the
// program, this configuration, and what it names.
func (c *Kiosk) Measured(program string) []string {
	return append([]string{program, c.File}, c.Measure.Files...)
}

// HoldAge is the age of definitions from which on workflows are held.
func (c *Kiosk) HoldAge() time.Duration { return time.Duration(c.HoldDays) * 24 * time.Hour }

// Workflow returns the workflow of that name, or the first for "".
func (c *Kiosk) Workflow(name string) (*Workflow, error) {
	for i := range c.Workflows {
		if name == "" || c.Workflows[i].Name == name {
			return &c.Workflows[i], nil
		}
	}
	return nil, fmt.Errorf("there is no workflow %q in the configuration", name)
}

// Transfer gives the workflow in the flow's own terms.
func (w *Workflow) Transfer() (transfer.Workflow, error) {
	d, err := digest(w.Policy)
	return transfer.Workflow{Name: w.Name, Number: w.Number, Source: w.Source, Policy: w.Policy, Digest: d}, err
}

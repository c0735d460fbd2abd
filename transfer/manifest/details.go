package manifest

import (
	"bufio"
	"bytes"
	"io"
	"time"
)

// Details is what is too long or too personal for the statement. It is
// encrypted like the parts.
type Details struct {
	Transfer    string           `json:"transfer"`
	Workflow    string           `json:"workflow"` // its name
	Source      string           `json:"source"`   // where the files were read, as configured: bytes, like a path
	Started     time.Time        `json:"started"`
	Definitions []DefinitionFile `json:"definitions"`
	Exemptions  []Exemption      `json:"exemptions"`
}

// DefinitionFile is one file of an engine's definitions.
type DefinitionFile struct {
	Engine string    `json:"engine"`
	Name   string    `json:"name"`
	Size   int64     `json:"size"`
	SHA256 Hash      `json:"sha256"`
	Time   time.Time `json:"time"`
}

// Exemption is a use of a written rule for files that are carried although they
// are not clean.
type Exemption struct {
	Rule  string `json:"rule"` // as the policy words it, with who approved it
	Files int64  `json:"files"`
}

const (
	detailsFormat = "sekisho-details/1"
	maxDetails    = 8 << 20 // bytes: some 40,000 definition files
)

type detailsLine struct {
	Format     string          `json:"format,omitempty"`
	Transfer   string          `json:"transfer,omitempty"`
	Workflow   string          `json:"workflow,omitempty"`
	Source     Path            `json:"source,omitempty"`
	Started    *time.Time      `json:"started,omitempty"`
	Definition *DefinitionFile `json:"definition,omitempty"`
	Exemption  *Exemption      `json:"exemption,omitempty"`
}

// Marshal writes the details as JSON Lines: the transfer, then a line for each
// definition file, then a line for each exemption used.
func (d *Details) Marshal() ([]byte, error) {
	if err := d.check(); err != nil {
		return nil, err
	}
	data, err := d.lines()
	if err != nil {
		return nil, err
	}
	if len(data) > maxDetails {
		return nil, malformed("details of %d bytes", len(data))
	}
	return data, nil
}

func (d *Details) lines() ([]byte, error) {
	lines := []detailsLine{{Format: detailsFormat, Transfer: d.Transfer, Workflow: d.Workflow, Source: Path(d.Source), Started: &d.Started}}
	for i := range d.Definitions {
		lines = append(lines, detailsLine{Definition: &d.Definitions[i]})
	}
	for i := range d.Exemptions {
		lines = append(lines, detailsLine{Exemption: &d.Exemptions[i]})
	}
	var buf bytes.Buffer
	for _, l := range lines {
		data, err := marshal(l)
		if err != nil {
			return nil, err
		}
		buf.Write(append(data, '\n'))
	}
	return buf.Bytes(), nil
}

func (d *Details) check() error {
	if !ValidID(d.Transfer) || !ValidName(d.Workflow) || d.Source == "" || len(d.Source) > MaxPath || !validTime(d.Started) {
		return malformed("details of transfer %.80q, workflow %.80q, started %v", d.Transfer, d.Workflow, d.Started)
	}
	for _, f := range d.Definitions {
		if !validText(f.Engine, MaxText) || !validText(f.Name, MaxText) || f.Size < 0 || !validTime(f.Time) {
			return malformed("definition file %.80q of %.80q, %d bytes, of %v", f.Name, f.Engine, f.Size, f.Time)
		}
	}
	for _, e := range d.Exemptions {
		if !validText(e.Rule, MaxRule) || e.Files < 1 {
			return malformed("an exemption used for %d files", e.Files)
		}
	}
	return nil
}

// ParseDetails reads what Marshal wrote for that transfer.
func ParseDetails(r io.Reader, transfer string) (*Details, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxDetails+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxDetails {
		return nil, malformed("details of more than %d bytes", maxDetails)
	}
	d := new(Details)
	lines := bufio.NewScanner(bytes.NewReader(data))
	lines.Buffer(nil, MaxLine)
	for lines.Scan() {
		var l detailsLine
		if err := parse(lines.Bytes(), &l); err != nil {
			return nil, err
		}
		switch {
		case l.Definition != nil:
			d.Definitions = append(d.Definitions, *l.Definition)
		case l.Exemption != nil:
			d.Exemptions = append(d.Exemptions, *l.Exemption)
		case l.Started != nil:
			d.Transfer, d.Workflow, d.Source, d.Started = l.Transfer, l.Workflow, string(l.Source), *l.Started
		}
	}
	if err := lines.Err(); err != nil {
		return nil, malformed("%s", err)
	}
	again, err := d.Marshal()
	if err != nil {
		return nil, err
	}
	if d.Transfer != transfer || !bytes.Equal(again, data) {
		return nil, malformed("details that are not in canonical form, or of transfer %.80q", d.Transfer)
	}
	return d, nil
}

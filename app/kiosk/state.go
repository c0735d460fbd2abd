package main

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"time"

	"sekisho/app/console"
	"sekisho/transfer"
	"sekisho/transfer/approval"
	"sekisho/transfer/measure"
	"sekisho/transfer/seal"
)

type stateLine struct {
	State    string            `json:"state"` // its id
	Approved bool              `json:"approved"`
	Approval string            `json:"approval,omitempty"` // that approves it, or the closest
	Measured map[string]string `json:"measured"`           // the software register's files
}

func runState(ctx context.Context, c *console.Console, args []string) (err error) {
	f := console.NewFlags("kiosk", "state", "-config FILE [-of PACKAGE] [-drive FOLDER] [-out FILE] [-json]",
		"Show the TPM and the measured state that this kiosk is in, and whether IT has approved it. With -of, the state after PACKAGE is installed.")
	of := f.String("of", "", "of the state that this Debian `package`, tar or folder will lead to, for approval before the update")
	drivePath := f.String("drive", "", "write the state to this drive, a mounted `folder`, for gate approve; take approvals from it first")
	out := f.String("out", "", "write the state to this new `file`, for gate approve")
	if _, err := f.Parse(c, args, 0); err != nil {
		return err
	}
	m, err := openMachine(c, f.Config)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	if *drivePath != "" {
		d, err := m.openDrive(*drivePath)
		if err != nil {
			return err
		}
		if err := m.takeApprovals(d, "", true); err != nil {
			return err
		}
	}
	t, err := m.tpm(ctx)
	if err != nil {
		return err
	}
	s, err := m.present(t)
	if err != nil {
		return sealTrouble(err)
	}
	if *of != "" {
		next, err := measure.Next(s.Events, *of)
		if err != nil {
			return console.Usagef("%w", err)
		}
		s = s.With(next)
	}
	v, err := m.judge(s)
	if err != nil {
		return err
	}
	if err := m.showState(t, s, v, *of == ""); err != nil {
		return err
	}
	text, err := s.Marshal()
	if err != nil {
		return err
	}
	if *out != "" {
		if err := console.WriteNew(*out, text, 0o644); err != nil {
			return err
		}
		c.Say("The state is in %s: gate approve takes it.", *out)
	}
	if *drivePath != "" {
		d, err := m.openDrive(*drivePath)
		if err != nil {
			return err
		}
		if err := transfer.PutTrust(d, transfer.StateFile, m.Name, "", text); err != nil {
			return err
		}
		c.Say("The state is on the drive, in %s: gate approve takes it.", transfer.TrustPath(transfer.StateFile, m.Name, ""))
	}
	if !v.Approved || *out != "" || *drivePath != "" {
		c.Say("%s", typed(c.Lang))
		c.Say("  %s", s.ID())
	}
	if !v.Approved {
		return console.Said(&transfer.Refusal{Reason: transfer.UnapprovedState})
	}
	return nil
}

// typed says what to do with the id of a state: the file with the state passes
// through the hands of others, what this screen shows does not.
func typed(lang string) string {
	if lang == "ja" {
		return "情報部門は、この画面の次の表示を受入装置で入力します（gate approve -state）:"
	}
	return "IT types at the gate, with gate approve -state, what this screen shows:"
}

func (m *machine) showState(t *seal.TPM, s approval.State, v approval.Verdict, now bool) error {
	c := m.Console
	info, err := t.Info()
	if err != nil {
		return sealTrouble(err)
	}
	if c.JSON {
		line := stateLine{State: s.ID(), Approved: v.Approved, Measured: make(map[string]string)}
		if v.Approval != nil {
			line.Approval = v.Approval.ID()
		}
		for _, e := range s.Events.Events {
			line.Measured[e.Name] = e.SHA256.String()
		}
		c.Print(line)
	}
	kind := ""
	if info.Software {
		kind = " (software TPM: a demonstration)"
	}
	c.Say("TPM           %s, firmware %#x, %d starts%s", info.Vendor, info.Firmware, info.ResetCount, kind)
	if info.Lockout.Locked() {
		c.Say("  locked      after %d wrong attempts; one is forgotten every %s", info.Lockout.Failures, info.Lockout.Interval.Round(time.Second))
	}
	if keys, err := m.gateKeys(); err == nil {
		digest, err := keys.Digest()
		if err != nil {
			return err
		}
		c.Say("gate          %s, the digest of its keys is %s", keys.Gate, console.Grouped(digest))
	}
	what := "state        "
	if !now {
		what = "state to come"
	}
	c.Say("%s %s", what, s.ID())
	for _, i := range slices.Sorted(maps.Keys(s.Registers)) {
		name := measure.RegisterName(i)
		if c.Lang == "ja" {
			name = measure.RegisterNameJa(i)
		}
		if i == s.Software {
			name = measure.Software.String()
			if c.Lang == "ja" {
				name = measure.Software.Ja()
			}
		}
		value := measure.Digest(s.Registers[i])
		c.Say("  %2d  %.16s…  %s", i, value, name)
	}
	for _, e := range s.Events.Events {
		c.Say("      %.16s…  %s", e.SHA256, e.Name)
	}
	if now {
		m.showBoot(s)
	}
	for line := range strings.Lines(v.Text(c.Lang)) {
		c.Say("%s", strings.TrimSuffix(line, "\n"))
	}
	switch {
	case v.Approved && c.Lang == "ja":
		c.Say("（このキオスクの記録による。承認の取消しは受入装置にだけ記録されます）")
	case v.Approved:
		c.Say("That is as far as this kiosk knows: what was revoked only the gate knows.")
	default:
		c.Say("%s", m.whomToAsk())
	}
	return nil
}

// showBoot says whether the firmware's log explains the registers, and what it
// says of Secure Boot.
func (m *machine) showBoot(s approval.State) {
	c := m.Console
	if s.SoftwareTPM {
		return // the firmware's log is about another TPM
	}
	data, err := measure.ReadBootLog(measure.BootLogFile)
	if errors.Is(err, fs.ErrNotExist) {
		c.Say("firmware      this machine shows no log of what it measured")
		return
	}
	var log *measure.BootLog
	if err == nil {
		log, err = measure.ParseBootLog(data, s.Registers)
	}
	if err != nil {
		c.Note("the firmware's log: %s", console.OneLine(err))
		return
	}
	c.Say("Secure Boot   %s", log.SecureBoot)
	for _, r := range log.Registers {
		c.Say("  %s", r.String())
		for _, e := range r.Events {
			c.Say("      %.16s…  %s", e.Digest, e.Text)
		}
	}
}

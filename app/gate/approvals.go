package main

import (
	"context"
	"errors"
	"io/fs"
	"time"

	"sekisho/app/config"
	"sekisho/app/console"
	"sekisho/app/state"
	"sekisho/transfer/approval"
	"sekisho/transfer/durable"
	"sekisho/transfer/ledger"
	"sekisho/transfer/manifest"
)

// approvalLine is one approval, or one state that waits for it, as -json prints
// it.
type approvalLine struct {
	Approval string     `json:"approval,omitempty"`
	State    string     `json:"state,omitempty"` // that waits
	Proof    string     `json:"proof,omitempty"` // of a state that waits: sealed or claimed
	Kiosk    string     `json:"kiosk"`
	Standing string     `json:"standing"` // waits, enrolled, holds, later, ended, revoked
	Until    *time.Time `json:"until,omitempty"`
}

func runApprovals(_ context.Context, c *console.Console, args []string) error {
	f := console.NewFlags("gate", "approvals", "-config FILE [-all] [-json]",
		"List the states that wait for IT's decision, with what changed, and the approvals that hold. With -all, those that ended and those revoked too.")
	all := f.Bool("all", false, "list what ended and what was revoked too")
	if _, err := f.Parse(c, args, 0); err != nil {
		return err
	}
	cfg, err := config.ReadGate(f.Config)
	if err != nil {
		return &console.UsageError{Err: err}
	}
	m := &machine{Gate: cfg, Folder: state.At(cfg.State)}
	m.Console = c
	waiting, err := m.pendingStates().List()
	if err != nil {
		return err
	}
	for _, w := range waiting {
		proof, how := "claimed", "claimed by the kiosk's request for enrolment"
		if w.Sealed {
			proof, how = "sealed", "proved by the kiosk's seal"
		}
		c.Say("waits     %s  %s, %s", w.ID(), w.Time.Local().Format("2006-01-02 15:04"), how)
		if c.JSON {
			c.Print(approvalLine{State: w.ID(), Proof: proof, Kiosk: w.Kiosk, Standing: "waits"})
		}
		if err := m.showState(w.State); err != nil {
			return err
		}
	}
	if err := m.listApprovals(*all); err != nil {
		return err
	}
	if len(waiting) > 0 {
		c.Say("gate approve -key FILE STATE approves one of those that wait, by its id.")
	}
	return nil
}

func (m *machine) listApprovals(all bool) error {
	c := m.Console
	kiosks, err := m.kiosks()
	if err != nil {
		return err
	}
	for _, k := range kiosks {
		if _, ok := approval.Enrolled(k); ok {
			c.Say("enrolled  %s  on %s, in the state of that day", k.Name, k.Enrolled.Local().Format("2006-01-02"))
			if c.JSON {
				c.Print(approvalLine{Approval: k.Name, Kiosk: k.Name, Standing: "enrolled"})
			}
		}
	}
	store, err := m.approvalStore()
	if err != nil {
		return err
	}
	approved, err := store.List()
	if err != nil {
		return err
	}
	for _, a := range approved {
		standing := a.Standing(time.Now())
		if standing != approval.Holds && !all {
			continue
		}
		c.Say("%-9s %s  kiosk %s until %s, by %s %s", word(standing), a.ID(), a.Kiosk, a.Until.Local().Format("2006-01-02"), a.By, a.Reason)
		if c.JSON {
			c.Print(approvalLine{Approval: a.ID(), Kiosk: a.Kiosk, Standing: word(standing), Until: &a.Until})
		}
	}
	if !all {
		return nil
	}
	revoked, err := store.Revoked()
	if err != nil {
		return err
	}
	for _, r := range revoked {
		c.Say("revoked   %s  on %s by %s %s", r.Approval, r.Time.Local().Format("2006-01-02"), r.By, r.Reason)
		if c.JSON {
			c.Print(approvalLine{Approval: r.Approval, Standing: "revoked"})
		}
	}
	return nil
}

// word says where an approval is in its time.
func word(s approval.Standing) string {
	return map[approval.Standing]string{approval.Holds: "holds", approval.NotYet: "later", approval.Expired: "ended"}[s]
}

func runRevoke(_ context.Context, c *console.Console, args []string) (err error) {
	var staff, reason string
	f := console.NewFlags("gate", "revoke", "-config FILE [-staff N] [-reason TEXT] APPROVAL",
		"Revoke an approval, by the id that gate approvals shows; a kiosk's name revokes the state in which it was enrolled.")
	f.StringVar(&reason, "reason", "", "why, for the records: a line of `text`")
	f.Staff(&staff)
	rest, err := f.Parse(c, args, 1)
	if err != nil {
		return err
	}
	if err := console.CheckStaff(staff); err != nil {
		return err
	}
	if !approval.ValidReason(reason) {
		return console.Usagef("-reason: one line of at most %d bytes", approval.MaxReason)
	}
	m, err := openMachine(c, f.Config)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	by := staff
	if by == "" {
		by = "it"
	}
	stores, err := m.approvalStore()
	if err != nil {
		return err
	}
	// Recorded first: a second record after a crash is better than none.
	record := func() error {
		_, err := m.Ledger.Append(ledger.Record{Event: ledger.Approve, By: staff, Result: "revoked", Facts: map[string]string{"approval": rest[0]}})
		return err
	}
	err = stores.Revoke(rest[0], by, reason, record)
	if errors.Is(err, approval.ErrNone) {
		err = m.revokeEnrolled(rest[0], record)
	}
	if errors.Is(err, approval.ErrRevoked) {
		return &console.UsageError{Err: err}
	}
	if errors.Is(err, fs.ErrNotExist) {
		return console.Usagef("there is no approval %q, and no kiosk of that name; gate approvals lists them", rest[0])
	}
	if err != nil {
		return err
	}
	c.Say("%s is revoked: the gate holds what is sealed in that state", rest[0])
	c.Say("A TPM that is bound to approved states knows no revocation and goes on to seal.")
	return nil
}

// revokeEnrolled forgets the state in which a kiosk was enrolled, once record kept
// that.
func (m *machine) revokeEnrolled(name string, record func() error) error {
	if !manifest.ValidName(name) {
		return fs.ErrNotExist
	}
	k, err := readKiosk(m.kioskPath(name))
	if err != nil {
		return err
	}
	if len(k.PCRs) == 0 {
		return fs.ErrNotExist
	}
	k.PCRs, k.Events = nil, nil
	data, err := k.Marshal()
	if err != nil {
		return err
	}
	if err := record(); err != nil {
		return err
	}
	return durable.Replace(m.kioskPath(name), data, 0o600)
}

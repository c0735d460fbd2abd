package main

import (
	"context"
	"time"

	"sekisho/app/config"
	"sekisho/app/console"
	"sekisho/app/state"
	"sekisho/transfer/approval"
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
		c.Say("%-9s %s  kiosk %s until %s, by %s%s", word(standing), a.ID(), a.Kiosk, a.LastDay(), a.By, said(a.Reason))
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
		c.Say("revoked   %s  on %s by %s%s", r.Approval, r.Time.Local().Format("2006-01-02"), r.By, said(r.Reason))
		if c.JSON {
			c.Print(approvalLine{Approval: r.Approval, Standing: "revoked"})
		}
	}
	return nil
}

// said is a reason after who gave it.
func said(reason string) string {
	if reason == "" {
		return ""
	}
	return ": " + reason
}

// word says where an approval is in its time.
func word(s approval.Standing) string {
	return map[approval.Standing]string{approval.Holds: "holds", approval.NotYet: "later", approval.Expired: "ended"}[s]
}

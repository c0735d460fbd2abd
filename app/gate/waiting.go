package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"sekisho/app/console"
	"sekisho/transfer/durable"
	"sekisho/transfer/enrol"
	"sekisho/transfer/ledger"
	"sekisho/transfer/manifest"
)

// Enrolments under way lie in the state folder:
//
//	enrolments/KIOSK.json   a challenge that waits for its answer
//	enrolments/KIOSK.next   an enrolment that was decided and is not yet in place
//	enrolments/KIOSK.done   digest of the last request that was enrolled
const (
	pendingDir    = "enrolments"
	pendingSuffix = ".json"
	nextSuffix    = ".next"
	doneSuffix    = ".done"
)

func (m *machine) pendingPath(kiosk string) string { return m.Path(pendingDir, kiosk+pendingSuffix) }

// underWay names the kiosks that have a file of that kind there.
func (m *machine) underWay(suffix string) (kiosks []string, err error) {
	entries, err := os.ReadDir(m.Path(pendingDir))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for _, e := range entries {
		if kiosk, ok := strings.CutSuffix(e.Name(), suffix); ok {
			kiosks = append(kiosks, kiosk)
		}
	}
	return kiosks, nil
}

func (m *machine) pending(kiosk string) (*enrol.Pending, error) {
	data, err := os.ReadFile(m.pendingPath(kiosk))
	if err != nil {
		return nil, err
	}
	p, err := enrol.ParsePending(data)
	if err != nil {
		return nil, fmt.Errorf("%q: %w", m.pendingPath(kiosk), err)
	}
	return p, nil
}

// giveUp forgets a challenge, so that no answer to it enrols anything any more;
// fs.ErrNotExist when none waits. It is recorded first.
func (m *machine) giveUp(kiosk, why string) error {
	if _, err := os.Lstat(m.pendingPath(kiosk)); err != nil {
		return err
	}
	if _, err := m.Ledger.Append(ledger.Record{Event: ledger.Enrol, Result: "cancelled", Facts: map[string]string{"kiosk": kiosk, "why": why}}); err != nil {
		return err
	}
	return durable.Remove(m.pendingPath(kiosk))
}

func runEnrolCancel(_ context.Context, c *console.Console, args []string) (err error) {
	f := console.NewFlags("gate", "enrol cancel", "-config FILE KIOSK",
		"Give up the challenge that waits for a kiosk's answer: no answer to it enrols anything any more.")
	rest, err := f.Parse(c, args, 1)
	if err != nil {
		return err
	}
	if !manifest.ValidName(rest[0]) {
		return console.Usagef("%q is not the name of a kiosk", rest[0])
	}
	m, err := openMachine(c, f.Config)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	switch err := m.giveUp(rest[0], "given up by IT"); {
	case errors.Is(err, fs.ErrNotExist):
		return console.Usagef("no challenge waits for kiosk %s; gate enrol list names those that do", rest[0])
	case err != nil:
		return err
	}
	c.Say("the challenge for kiosk %s is given up", rest[0])
	return nil
}

// listWaiting says which challenges wait for their answer, and for what.
func (m *machine) listWaiting(c *console.Console) error {
	waiting, err := m.underWay(pendingSuffix)
	if err != nil {
		return err
	}
	for _, kiosk := range waiting {
		p, err := m.pending(kiosk)
		if errors.Is(err, fs.ErrNotExist) {
			continue // answered meanwhile
		}
		c.Say("%s  waits for its answer", kiosk)
		if err != nil {
			c.Say("        in vain, what was kept is damaged: %s", console.OneLine(err))
			continue
		}
		until := "until"
		if time.Now().After(p.Until()) {
			until = "in vain: its time ended"
		}
		c.Say("        %s %s; %s (%s)", until, p.Until().Local().Format("2006-01-02 15:04"), form(p.Request.Bound()), vouched(p.Origin))
	}
	return nil
}

package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"sekisho/app/config"
	"sekisho/app/console"
	"sekisho/app/state"
	"sekisho/transfer"
	"sekisho/transfer/durable"
	"sekisho/transfer/enrol"
	"sekisho/transfer/ledger"
	"sekisho/transfer/manifest"
	"sekisho/transfer/seal"
)

const retiredDir = "retired" // below kiosksDir: enrolments that ended, as <name>.<time>.json

// stamp is the time in a retired enrolment's file name.
const stamp = "20060102T150405Z"

// kiosks reads the enrolled kiosks.
func (m *machine) kiosks() ([]*seal.Kiosk, error) {
	entries, err := os.ReadDir(m.Path(kiosksDir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var kiosks []*seal.Kiosk
	for _, e := range entries {
		if e.IsDir() || !strings.HasSuffix(e.Name(), ".json") {
			continue
		}
		k, err := readKiosk(m.Path(kiosksDir, e.Name()))
		if err != nil {
			return nil, err
		}
		kiosks = append(kiosks, k)
	}
	slices.SortFunc(kiosks, func(a, b *seal.Kiosk) int { return strings.Compare(a.Name, b.Name) })
	return kiosks, nil
}

func readKiosk(path string) (*seal.Kiosk, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	k, err := seal.ParseKiosk(data)
	if err != nil {
		return nil, fmt.Errorf("the enrolment %q: %w", path, err)
	}
	return k, nil
}

// retired reads the enrolments that ended, oldest first.
func (m *machine) retired() ([]transfer.Retired, error) {
	entries, err := os.ReadDir(m.Path(kiosksDir, retiredDir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var all []transfer.Retired
	for _, e := range entries {
		stem, ok := strings.CutSuffix(e.Name(), ".json")
		if !ok {
			continue
		}
		_, when, _ := strings.Cut(stem, ".")
		since, err := time.Parse(stamp, when)
		if err != nil {
			return nil, fmt.Errorf("%q is not named after a kiosk and the time of its end", m.Path(kiosksDir, retiredDir, e.Name()))
		}
		k, err := readKiosk(m.Path(kiosksDir, retiredDir, e.Name()))
		if err != nil {
			return nil, err
		}
		all = append(all, transfer.Retired{Kiosk: k, Since: since})
	}
	slices.SortFunc(all, func(a, b transfer.Retired) int { return a.Since.Compare(b.Since) })
	return all, nil
}

// retireKiosk ends the enrolment of a kiosk; fs.ErrNotExist when there is none. Its
// record stays: without it the generations that it sealed could not be checked.
func (m *machine) retireKiosk(name, why string) error {
	from := m.kioskPath(name)
	if _, err := os.Lstat(from); err != nil {
		return err
	}
	dir := m.Path(kiosksDir, retiredDir)
	if err := durable.Mkdir(dir, 0o700); err != nil {
		return err
	}
	// Recorded first: a second record after a crash is better than none.
	if _, err := m.Ledger.Append(ledger.Record{Event: ledger.Trust, Result: "retired", Facts: map[string]string{"kiosk": name, "why": why}}); err != nil {
		return err
	}
	for at := time.Now().UTC(); ; at = at.Add(time.Second) { // one may have ended this very second
		err := durable.Rename(from, filepath.Join(dir, name+"."+at.Format(stamp)+".json"))
		if !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
}

func runEnrolRetire(_ context.Context, c *console.Console, args []string) (err error) {
	f := console.NewFlags("gate", "enrol retire", "-config FILE KIOSK",
		"End the enrolment of a kiosk: nothing that it seals is taken any more, and a challenge that waits for it is given up. What it sealed before is kept and can be restored.")
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
	if _, err := os.Lstat(m.kioskPath(rest[0])); errors.Is(err, fs.ErrNotExist) {
		return console.Usagef("no kiosk %s is enrolled; gate enrol list names those that are", rest[0])
	}
	// Before, so that no answer under way enrols it again.
	if err := m.giveUp(rest[0], "retired by IT"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := m.retireKiosk(rest[0], "retired by IT"); err != nil {
		return err
	}
	c.Say("kiosk %s is retired", rest[0])
	return nil
}

func runEnrolList(_ context.Context, c *console.Console, args []string) error {
	f := console.NewFlags("gate", "enrol list", "-config FILE", "List the kiosks: enrolled, waiting for their answer, retired.")
	if _, err := f.Parse(c, args, 0); err != nil {
		return err
	}
	cfg, err := config.ReadGate(f.Config)
	if err != nil {
		return &console.UsageError{Err: err}
	}
	m := &machine{Gate: cfg, Folder: state.At(cfg.State)}
	kiosks, err := m.kiosks()
	if err != nil {
		return err
	}
	for _, k := range kiosks {
		c.Say("%s  enrolled %s, %s, at counter %d (%s)", k.Name, k.Enrolled.Local().Format("2006-01-02 15:04"),
			form(len(k.Approvals) > 0), k.Counter, described(k.Mode, k.Software))
	}
	if len(kiosks) == 0 {
		c.Say("no kiosk is enrolled")
	}
	if err := m.listWaiting(c); err != nil {
		return err
	}
	retired, err := m.retired()
	if err != nil {
		return err
	}
	for _, r := range retired {
		c.Say("%s  enrolled %s, retired %s", r.Name, r.Enrolled.Local().Format("2006-01-02 15:04"), r.Since.Local().Format("2006-01-02 15:04"))
	}
	return nil
}

// mode says how far a kiosk's key is vouched for, and in which form it is.
func mode(k *seal.Kiosk) string {
	word := described(k.Mode, k.Software)
	if len(k.Approvals) > 0 {
		word += ", " + form(true)
	}
	return word
}

func vouched(o enrol.Origin) string { return described(o.Mode, o.Software) }

func described(mode string, software bool) string {
	if software {
		mode += ", software TPM: a demonstration"
	}
	return mode
}

// form says what binds a kiosk's key.
func form(bound bool) string {
	if bound {
		return "seals in approved states only"
	}
	return "plain"
}

package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"time"

	"sekisho/app/config"
	"sekisho/app/console"
	"sekisho/app/state"
	"sekisho/transfer/durable"
	"sekisho/transfer/ledger"
	"sekisho/transfer/seal"
)

const maxRequest = 64 << 10 // bytes

// runEnrolAccept pins a kiosk's key. It proves that the kiosk holds the key, not
// that a TPM does: that is what the comparison by two people is for, and the
// enrolment records its mode.
func runEnrolAccept(_ context.Context, c *console.Console, args []string) (err error) {
	f := console.NewFlags("gate", "enrol accept", "-config FILE [-fingerprint F] REQUEST",
		"Enrol the kiosk whose request is in the file REQUEST. With -fingerprint, only when it is the one the kiosk showed.")
	fingerprint := f.String("fingerprint", "", "the `fingerprint` that the kiosk showed")
	rest, err := f.Parse(c, args, 1)
	if err != nil {
		return err
	}
	data, err := console.ReadFile(rest[0], maxRequest)
	if err != nil {
		return err
	}
	request, err := seal.ParseRequest(data)
	if err != nil {
		return console.Usagef("%q is not a kiosk's request: %w", rest[0], err)
	}
	if got := request.Fingerprint(); *fingerprint != "" && *fingerprint != got {
		return console.Usagef("the fingerprint of %q is %s, not %s: this is another kiosk's request, or it was altered", rest[0], got, *fingerprint)
	}
	kiosk, err := request.Accept(time.Now())
	if err != nil {
		return console.Usagef("%q does not hold: %w", rest[0], err)
	}
	m, err := openMachine(c, f.Config)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	if kiosk.Software && !m.SoftwareTPMs {
		return console.Usagef("kiosk %s has a software TPM, whose key can be copied; enrol_software_tpms = true allows that for demonstrations", kiosk.Name)
	}
	record, err := kiosk.Marshal()
	if err != nil {
		return err
	}
	if err := durable.Mkdir(m.Path(kiosksDir), 0o700); err != nil {
		return err
	}
	path := filepath.Join(m.Path(kiosksDir), kiosk.Name+".json")
	if err := durable.WriteNew(path, record, 0o600); errors.Is(err, os.ErrExist) {
		return console.Usagef("a kiosk %s is enrolled already: %q", kiosk.Name, path)
	} else if err != nil {
		return err
	}
	if _, err := m.Ledger.Append(ledger.Record{Event: ledger.Enrol, Result: "enrolled",
		Facts: map[string]string{"kiosk": kiosk.Name, "fingerprint": request.Fingerprint(), "mode": kiosk.Mode}}); err != nil {
		return err
	}
	c.Say("kiosk %s is enrolled (%s); its fingerprint is", kiosk.Name, mode(kiosk))
	c.Say("  %s", request.Fingerprint())
	if *fingerprint == "" {
		c.Say("Compare it with the kiosk's screen. If it differs, delete %s", path)
	}
	return nil
}

func mode(k *seal.Kiosk) string {
	if k.Software {
		return k.Mode + ", software TPM: a demonstration"
	}
	return k.Mode
}

func runEnrolList(_ context.Context, c *console.Console, args []string) error {
	f := console.NewFlags("gate", "enrol list", "-config FILE", "List the enrolled kiosks.")
	if _, err := f.Parse(c, args, 0); err != nil {
		return err
	}
	cfg, err := config.ReadGate(f.Config)
	if err != nil {
		return &console.UsageError{Err: err}
	}
	kiosks, err := (&machine{Gate: cfg, Folder: state.At(cfg.State)}).kiosks()
	if err != nil {
		return err
	}
	for _, k := range kiosks {
		c.Say("%s  enrolled %s at counter %d (%s)", k.Name, k.Enrolled.Local().Format("2006-01-02 15:04"), k.Counter, mode(k))
	}
	if len(kiosks) == 0 {
		c.Say("no kiosk is enrolled")
	}
	return nil
}

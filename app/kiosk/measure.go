package main

import (
	"context"
	"errors"

	"sekisho/app/config"
	"sekisho/app/console"
	"sekisho/transfer/measure"
	"sekisho/transfer/seal"
)

// runMeasure runs once at each start, as root and before the kiosk. It takes no
// state folder: the kiosk's own user has that.
func runMeasure(ctx context.Context, c *console.Console, args []string) (err error) {
	f := console.NewFlags("kiosk", "measure", "-config FILE",
		"Extend the TPM's software register with this program, its configuration and the files that it names. Once for each start of the machine, before the kiosk starts.")
	if _, err := f.Parse(c, args, 0); err != nil {
		return err
	}
	cfg, err := config.ReadKiosk(f.Config)
	if err != nil {
		return &console.UsageError{Err: err}
	}
	if cfg.TPM.Kind != "device" {
		return console.Usagef("a software TPM starts with the kiosk, which measures itself then: there is nothing to do before")
	}
	m := &machine{Kiosk: cfg}
	list, err := m.measure()
	if err != nil {
		return err
	}
	t, err := seal.OpenDevice(ctx, cfg.TPM.Device)
	if err != nil {
		return sealTrouble(err)
	}
	defer func() { err = errors.Join(err, sealTrouble(t.Close())) }()
	// The list comes first: a register without its list cannot be explained until
	// the next start.
	known, err := measure.Load(cfg.Measure.List)
	if err == nil && known.Register == list.Register && t.Measured(known) == nil && len(known.Events) > 0 {
		c.Say("measured already since this machine started: register %d, %s", known.Register, console.Count(int64(len(known.Events)), "file"))
		return nil
	}
	if err := measure.Save(cfg.Measure.List, list); err != nil {
		return err
	}
	if err := t.Measure(list); err != nil {
		return sealTrouble(err)
	}
	for _, e := range list.Events {
		c.Say("%s  %s", e.SHA256, e.Name)
	}
	c.Say("register %d holds %s", list.Register, list.Replay())
	return nil
}

package main

import (
	"context"
	"errors"
	"time"

	"sekisho/app/config"
	"sekisho/app/console"
	"sekisho/transfer/vault"
)

// generationLine is one generation, as -json prints it.
type generationLine struct {
	Generation string    `json:"generation"`
	Transfer   string    `json:"transfer"`
	Kiosk      string    `json:"kiosk"`
	Workflow   int       `json:"workflow"`
	Files      int64     `json:"files"`
	Bytes      int64     `json:"bytes"`
	Partial    bool      `json:"partial"`
	Scanned    bool      `json:"scanned"`
	DataAsOf   time.Time `json:"dataAsOf"`
	Time       time.Time `json:"time"`
}

func runList(_ context.Context, c *console.Console, args []string) error {
	f := console.NewFlags("gate", "list", "-config FILE [-json]", "List the generations in the vault, oldest first.")
	if _, err := f.Parse(c, args, 0); err != nil {
		return err
	}
	cfg, err := config.ReadGate(f.Config)
	if err != nil {
		return &console.UsageError{Err: err}
	}
	v, err := vault.Open(cfg.Vault)
	if errors.Is(err, vault.ErrMissing) {
		return console.Usagef("%w; is its disk mounted?", err)
	}
	if err != nil {
		return err
	}
	all, err := v.Generations()
	if err != nil {
		return err
	}
	for _, g := range all {
		if c.JSON {
			c.Print(generationLine{g.ID, g.Transfer, g.Kiosk, g.Workflow, g.Files, g.Bytes, g.Partial, g.Scanned, g.DataAsOf, g.Time})
			continue
		}
		note := ""
		if g.Partial {
			note = "  partial"
		}
		if !g.Scanned {
			note += "  not scanned here"
		}
		c.Say("%s  accepted %s  workflow %d  %s, %s%s", g.ID, g.Time.Local().Format("2006-01-02 15:04"), g.Workflow, console.Count(g.Files, "file"), console.Bytes(g.Bytes), note)
	}
	if len(all) == 0 {
		c.Say("the vault is empty")
	}
	return nil
}

package main

import (
	"context"
	"errors"
	"time"

	"sekisho/app/config"
	"sekisho/app/console"
	"sekisho/app/state"
	"sekisho/transfer/ledger"
	"sekisho/transfer/manifest"
)

// keyLine is one key, as keys show prints it with -json.
type keyLine struct {
	Key  string    `json:"key"` // its purpose
	ID   string    `json:"id"`
	Made time.Time `json:"made"`
	File string    `json:"file"` // or offline
}

func runKeysShow(_ context.Context, c *console.Console, args []string) error {
	f := console.NewFlags("gate", "keys show", "-config FILE",
		"Show the digest of the key set, for comparison with a kiosk, and each key with its id and age. Earlier key sets follow.")
	if _, err := f.Parse(c, args, 0); err != nil {
		return err
	}
	cfg, err := config.ReadGate(f.Config)
	if err != nil {
		return &console.UsageError{Err: err}
	}
	m := &machine{Gate: cfg, Folder: state.At(cfg.State)}
	keys, earlier, err := m.history()
	if err != nil {
		return err
	}
	if err := showDigest(c, keys); err != nil {
		return err
	}
	since, err := m.since(keys, earlier)
	if err != nil {
		return err
	}
	for _, p := range purposes {
		id, err := p.keyID(keys)
		if err != nil {
			return err
		}
		where := "offline"
		if p.file != "" {
			where = m.Path(p.file)
		}
		if c.JSON {
			c.Print(keyLine{Key: p.name, ID: id, Made: since(p), File: where})
		}
		c.Say("  %-11s  %s  %s  %s", p.name, id, madeOn(since(p)), where)
	}
	for _, s := range earlier {
		until := "accepted"
		if s.retired {
			until = "retired"
		}
		c.Say("earlier  %s  replaced %s, %s", console.Grouped(s.digest), s.replaced.Local().Format("2006-01-02"), until)
	}
	if m.rotating() {
		c.Note("a replacement of keys was interrupted; the next command that writes completes it")
	}
	return nil
}

// since returns a function that says when a key was made: with the oldest set of
// the unbroken row that has it. When a set was made is in the records.
func (m *machine) since(keys *manifest.KeySet, earlier []earlierSet) (func(purpose) time.Time, error) {
	made := make(map[string]time.Time)
	err := ledger.List(m.Path(state.LedgerDir), 0, func(r ledger.Record) error {
		if digest := r.Facts["keys"]; r.Event == ledger.Trust && (r.Result == "created" || r.Result == "rotated") && made[digest].IsZero() {
			made[digest] = r.Time
		}
		return nil
	})
	if err != nil && !errors.As(err, new(*ledger.Fault)) { // gate log verify tells of a fault
		return nil, err
	}
	return func(p purpose) time.Time {
		oldest := mustDigest(keys)
		for _, s := range earlier {
			if *p.of(s.keys) != *p.of(keys) {
				break
			}
			oldest = s.digest
		}
		return made[oldest.String()]
	}, nil
}

func madeOn(made time.Time) string {
	if made.IsZero() {
		return "made on an unknown day"
	}
	return made.Local().Format("2006-01-02") + ", " + console.Count(int64(time.Since(made).Hours()/24), "day")
}

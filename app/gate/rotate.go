package main

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"sekisho/app/config"
	"sekisho/app/console"
	"sekisho/transfer/durable"
	"sekisho/transfer/manifest"
)

func runKeysRotate(_ context.Context, c *console.Console, args []string) (err error) {
	f := console.NewFlags("gate", "keys rotate",
		"-config FILE [-recovery FILE] [-approvals FILE] [-definitions FILE] [-passphrase FILE] [-sheet FILE.pdf] [-keys FILE] [-staff N] PURPOSE...",
		"Make new keys for the purposes: encryption, receipts, ledger, reports, approvals, definitions, recovery. "+
			"The old ones are kept for what they opened and signed. The key set gets a new digest, which two people compare again at each kiosk.")
	o := newOffline(f)
	public := f.String("keys", "", "write the public key set, for kiosks, to this new `file` too")
	var staff string
	f.Staff(&staff)
	names, err := f.ParseSome(c, args)
	if err != nil {
		return err
	}
	if err := console.CheckStaff(staff); err != nil {
		return err
	}
	which, err := o.fits(names)
	if err != nil {
		return err
	}
	cfg, err := config.ReadGate(f.Config)
	if err != nil {
		return &console.UsageError{Err: err}
	}
	if err := o.check(cfg, *public); err != nil {
		return err
	}
	passphrase := ""
	if o.approvals != "" || o.definitions != "" {
		if passphrase, err = c.Passphrase(o.passphrase, "the new key", true); err != nil {
			return err
		}
	}
	m, err := openState(c, cfg)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	maker := &keyMaker{gate: m.Name, state: m.Path(nextDir + durable.Suffix), offline: o, passphrase: passphrase, made: time.Now()}
	keys, err := m.prepareRotation(maker, which, *public, staff)
	if err != nil {
		return err
	}
	if err := m.completeRotation(); err != nil {
		return err
	}
	o.say(c)
	c.Say("new keys: %s; what was made for the earlier key set is still accepted, until gate keys retire ends that", strings.Join(names, ", "))
	if err := showDigest(c, keys); err != nil {
		return err
	}
	c.Say("Carry the new key set to each kiosk: kiosk enrol trust -replace; two people compare the digest again.")
	return nil
}

// fits says which purposes are named, and demands a file for each key that the
// gate does not hold, and for no other.
func (o *offline) fits(names []string) (which []purpose, err error) {
	for _, name := range names {
		p, ok := purposeOf(name)
		if !ok {
			return nil, console.Usagef("there is no key for %q; there are those for encryption, receipts, ledger, reports, approvals, definitions and recovery", name)
		}
		if slices.ContainsFunc(which, func(q purpose) bool { return q.name == name }) {
			return nil, console.Usagef("%s is named twice", name)
		}
		which = append(which, p)
	}
	for name, path := range map[string]string{"recovery": o.recovery, "approvals": o.approvals, "definitions": o.definitions} {
		named := slices.Contains(names, name)
		if named && path == "" {
			return nil, console.Usagef("-%s FILE is missing: the gate does not hold this key", name)
		}
		if !named && path != "" {
			return nil, console.Usagef("-%s is given, but the key for %s is not to be replaced", name, name)
		}
	}
	if o.sheet != "" && o.recovery == "" {
		return nil, console.Usagef("-sheet is given, but the recovery key is not to be replaced")
	}
	return which, nil
}

// prepareRotation makes the new keys. Until the folder has its name, nothing has
// happened, and after an error nothing stays.
func (m *machine) prepareRotation(maker *keyMaker, which []purpose, public, staff string) (keys *manifest.KeySet, err error) {
	old, _, err := m.history()
	if err != nil {
		return nil, err
	}
	files := maker.offline.files()
	if public != "" {
		files = append(files, public)
	}
	for _, path := range files {
		if _, err := os.Lstat(path); err == nil {
			return nil, console.Usagef("%q is there already; a key is never replaced", path)
		}
	}
	next := m.Path(nextDir)
	if err := os.RemoveAll(maker.state); err != nil { // of an attempt that was cut off
		return nil, err
	}
	defer func() {
		if err != nil && !m.rotating() { // from then on the keys are in use
			for _, path := range append(files, maker.state) {
				_ = os.RemoveAll(path) // may not have come to be
			}
		}
	}()
	if err := durable.Mkdir(maker.state, 0o700); err != nil {
		return nil, err
	}
	set := *old
	r := rotation{From: mustDigest(old), Staff: staff, Time: maker.made.UTC().Truncate(time.Second)}
	for _, p := range which {
		if err := maker.make(p, &set); err != nil {
			return nil, err
		}
		r.Purposes = append(r.Purposes, p.name)
	}
	data, err := set.Marshal()
	if err != nil {
		return nil, err
	}
	if public != "" {
		if err := console.WriteNew(public, data, 0o644); err != nil {
			return nil, err
		}
	}
	note, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	if err := durable.WriteNew(filepath.Join(maker.state, keysFile), data, 0o644); err != nil {
		return nil, err
	}
	if err := durable.WriteNew(filepath.Join(maker.state, rotationFile), note, 0o600); err != nil {
		return nil, err
	}
	return &set, durable.Rename(maker.state, next)
}

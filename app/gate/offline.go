package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"filippo.io/age"

	"sekisho/app/config"
	"sekisho/app/console"
	"sekisho/app/sheet"
	"sekisho/transfer"
	"sekisho/transfer/approval"
	"sekisho/transfer/manifest"
	"sekisho/transfer/seal"
)

// offline is where the keys go that the gate must not hold: it could open
// everything or approve anything otherwise, and so could whoever broke into it.
type offline struct {
	recovery, approvals, definitions string
	sheet                            string
	passphrase                       string // file with it
}

func newOffline(f *console.Flags) *offline {
	o := new(offline)
	f.StringVar(&o.recovery, "recovery", "", "write the recovery key to this new `file`")
	f.StringVar(&o.approvals, "approvals", "", "write IT's key for approvals to this new `file`, encrypted")
	f.StringVar(&o.definitions, "definitions", "", "write IT's key for definitions to this new `file`, encrypted")
	f.StringVar(&o.passphrase, "passphrase", "", "`file` whose first line is the passphrase for these two; else it is asked for")
	f.StringVar(&o.sheet, "sheet", "", "draw the recovery key for two envelopes into this new PDF `file`")
	return o
}

// besideRecovery puts IT's keys beside the recovery key where no place was named.
func (o *offline) besideRecovery() {
	for path, name := range map[*string]string{&o.approvals: "approvals.key.age", &o.definitions: "definitions.key.age"} {
		if *path == "" {
			*path = filepath.Join(filepath.Dir(o.recovery), name)
		}
	}
}

// files lists the files that are written.
func (o *offline) files() (all []string) {
	for _, path := range []string{o.recovery, o.approvals, o.definitions, o.sheet} {
		if path != "" {
			all = append(all, path)
		}
	}
	return all
}

// check refuses places on the gate: in its state folder and in its vault. public,
// the file for the public key set, may lie anywhere.
func (o *offline) check(cfg *config.Gate, public string) error {
	for _, path := range append(o.files(), public) {
		if _, err := os.Stat(filepath.Dir(path)); path != "" && errors.Is(err, os.ErrNotExist) {
			return console.Usagef("the folder of %q does not exist", path)
		}
	}
	for _, f := range []struct{ flag, path string }{
		{"recovery", o.recovery}, {"approvals", o.approvals}, {"definitions", o.definitions}, {"sheet", o.sheet},
	} {
		if f.path == "" {
			continue
		}
		for name, folder := range map[string]string{"state folder": cfg.State, "vault": cfg.Vault} {
			inside, err := lies(f.path, folder)
			if err != nil {
				return &console.UsageError{Err: err}
			}
			if inside {
				return console.Usagef("-%s %q lies in the gate's %s, %q: whoever takes the gate over must not find it; name a place on another medium", f.flag, f.path, name, folder)
			}
		}
	}
	return nil
}

// lies says whether path is folder or lies in it, whatever links lead there.
func lies(path, folder string) (bool, error) {
	a, err := resolve(path)
	if err != nil {
		return false, err
	}
	b, err := resolve(folder)
	if err != nil {
		return false, err
	}
	rel, err := filepath.Rel(b, a)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, "../"), err
}

// resolve follows the links of what exists of a path.
func resolve(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	real, err := filepath.EvalSymlinks(path)
	if errors.Is(err, os.ErrNotExist) && path != filepath.Dir(path) {
		dir, err := resolve(filepath.Dir(path))
		return filepath.Join(dir, filepath.Base(path)), err
	}
	return real, err
}

// say tells what to do with what was made.
func (o *offline) say(c *console.Console) {
	switch {
	case o.recovery != "" && o.sheet != "":
		c.Say("the recovery key is in %s: print %s for two envelopes, then delete both files", o.recovery, o.sheet)
	case o.recovery != "":
		c.Say("the recovery key is in %s: print it for two envelopes, then delete the file", o.recovery)
	}
	for _, k := range []struct{ what, path string }{{"approvals", o.approvals}, {"definitions", o.definitions}} {
		if k.path != "" {
			c.Say("IT's key for %s is in %s: keep it offline, with a copy, and the passphrase elsewhere", k.what, k.path)
		}
	}
}

// keyMaker makes keys and writes each where it belongs.
type keyMaker struct {
	gate       string
	state      string // folder for the keys that the gate holds
	offline    *offline
	passphrase string
	made       time.Time
}

// make makes the key for a purpose and puts its public half into the set.
func (k *keyMaker) make(p purpose, set *manifest.KeySet) (err error) {
	public := p.of(set)
	switch p.name {
	case "recovery":
		*public, err = k.recovery()
	case "encryption":
		_, *public, err = createIdentity(filepath.Join(k.state, p.file), "the gate's key")
	case "approvals":
		*public, err = k.locked(k.offline.approvals)
	case "definitions":
		*public, err = k.locked(k.offline.definitions)
	default:
		var key *seal.PrivateKey
		if key, err = seal.CreatePrivateKey(filepath.Join(k.state, p.file)); err == nil {
			*public = string(key.Public().Marshal())
		}
	}
	if err != nil && !errors.As(err, new(*console.UsageError)) {
		err = fmt.Errorf("making the key for %s: %w", p.name, err)
	}
	return err
}

// recovery makes the recovery key, and the sheet with it.
func (k *keyMaker) recovery() (string, error) {
	key, recipient, err := createIdentity(k.offline.recovery, "recovery key of gate "+k.gate)
	if err != nil || k.offline.sheet == "" {
		return recipient, err
	}
	pdf, err := sheet.Recovery{Gate: k.gate, Made: k.made, Key: key.String(), Recipient: console.KeyID(transfer.RecipientDigest(recipient))}.PDF()
	if err != nil {
		return "", err
	}
	return recipient, console.WriteNew(k.offline.sheet, pdf, 0o600)
}

// createIdentity makes a hybrid age key in a new file.
func createIdentity(path, comment string) (*age.HybridIdentity, string, error) {
	id, err := age.GenerateHybridIdentity()
	if err != nil {
		return nil, "", err
	}
	text := fmt.Sprintf("# %s\n%s\n", comment, id)
	if err := console.WriteNew(path, []byte(text), 0o600); err != nil {
		return nil, "", err
	}
	return id, id.Recipient().String(), nil
}

// locked makes a signing key in a new file that only the passphrase opens.
func (k *keyMaker) locked(path string) (string, error) {
	key, err := approval.CreateKey(path, k.passphrase)
	switch {
	case errors.Is(err, approval.ErrShort):
		return "", &console.UsageError{Err: approval.ErrShort}
	case errors.Is(err, os.ErrNotExist):
		return "", console.Usagef("the folder of %q does not exist", path)
	case err != nil:
		return "", err
	}
	return string(key.Public().Marshal()), nil
}

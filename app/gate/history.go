package main

import (
	"bytes"
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"sekisho/app/console"
	"sekisho/transfer"
	"sekisho/transfer/ledger"
	"sekisho/transfer/manifest"
	"sekisho/transfer/seal"
)

// Key sets that were replaced lie in the state folder, each in a folder under
// its digest:
//
//	keys.old/DIGEST/gate.keys.json   the set
//	keys.old/DIGEST/replaced.json    when, and by which set
//	keys.old/DIGEST/gate.key …       the private keys of it that ended with it
//	keys.old/DIGEST/retired.json     when it was retired: what was made for it is refused
const (
	oldDir       = "keys.old"
	replacedFile = "replaced.json"
	retiredFile  = "retired.json"
	maxSets      = 1000
)

// earlierSet is a key set that this gate had.
type earlierSet struct {
	keys     *manifest.KeySet
	digest   manifest.Hash
	dir      string
	replaced time.Time
	retired  bool
}

type replacedNote struct {
	By   manifest.Hash
	Time time.Time
}

// history returns the key set in use and those before it, newest first. A set
// that is not linked to the one in use ends it with an error: without its keys
// old records and generations would seem to be somebody else's.
func (m *machine) history() (*manifest.KeySet, []earlierSet, error) {
	keys, err := m.keySet()
	if err != nil {
		return nil, nil, err
	}
	entries, err := os.ReadDir(m.Path(oldDir))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, nil, err
	}
	if len(entries) > maxSets {
		return nil, nil, fmt.Errorf("%q holds more than %d key sets", m.Path(oldDir), maxSets)
	}
	by := make(map[manifest.Hash]earlierSet) // the set that replaced it
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".part") { // an interrupted beginning
			continue
		}
		s, next, err := readEarlier(m.Path(oldDir, e.Name()))
		if err != nil {
			return nil, nil, fmt.Errorf("the earlier key set %q: %w", m.Path(oldDir, e.Name()), err)
		}
		if _, twice := by[next]; twice {
			return nil, nil, fmt.Errorf("%q: two key sets were replaced by %s", m.Path(oldDir), next)
		}
		by[next] = s
	}
	at, err := keys.Digest()
	if err != nil {
		return nil, nil, err
	}
	var all []earlierSet
	for s, ok := by[at]; ok; s, ok = by[at] {
		delete(by, at)
		all, at = append(all, s), s.digest
	}
	for _, s := range by {
		// An interrupted rotation: the set in use is already noted as replaced.
		if s.digest == mustDigest(keys) && m.rotating() {
			continue
		}
		return nil, nil, fmt.Errorf("%q is of no key set before the one in use: a folder beside it is missing", s.dir)
	}
	return keys, all, nil
}

// mustDigest is for a set that was read, which always has one.
func mustDigest(keys *manifest.KeySet) manifest.Hash {
	digest, err := keys.Digest()
	if err != nil {
		panic(err)
	}
	return digest
}

func readEarlier(dir string) (s earlierSet, by manifest.Hash, err error) {
	data, err := os.ReadFile(filepath.Join(dir, keysFile))
	if err != nil {
		return earlierSet{}, manifest.Hash{}, err
	}
	s.dir = dir
	if s.keys, err = manifest.ParseKeySet(data); err != nil {
		return earlierSet{}, manifest.Hash{}, err
	}
	if s.digest = mustDigest(s.keys); s.digest.String() != filepath.Base(dir) {
		return earlierSet{}, manifest.Hash{}, errors.New("the folder has the name of another set")
	}
	var note replacedNote
	if err := readNote(filepath.Join(dir, replacedFile), &note); err != nil {
		return earlierSet{}, manifest.Hash{}, err
	}
	s.replaced = note.Time
	_, err = os.Lstat(filepath.Join(dir, retiredFile))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return earlierSet{}, manifest.Hash{}, err
	}
	s.retired = err == nil
	return s, note.By, nil
}

// readNote reads one of our small JSON files.
func readNote(path string, v any) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		return fmt.Errorf("%q: %w", path, err)
	}
	return nil
}

// setsOf is the history as key sets, the one in use first.
func setsOf(keys *manifest.KeySet, earlier []earlierSet) []*manifest.KeySet {
	all := []*manifest.KeySet{keys}
	for _, s := range earlier {
		all = append(all, s.keys)
	}
	return all
}

// accepted lists the earlier sets that bags on their way may still be made for.
func accepted(earlier []earlierSet) (all []manifest.Hash) {
	for _, s := range earlier {
		if !s.retired {
			all = append(all, s.digest)
		}
	}
	return all
}

// ledgerKeys are the public keys that the ledger had, oldest first; the last is
// that of the newest of the sets, which come newest first.
func ledgerKeys(sets []*manifest.KeySet) (all ledger.Keyring, err error) {
	last := ""
	for _, keys := range slices.Backward(sets) {
		if keys.Ledger == last {
			continue
		}
		last = keys.Ledger
		public, err := seal.ParsePublicKey([]byte(keys.Ledger))
		if err != nil {
			return nil, fmt.Errorf("the ledger's key: %w", err)
		}
		all = append(all, crypto.PublicKey(public.ECDSA()))
	}
	return all, nil
}

// identities reads the gate's age identity, and after it those of before.
func (m *machine) identities() (transfer.Identity, error) {
	paths := []string{m.Path(identityFile)}
	_, earlier, err := m.history()
	if err != nil {
		return transfer.Identity{}, err
	}
	for _, s := range earlier {
		path := filepath.Join(s.dir, identityFile)
		if _, err := os.Lstat(path); err == nil {
			paths = append(paths, path)
		} else if !errors.Is(err, fs.ErrNotExist) {
			return transfer.Identity{}, err
		}
	}
	return readIdentity(paths...)
}

// readIdentity reads age identities that their owner alone may read.
func readIdentity(paths ...string) (transfer.Identity, error) {
	var texts []string
	for _, path := range paths {
		if err := console.Private(path); err != nil {
			return transfer.Identity{}, err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return transfer.Identity{}, err
		}
		if _, err := transfer.NewIdentity(string(text)); err != nil {
			return transfer.Identity{}, console.Usagef("%q: %w", path, err)
		}
		texts = append(texts, string(text))
	}
	return transfer.NewIdentity(texts...)
}

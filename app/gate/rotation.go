package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"sekisho/app/state"
	"sekisho/transfer/durable"
	"sekisho/transfer/ledger"
	"sekisho/transfer/manifest"
	"sekisho/transfer/seal"
)

// A rotation is prepared in the folder keys.next: the new key set, the new keys
// that the gate holds, and what is to be done. From the moment that the folder
// has its name the rotation happens, also when it is interrupted: the next
// command that writes completes it.
const (
	nextDir      = "keys.next"
	rotationFile = "rotation.json"
)

type rotation struct {
	From     manifest.Hash
	Purposes []string
	Staff    string
	Time     time.Time
}

// rotating says whether a rotation is under way.
func (m *machine) rotating() bool {
	_, err := os.Lstat(m.Path(nextDir))
	return err == nil
}

// nextSet reads the key set that a rotation under way leads to.
func (m *machine) nextSet() (*manifest.KeySet, error) {
	data, err := os.ReadFile(m.Path(nextDir, keysFile))
	if err != nil {
		return nil, err
	}
	keys, err := manifest.ParseKeySet(data)
	if err != nil {
		return nil, fmt.Errorf("%q: %w", m.Path(nextDir, keysFile), err)
	}
	return keys, nil
}

// completeRotation does what keys.next prepares, step by step, each of which may
// have been done before a crash:
//
//  1. keys.old/FROM gets the old set and the keys that end with it;
//  2. the ledger is handed over by its old key to its new one;
//  3. the new keys take their places;
//  4. the new key set takes its place;
//  5. the ledger notes it;
//  6. keys.next goes.
func (m *machine) completeRotation() error {
	if !m.rotating() {
		return nil
	}
	var r rotation
	if err := readNote(m.Path(nextDir, rotationFile), &r); err != nil {
		return err
	}
	keys, err := m.nextSet()
	if err != nil {
		return err
	}
	data, err := keys.Marshal()
	if err != nil {
		return err
	}
	if err := m.keepOld(r, mustDigest(keys)); err != nil {
		return fmt.Errorf("keeping the old keys: %w", err)
	}
	log, err := m.handOver(r, keys)
	if err != nil {
		return err
	}
	defer log.Close()
	for _, p := range purposes {
		if p.file == "" {
			continue
		}
		err := os.Rename(m.Path(nextDir, p.file), m.Path(p.file))
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // not replaced, or in its place already
			return err
		}
	}
	if err := durable.SyncDir(m.Path()); err != nil {
		return err
	}
	if err := durable.Replace(m.Path(keysFile), data, 0o644); err != nil {
		return err
	}
	if _, err := log.Append(r.record("rotated", keys)); err != nil {
		return err
	}
	// In one step, as half a folder would say nothing.
	if err := os.Rename(m.Path(nextDir), m.Path(nextDir+durable.Suffix)); err != nil {
		return err
	}
	if err := durable.SyncDir(m.Path()); err != nil {
		return err
	}
	return errors.Join(durable.Remove(m.Path(nextDir+durable.Suffix)), log.Close())
}

func (r *rotation) record(result string, keys *manifest.KeySet) ledger.Record {
	return ledger.Record{Event: ledger.Trust, By: r.Staff, Result: result, Facts: map[string]string{
		"from": r.From.String(), "keys": mustDigest(keys).String(), "purposes": strings.Join(r.Purposes, " ")}}
}

// keepOld puts the old set and those private keys of it that end with it into
// keys.old.
func (m *machine) keepOld(r rotation, by manifest.Hash) error {
	dir := m.Path(oldDir, r.From.String())
	if _, err := os.Lstat(dir); err == nil {
		return nil
	}
	part := dir + durable.Suffix
	if err := os.RemoveAll(part); err != nil {
		return err
	}
	if err := durable.Mkdir(part, 0o700); err != nil {
		return err
	}
	names := []string{keysFile}
	for _, name := range r.Purposes {
		if p, ok := purposeOf(name); ok && p.file != "" {
			names = append(names, p.file)
		}
	}
	for _, name := range names {
		data, err := os.ReadFile(m.Path(name))
		if err != nil {
			return err
		}
		if err := durable.WriteNew(filepath.Join(part, name), data, 0o600); err != nil {
			return err
		}
	}
	note, err := json.Marshal(replacedNote{by, r.Time})
	if err != nil {
		return err
	}
	if err := durable.WriteNew(filepath.Join(part, replacedFile), note, 0o600); err != nil {
		return err
	}
	return durable.Rename(part, dir)
}

// handOver opens the ledger under the key that the new set has for it.
func (m *machine) handOver(r rotation, keys *manifest.KeySet) (*ledger.Log, error) {
	inUse, earlier, err := m.history()
	if err != nil {
		return nil, err
	}
	sets := setsOf(inUse, earlier)
	if mustDigest(inUse) == r.From {
		sets = append([]*manifest.KeySet{keys}, sets...)
	}
	ring, err := ledgerKeys(sets)
	if err != nil {
		return nil, err
	}
	newest := len(ring) - 1
	if !slices.Contains(r.Purposes, "ledger") {
		key, err := m.key(ledgerKey)
		if err != nil {
			return nil, err
		}
		return opened(ledger.Open(m.Path(state.LedgerDir), origin(m.Name), key.Signer(), ring[:newest]...))
	}
	from, err := seal.LoadPrivateKey(m.Path(oldDir, r.From.String(), ledgerKey))
	if err != nil {
		return nil, err
	}
	to, err := seal.LoadPrivateKey(m.Path(nextDir, ledgerKey))
	if errors.Is(err, fs.ErrNotExist) { // in its place already
		to, err = seal.LoadPrivateKey(m.Path(ledgerKey))
	}
	if err != nil {
		return nil, err
	}
	return opened(ledger.Rotate(m.Path(state.LedgerDir), origin(m.Name), from.Signer(), to.Signer(), r.record("handed-over", keys), ring[:newest-1]...))
}

func opened(l *ledger.Log, err error) (*ledger.Log, error) {
	if err != nil {
		return nil, state.LedgerError(err)
	}
	return l, nil
}

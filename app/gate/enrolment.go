package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"sekisho/transfer/durable"
	"sekisho/transfer/enrol"
	"sekisho/transfer/ledger"
	"sekisho/transfer/seal"
)

// enrol keeps the kiosk. One of that name goes to the retired ones: what it
// sealed can still be checked. From the moment that the new record is written
// beside the challenge the kiosk is enrolled, also when this is interrupted: the
// next command that writes completes it.
func (m *machine) enrol(kiosk *seal.Kiosk, pending *enrol.Pending) error {
	record, err := kiosk.Marshal()
	if err != nil {
		return err
	}
	result := "enrolled"
	if _, err := os.Lstat(m.kioskPath(kiosk.Name)); err == nil {
		result = "enrolled again"
	}
	// Recorded first: a second record after a crash is better than none.
	if _, err := m.Ledger.Append(ledger.Record{Event: ledger.Enrol, Result: result, Facts: map[string]string{"kiosk": kiosk.Name,
		"fingerprint": pending.Request.Fingerprint(), "mode": kiosk.Mode, "counter": fmt.Sprint(kiosk.Counter)}}); err != nil {
		return err
	}
	if err := durable.Replace(m.Path(pendingDir, kiosk.Name+nextSuffix), record, 0o600); err != nil {
		return err
	}
	if err := m.completeEnrolment(kiosk.Name); err != nil {
		return err
	}
	m.Console.Say("kiosk %s is %s (%s); its fingerprint is", kiosk.Name, result, mode(kiosk))
	m.Console.Say("  %s", pending.Request.Fingerprint())
	return nil
}

// completeEnrolments does what interrupted enrolments left.
func (m *machine) completeEnrolments() error {
	decided, err := m.underWay(nextSuffix)
	if err != nil {
		return err
	}
	for _, kiosk := range decided {
		m.Console.Note("the enrolment of kiosk %s was interrupted; it is completed now", kiosk)
		if err := m.completeEnrolment(kiosk); err != nil {
			return err
		}
	}
	return nil
}

// completeEnrolment puts a decided enrolment in its place, step by step, each of
// which may have been done before a crash. The challenge goes before, so that its
// answer never undoes what is decided about the enrolled kiosk.
func (m *machine) completeEnrolment(name string) error {
	pending, err := m.pending(name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err == nil {
		digest, err := pending.Request.Digest()
		if err != nil {
			return err
		}
		if err := durable.Replace(m.Path(pendingDir, name+doneSuffix), []byte(digest.String()), 0o600); err != nil {
			return err
		}
		if err := durable.Remove(m.pendingPath(name)); err != nil {
			return err
		}
	}
	if err := durable.Mkdir(m.Path(kiosksDir), 0o700); err != nil {
		return err
	}
	if err := m.retireKiosk(name, "enrolled again"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return durable.Rename(m.Path(pendingDir, name+nextSuffix), m.kioskPath(name))
}

func (m *machine) kioskPath(name string) string {
	return filepath.Join(m.Path(kiosksDir), name+".json")
}

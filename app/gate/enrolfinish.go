package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"sekisho/app/console"
	"sekisho/transfer"
	"sekisho/transfer/drive"
	"sekisho/transfer/durable"
	"sekisho/transfer/enrol"
	"sekisho/transfer/ledger"
	"sekisho/transfer/seal"
)

func runEnrolFinish(_ context.Context, c *console.Console, args []string) (err error) {
	f := console.NewFlags("gate", "enrol finish", "-config FILE DRIVE",
		"Enrol the kiosk whose answer is on the drive. gate import does this too, when the answer comes with the first bags.")
	rest, err := f.Parse(c, args, 1)
	if err != nil {
		return err
	}
	m, err := openMachine(c, f.Config)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	d, err := m.drive(rest[0])
	if err != nil {
		return err
	}
	n, err := m.finish(d)
	if err == nil && n == 0 {
		return console.Usagef("the drive holds no answer that this gate waits for: kiosk enrol answer writes it")
	}
	return err
}

// finish enrols every kiosk whose challenge waits and whose answer is on the
// drive, and says how many. Nothing else of the drive is looked at: an answer is
// bounded, and worth nothing without the challenge's secret.
func (m *machine) finish(d *drive.Drive) (n int, err error) {
	entries, err := os.ReadDir(m.Path(pendingDir))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return 0, err
	}
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), ".json")
		if !ok {
			continue
		}
		answers, err := transfer.TrustFiles(d, transfer.AnswerFile, name)
		if err != nil {
			return n, err
		}
		if len(answers) != 1 {
			continue
		}
		if err := m.finishOne(d, name, answers[0]); err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

func (m *machine) finishOne(d *drive.Drive, name string, data []byte) error {
	text, err := os.ReadFile(m.pendingPath(name))
	if err != nil {
		return err
	}
	pending, err := enrol.ParsePending(text)
	if err != nil {
		return fmt.Errorf("%q: %w", m.pendingPath(name), err)
	}
	answer, err := enrol.ParseAnswer(data)
	if err != nil {
		return enrolmentRefused(name, err)
	}
	kiosk, err := pending.Finish(answer, time.Now())
	if err != nil {
		return enrolmentRefused(name, err)
	}
	if err := m.notPutBack(kiosk); err != nil {
		return err
	}
	if err := m.enrol(kiosk, pending); err != nil {
		return err
	}
	if err := durable.Remove(m.pendingPath(name)); err != nil { // no answer finishes twice
		return err
	}
	for _, kind := range []transfer.Kind{transfer.RequestFile, transfer.ChallengeFile, transfer.AnswerFile} {
		if err := transfer.RemoveTrust(d, kind, name, ""); err != nil {
			m.Console.Note("the drive keeps a file of the enrolment: %s", console.OneLine(err))
		}
	}
	return nil
}

// notPutBack refuses a TPM whose counter is behind what it sealed before: its
// state was copied back, and its next seals would repeat counter values.
func (m *machine) notPutBack(kiosk *seal.Kiosk) error {
	key, err := kiosk.PublicKey()
	if err != nil {
		return err
	}
	all, err := m.vault.Generations()
	if err != nil {
		return err
	}
	for _, g := range all {
		if g.Key == key.KeyID() && g.Counter > kiosk.Counter {
			return &transfer.Refusal{Reason: transfer.RolledBack, Where: "kiosk " + kiosk.Name,
				Err: fmt.Errorf("its TPM's counter is at %d, and it sealed generation %s at %d: the TPM was put back to an earlier state; clear it, or use another", kiosk.Counter, g.ID, g.Counter)}
		}
	}
	return nil
}

// enrol keeps the kiosk. One of that name goes to the retired ones: what it
// sealed can still be checked.
func (m *machine) enrol(kiosk *seal.Kiosk, pending *enrol.Pending) error {
	record, err := kiosk.Marshal()
	if err != nil {
		return err
	}
	if err := durable.Mkdir(m.Path(kiosksDir), 0o700); err != nil {
		return err
	}
	result := "enrolled"
	switch err := m.retireKiosk(kiosk.Name, "enrolled again"); {
	case err == nil:
		result = "enrolled again"
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	if err := durable.WriteNew(m.kioskPath(kiosk.Name), record, 0o600); err != nil {
		return err
	}
	if _, err := m.Ledger.Append(ledger.Record{Event: ledger.Enrol, Result: result, Facts: map[string]string{"kiosk": kiosk.Name,
		"fingerprint": pending.Request.Fingerprint(), "mode": kiosk.Mode, "counter": fmt.Sprint(kiosk.Counter)}}); err != nil {
		return err
	}
	m.Console.Say("kiosk %s is %s (%s); its fingerprint is", kiosk.Name, result, mode(kiosk))
	m.Console.Say("  %s", pending.Request.Fingerprint())
	return nil
}

func (m *machine) kioskPath(name string) string {
	return filepath.Join(m.Path(kiosksDir), name+".json")
}

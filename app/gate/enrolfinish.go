package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"sekisho/app/console"
	"sekisho/transfer"
	"sekisho/transfer/drive"
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
	n, refused, err := m.finish(d)
	if err == nil && n == 0 && refused == nil {
		return console.Usagef("the drive holds no answer that this gate waits for: kiosk enrol answer writes it")
	}
	return console.Worse(refused, err)
}

// finish enrols every kiosk whose challenge waits and whose answer is on the
// drive, and says how many answers it met. Nothing else of the drive is looked at:
// an answer is bounded, and worth nothing without the challenge's secret. What is
// refused has been said, and keeps nothing else on the drive from its turn.
func (m *machine) finish(d *drive.Drive) (n int, refused, err error) {
	waiting, err := m.underWay(pendingSuffix)
	if err != nil {
		return 0, nil, err
	}
	for _, kiosk := range waiting {
		answers, err := transfer.TrustFiles(d, transfer.AnswerFile, kiosk)
		if err != nil { // it will be the same for the others
			r := transfer.AsRefusal(err, transfer.ReadFailed)
			m.Console.Result(result(r.Reason), r.Reason, "", r)
			return n, console.Worse(refused, console.Said(r)), nil
		}
		if len(answers) != 1 {
			continue
		}
		n++
		err = m.finishOne(kiosk, answers[0])
		if r := (*transfer.Refusal)(nil); errors.As(err, &r) {
			if err := m.refuseAnswer(d, kiosk, r); err != nil {
				return n, refused, err
			}
			refused = console.Worse(refused, console.Said(r))
			continue
		}
		if err != nil {
			return n, refused, err
		}
		m.clear(d, kiosk, transfer.RequestFile, transfer.ChallengeFile, transfer.AnswerFile)
	}
	return n, refused, nil
}

// refuseAnswer says and records why an answer enrols nothing. The file goes from
// the drive, which would bring it again each night, unless IT may yet decide.
func (m *machine) refuseAnswer(d *drive.Drive, kiosk string, r *transfer.Refusal) error {
	m.Console.Result(result(r.Reason), r.Reason, "", r)
	if _, err := m.Ledger.Append(ledger.Record{Event: ledger.Enrol, Result: "refused", Reason: string(r.Reason), Facts: map[string]string{"kiosk": kiosk}}); err != nil {
		return err
	}
	if !r.Reason.Held() && m.clear(d, kiosk, transfer.AnswerFile) {
		m.Console.Note("  the answer of kiosk %s was removed from the drive, and nothing else", kiosk)
	}
	return nil
}

// clear deletes files of an enrolment that have done their work.
func (m *machine) clear(d *drive.Drive, kiosk string, kinds ...transfer.Kind) (gone bool) {
	gone = true
	for _, kind := range kinds {
		if err := transfer.RemoveTrust(d, kind, kiosk, ""); err != nil {
			m.Console.Note("the drive keeps a file of the enrolment: %s", console.OneLine(err))
			gone = false
		}
	}
	return gone
}

var errUnread = errors.New("the file is too large, or cannot be read")

func (m *machine) finishOne(name string, data []byte) error {
	pending, err := m.pending(name)
	if err != nil {
		return enrolmentRefused(name, fmt.Errorf("what the gate kept of its challenge: %w", err))
	}
	digest, err := pending.Request.Digest()
	if err != nil {
		return err
	}
	done, err := os.ReadFile(m.Path(pendingDir, name+doneSuffix))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if string(done) == digest.String() { // what was decided since then stays
		m.Console.Note("kiosk %s was enrolled by this request already", name)
		return m.giveUp(name, "enrolled already")
	}
	keys, err := m.keySet()
	if err != nil {
		return err
	}
	if err := pending.Stands(mustDigest(keys), time.Now()); err != nil {
		return errors.Join(enrolmentRefused(name, err), m.giveUp(name, "it stands no more"))
	}
	if data == nil {
		return enrolmentRefused(name, errUnread)
	}
	answer, err := enrol.ParseAnswer(data)
	if err != nil {
		return enrolmentRefused(name, err)
	}
	kiosk, err := pending.Finish(answer, time.Now())
	if err != nil {
		return enrolmentRefused(name, err)
	}
	key, err := kiosk.PublicKey()
	if err != nil {
		return err
	}
	if err := m.onlyName(name, key); err != nil {
		return err
	}
	if err := m.notPutBack(kiosk, key); err != nil {
		return err
	}
	return m.enrol(kiosk, pending)
}

// notPutBack refuses a TPM whose counter is behind what it sealed before, or was
// enrolled at: its state was copied back, and its next seals would repeat counter
// values.
func (m *machine) notPutBack(kiosk *seal.Kiosk, key *seal.PublicKey) error {
	behind := func(counter uint64, what string) error {
		if counter <= kiosk.Counter {
			return nil
		}
		return &transfer.Refusal{Reason: transfer.RolledBack, Where: "kiosk " + kiosk.Name,
			Err: fmt.Errorf("its TPM's counter is at %d, and it %s at %d: the TPM was put back to an earlier state; clear it, or use another", kiosk.Counter, what, counter)}
	}
	before, err := m.enrolments()
	if err != nil {
		return err
	}
	for _, k := range before {
		earlier, err := k.PublicKey()
		if err != nil {
			return err
		}
		if earlier.KeyID() != key.KeyID() {
			continue
		}
		if err := behind(k.Counter, "was enrolled as "+k.Name); err != nil {
			return err
		}
	}
	all, err := m.vault.Generations()
	if err != nil {
		return err
	}
	for _, g := range all {
		if g.Key == key.KeyID() {
			if err := behind(g.Counter, "sealed generation "+g.ID); err != nil {
				return err
			}
		}
		copies, err := m.vault.Copies(g.ID)
		if err != nil {
			return err
		}
		for _, c := range copies {
			if c.Key != key.KeyID() {
				continue
			}
			if err := behind(c.Counter, "sealed another copy of "+g.ID); err != nil {
				return err
			}
		}
	}
	return nil
}

// enrolments are all that the gate knows, those that ended too.
func (m *machine) enrolments() ([]*seal.Kiosk, error) {
	all, err := m.kiosks()
	if err != nil {
		return nil, err
	}
	retired, err := m.retired()
	for _, r := range retired {
		all = append(all, r.Kiosk)
	}
	return all, err
}

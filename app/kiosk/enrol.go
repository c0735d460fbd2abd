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
	"sekisho/transfer/durable"
	"sekisho/transfer/enrol"
	"sekisho/transfer/ledger"
	"sekisho/transfer/outbox"
	"sekisho/transfer/seal"
)

// runEnrolRequest is the first of four steps; the file goes to the gate.
func runEnrolRequest(ctx context.Context, c *console.Console, args []string) (err error) {
	f := console.NewFlags("kiosk", "enrol request", "-config FILE [-software-roots FILE] DRIVE",
		"Make this kiosk's sealing key, if it has none yet, and write the request that asks a gate to enrol it to the drive.")
	roots := f.String("software-roots", "", "of a software TPM: write the certificates of its maker to this new `file`, for software_tpm_roots of the gate")
	rest, err := f.Parse(c, args, 1)
	if err != nil {
		return err
	}
	m, err := openMachine(c, f.Config)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	d, err := m.openDrive(rest[0])
	if err != nil {
		return err
	}
	request, err := m.request(ctx)
	if err != nil {
		return err
	}
	data, err := request.Marshal()
	if err != nil {
		return err
	}
	if *roots != "" {
		if err := m.softwareRoots(*roots); err != nil {
			return err
		}
	}
	if err := durable.Replace(m.Path(requestFile), data, 0o600); err != nil {
		return err
	}
	if err := transfer.PutTrust(d, transfer.RequestFile, m.Name, "", data); err != nil {
		return err
	}
	if _, err := m.Ledger.Append(ledger.Record{Event: ledger.Enrol, Result: "requested", Facts: map[string]string{"fingerprint": request.Fingerprint()}}); err != nil {
		return err
	}
	c.Say("kiosk %s asks to be enrolled; its fingerprint is", m.Name)
	c.Say("  %s", request.Fingerprint())
	c.Say("At the gate, with the drive: gate enrol challenge -fingerprint, with what this screen shows.")
	return nil
}

// request asks for the TPM's key, in the form that is configured.
func (m *machine) request(ctx context.Context) (*enrol.Request, error) {
	form, err := m.form()
	if err != nil {
		if m.TPM.Approved {
			return nil, console.Usagef("require_approved_state needs IT's approvals key first: kiosk enrol trust KEYS, with the gate's key set")
		}
		return nil, err
	}
	t, err := m.tpm(ctx)
	if err != nil {
		return nil, err
	}
	key, err := t.CreateKey(form)
	if err != nil {
		return nil, sealTrouble(fmt.Errorf("making the sealing key: %w", err))
	}
	m.Console.Note("asking the TPM for its endorsement key; a chip may take a minute")
	ek, err := t.Endorsement(ctx)
	if err != nil {
		return nil, sealTrouble(err)
	}
	state, err := m.present(t)
	if err != nil {
		return nil, sealTrouble(err)
	}
	text, err := state.Marshal()
	if err != nil {
		return nil, err
	}
	return enrol.NewRequest(m.Name, ek, key, form, text, time.Now())
}

func (m *machine) softwareRoots(path string) error {
	if m.TPM.Kind != "software" {
		return console.Usagef("-software-roots is for a software TPM, and this kiosk is configured with a device")
	}
	roots, err := enrol.SoftwareRoots(m.Path("tpm"))
	if err != nil {
		return err
	}
	return console.WriteNew(path, roots, 0o644)
}

// runEnrolAnswer is the third step: the challenge on the drive holds the gate's
// key set, which is pinned once two people have compared it.
func runEnrolAnswer(ctx context.Context, c *console.Console, args []string) (err error) {
	f := console.NewFlags("kiosk", "enrol answer", "-config FILE [-digest D] [-replace] [-staff N] DRIVE",
		"Answer the gate's challenge on the drive, and pin the gate's keys. The drive may carry the first bags too.")
	digest := f.String("digest", "", "the `digest` of its keys that the gate shows; needed unless these keys are pinned already")
	replace := f.Bool("replace", false, "pin them in the place of another key set")
	var staff string
	f.Staff(&staff)
	rest, err := f.Parse(c, args, 1)
	if err != nil {
		return err
	}
	if err := console.CheckStaff(staff); err != nil {
		return err
	}
	m, err := openMachine(c, f.Config)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	d, err := m.openDrive(rest[0])
	if err != nil {
		return err
	}
	request, challenge, err := m.challenged(d)
	if err != nil {
		return err
	}
	if err := m.pin(challenge.Keys, *digest, *replace, staff); err != nil {
		return err
	}
	answer, err := m.answer(ctx, request, challenge, staff)
	if err != nil {
		return err
	}
	if err := transfer.PutTrust(d, transfer.AnswerFile, m.Name, "", answer); err != nil {
		return err
	}
	if _, err := m.Ledger.Append(ledger.Record{Event: ledger.Enrol, By: staff, Result: "answered", Facts: map[string]string{"fingerprint": request.Fingerprint()}}); err != nil {
		return err
	}
	c.Say("the challenge is answered: gate enrol finish, or gate import with the first bags, enrols kiosk %s", m.Name)
	return nil
}

// challenged reads the challenge on the drive and the request that it is for.
func (m *machine) challenged(d *drive.Drive) (*enrol.Request, *enrol.Challenge, error) {
	files, err := transfer.TrustFiles(d, transfer.ChallengeFile, m.Name)
	if err != nil {
		return nil, nil, err
	}
	if len(files) != 1 {
		return nil, nil, console.Usagef("the drive holds no challenge for kiosk %s (%q): gate enrol challenge writes it", m.Name, transfer.TrustPath(transfer.ChallengeFile, m.Name, ""))
	}
	data, err := os.ReadFile(m.Path(requestFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, console.Usagef("this kiosk has not asked to be enrolled: kiosk enrol request comes first")
	}
	if err != nil {
		return nil, nil, err
	}
	request, err := enrol.ParseRequest(data)
	if err != nil {
		return nil, nil, fmt.Errorf("%q: %w", m.Path(requestFile), err)
	}
	challenge, err := enrol.ParseChallenge(files[0])
	if err != nil {
		return nil, nil, &transfer.Refusal{Reason: transfer.EnrolmentRefused, Where: "challenge", Err: err}
	}
	return request, challenge, nil
}

// answer has the TPM answer. What was sealed before belongs to another enrolment:
// the chain of seals begins anew.
func (m *machine) answer(ctx context.Context, request *enrol.Request, challenge *enrol.Challenge, staff string) ([]byte, error) {
	for _, envelope := range challenge.Approvals {
		if _, err := m.takeApproval(envelope, staff); err != nil {
			return nil, err
		}
	}
	form, err := m.form()
	if err != nil {
		return nil, err
	}
	t, err := m.tpm(ctx)
	if err != nil {
		return nil, err
	}
	key, err := t.Key(form)
	if errors.Is(err, seal.ErrNoKey) {
		return nil, console.Usagef("the TPM has no sealing key in the configured form: kiosk enrol request makes it")
	}
	if err != nil {
		return nil, sealTrouble(err)
	}
	if err := m.authorize(key); err != nil {
		return nil, err
	}
	answer, err := enrol.Respond(ctx, key, request, challenge)
	if errors.Is(err, enrol.ErrRefused) {
		return nil, &transfer.Refusal{Reason: transfer.EnrolmentRefused, Where: "challenge", Err: err}
	}
	if err != nil {
		return nil, sealTrouble(err)
	}
	counter, err := key.Counter()
	if err != nil {
		return nil, sealTrouble(err)
	}
	if err := m.outbox.SetChain(&outbox.Chain{Counter: counter}); err != nil {
		return nil, err
	}
	state, err := m.present(t)
	if err != nil {
		return nil, sealTrouble(err)
	}
	text, err := state.Marshal()
	if err != nil {
		return nil, err
	}
	if err := durable.Replace(m.Path(enrolledFile), text, 0o600); err != nil {
		return nil, err
	}
	return answer.Marshal()
}

package main

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"sekisho/app/console"
	"sekisho/transfer"
	"sekisho/transfer/drive"
	"sekisho/transfer/durable"
	"sekisho/transfer/enrol"
	"sekisho/transfer/ledger"
	"sekisho/transfer/manifest"
	"sekisho/transfer/outbox"
	"sekisho/transfer/seal"
)

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
	answer, err := m.answered(request, challenge)
	if err != nil {
		return err
	}
	if err := m.pin(challenge.Keys, transfer.TrustPath(transfer.ChallengeFile, m.Name, ""), *digest, *replace, staff); err != nil {
		return err
	}
	if answer == nil {
		if answer, err = m.answer(ctx, request, challenge, staff); err != nil {
			return err
		}
	}
	if err := transfer.PutTrust(d, transfer.AnswerFile, m.Name, "", answer); err != nil {
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

// given is the answer that was given to the last request, and to which challenge.
type given struct {
	Request   manifest.Hash // digests
	Challenge manifest.Hash
	Answer    []byte
}

// answered returns the answer that was given to this challenge before; nil when
// the request has none yet. A request is answered once: what was sealed since
// continues the chain that began with the answer.
func (m *machine) answered(request *enrol.Request, challenge *enrol.Challenge) ([]byte, error) {
	data, err := os.ReadFile(m.Path(answerFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var last given
	if err := json.Unmarshal(data, &last); err != nil {
		return nil, fmt.Errorf("%q: %w", m.Path(answerFile), err)
	}
	asked, err := request.Digest()
	if err != nil {
		return nil, err
	}
	digest, err := digestOf(challenge)
	if err != nil {
		return nil, err
	}
	if last.Request != asked || challenge.Request != asked {
		return nil, nil
	}
	if last.Challenge != digest {
		return nil, console.Usagef("the last request was answered already, and this is another challenge to it: kiosk enrol request asks anew")
	}
	return last.Answer, nil
}

func digestOf(challenge *enrol.Challenge) (manifest.Hash, error) {
	data, err := challenge.Marshal()
	return sha256.Sum256(data), err
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
	if _, err := m.Ledger.Append(ledger.Record{Event: ledger.Enrol, By: staff, Result: "answered", Facts: map[string]string{"fingerprint": request.Fingerprint()}}); err != nil {
		return nil, err
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
	return m.keepAnswer(challenge, answer)
}

func (m *machine) keepAnswer(challenge *enrol.Challenge, answer *enrol.Answer) ([]byte, error) {
	text, err := answer.Marshal()
	if err != nil {
		return nil, err
	}
	digest, err := digestOf(challenge)
	if err != nil {
		return nil, err
	}
	data, err := json.Marshal(given{challenge.Request, digest, text})
	if err != nil {
		return nil, err
	}
	return text, durable.Replace(m.Path(answerFile), data, 0o600)
}

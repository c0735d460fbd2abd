package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"sekisho/transfer"
	"sekisho/transfer/approval"
	"sekisho/transfer/drive"
	"sekisho/transfer/ledger"
	"sekisho/transfer/seal"
)

// Files of the state folder that are about trust.
const (
	approvalsDir = "approvals"     // what IT approved for this kiosk, a folder for each of IT's keys
	ticketsDir   = "tickets"       // the TPM's own word that it checked an approval
	requestFile  = "request.json"  // the enrolment request that waits for its challenge
	answerFile   = "answer.json"   // what the last enrolment was answered with
	enrolledFile = "enrolled.json" // and the state that it was answered in
)

// form says how sealing key and counter are bound, by the configuration.
func (m *machine) form() (seal.Form, error) {
	if !m.TPM.Approved {
		return seal.Form{}, nil
	}
	by, err := m.approvalsKey()
	return seal.Form{Approvals: by, Tickets: m.Path(ticketsDir)}, err
}

// approvalsKey is the key of IT's approvals, from the pinned key set.
func (m *machine) approvalsKey() (*seal.PublicKey, error) {
	keys, err := m.gateKeys()
	if err != nil {
		return nil, err
	}
	by, err := seal.ParsePublicKey([]byte(keys.Approvals))
	if err != nil {
		return nil, &transfer.Refusal{Reason: transfer.NotEnrolled, Where: "approvals key", Err: err}
	}
	return by, nil
}

// approvalStore is the folder of what the pinned key approved. What an earlier one
// approved lies beside it and counts again only with that key.
func (m *machine) approvalStore() (approval.Store, error) {
	by, err := m.approvalsKey()
	if err != nil {
		return approval.Store{}, err
	}
	return approval.Store{Dir: m.Path(approvalsDir, by.KeyID()[:keyFolder]), Keys: []*seal.PublicKey{by}, Kiosk: m.Name}, nil
}

// keyFolder is how much of a key's ID names the folder of what it approved.
const keyFolder = 16

// approvals lists what IT approved for this kiosk as it is configured; none before
// it has a gate.
func (m *machine) approvals() ([]*approval.Approval, error) {
	store, err := m.approvalStore()
	if r := transfer.AsRefusal(err, ""); err != nil && r.Reason == transfer.NotEnrolled {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	all, err := store.List()
	return slices.DeleteFunc(all, func(a *approval.Approval) bool { return a.Software != m.TPM.Register }), err
}

// takeApprovals keeps the approvals that the drive brought. One that does not
// hold is said and left alone: the night goes on without it. With erase the question
// that they answer goes from the drive.
func (m *machine) takeApprovals(d *drive.Drive, staff string, erase bool) error {
	files, err := transfer.TrustFiles(d, transfer.ApprovalFile, m.Name)
	if err != nil {
		return err
	}
	taken := 0
	for _, envelope := range files {
		a, err := m.takeApproval(envelope, staff)
		switch {
		case err == nil && a == nil: // it was here
		case err == nil:
			taken++
			m.Console.Note("approval %s of IT was taken from the drive; its last day is %s", a.ID(), a.LastDay())
		case transfer.AsRefusal(err, transfer.Failed).Reason == transfer.ApprovalRefused:
			m.Console.Result("", transfer.ApprovalRefused, "", err)
		case err != nil:
			return err
		}
	}
	if taken == 0 || !erase {
		return nil
	}
	return transfer.RemoveTrust(d, transfer.StateFile, m.Name, "") // it has been answered
}

// takeApproval records one approval and keeps it; nil when it is here already. One
// that names another software register would have the TPM seal whatever Sekisho's
// own register holds.
func (m *machine) takeApproval(envelope []byte, staff string) (*approval.Approval, error) {
	store, err := m.approvalStore()
	if err != nil {
		return nil, err
	}
	before, err := store.List()
	if err != nil {
		return nil, err
	}
	a, err := approval.Open(envelope, store.Keys[0], m.Name)
	if err == nil && a.Software != m.TPM.Register {
		err = fmt.Errorf("approval %s is about the software register %d, and this kiosk is configured with %d", a.ID(), a.Software, m.TPM.Register)
	}
	if err != nil {
		return nil, &transfer.Refusal{Reason: transfer.ApprovalRefused, Err: err}
	}
	if slices.ContainsFunc(before, func(b *approval.Approval) bool { return b.ID() == a.ID() }) {
		return nil, nil
	}
	if _, err := m.Ledger.Append(ledger.Record{Event: ledger.Approve, By: staff, Result: "approved",
		Facts: map[string]string{"approval": a.ID(), "until": a.Until.Format(time.RFC3339)}}); err != nil {
		return nil, err
	}
	a, err = store.Add(envelope)
	if errors.Is(err, approval.ErrRevoked) {
		err = &transfer.Refusal{Reason: transfer.ApprovalRefused, Err: err}
	}
	return a, err
}

// enrolledState is the state in which this kiosk answered its enrolment; the
// gate takes it for approved.
func (m *machine) enrolledState() (approval.State, bool, error) {
	data, err := os.ReadFile(m.Path(enrolledFile))
	if errors.Is(err, fs.ErrNotExist) {
		return approval.State{}, false, nil
	}
	if err != nil {
		return approval.State{}, false, err
	}
	s, err := approval.ParseState(data)
	if err != nil {
		return approval.State{}, false, fmt.Errorf("%q: %w", m.Path(enrolledFile), err)
	}
	return s, true, nil
}

// judge compares a state with all that is approved here. The state at enrolment
// counts for the gate; a TPM in the bound form knows nothing but approvals.
func (m *machine) judge(s approval.State) (approval.Verdict, error) {
	approved, err := m.approvals()
	if err != nil {
		return approval.Verdict{}, err
	}
	was, ok, err := m.enrolledState()
	if err != nil {
		return approval.Verdict{}, err
	}
	if ok && !m.TPM.Approved {
		approved = append(approved, approval.AtEnrolment(was))
	}
	return approval.Judge(s, approved, time.Now()), nil
}

// present is the state that the TPM is in now.
func (m *machine) present(t *seal.TPM) (approval.State, error) {
	registers, err := t.Registers()
	if err != nil {
		return approval.State{}, err
	}
	info, err := t.Info()
	if err != nil {
		return approval.State{}, err
	}
	return approval.State{Kiosk: m.Name, Software: m.TPM.Register, Registers: registers, Events: m.events,
		Firmware: info.Firmware, SoftwareTPM: info.Software, Time: time.Now().UTC().Truncate(time.Second)}, nil
}

// explain says in plain words what changed, and whom to ask.
func (m *machine) explain(v approval.Verdict) {
	for line := range strings.Lines(v.Text(m.Console.Lang)) {
		m.Console.Note("  %s", strings.TrimSuffix(line, "\n"))
	}
	m.Console.Note("  %s", m.whomToAsk())
}

func (m *machine) whomToAsk() string {
	if m.Console.Lang == "ja" {
		return "連絡先: " + m.Contact
	}
	return "ask: " + m.Contact
}

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"sekisho/app/console"
	"sekisho/transfer"
	"sekisho/transfer/approval"
	"sekisho/transfer/enrol"
	"sekisho/transfer/seal"
)

// judge says whether IT approved the state that a seal proved. One that waits
// for a decision is kept, so that it can be approved by its id.
func (m *machine) judge(by *seal.Opened, keep bool) error {
	v, s, err := m.verdict(by)
	if err != nil || v.Approved {
		return err
	}
	if keep {
		if err := m.pendingStates().Add(approval.Waiting{State: s, Sealed: true}); err != nil {
			return err
		}
	}
	return &transfer.Refusal{Reason: transfer.UnapprovedState, Where: "kiosk " + s.Kiosk,
		Err: fmt.Errorf("state %s: %s", s.ID(), strings.NewReplacer(".\n", "; ", "\n", "; ").Replace(v.Text("en")))}
}

func (m *machine) verdict(by *seal.Opened) (approval.Verdict, approval.State, error) {
	s := approval.StateOf(by)
	s.Time = time.Now().UTC().Truncate(time.Second)
	v, err := m.judged(s, by.Kiosk)
	return v, s, err
}

// judged compares a state with all that is approved: by IT, and by the enrolment
// of the kiosk, which may be nil.
func (m *machine) judged(s approval.State, kiosk *seal.Kiosk) (approval.Verdict, error) {
	stores, err := m.approvalStore()
	if err != nil {
		return approval.Verdict{}, err
	}
	approved, err := stores.List()
	if err != nil {
		return approval.Verdict{}, err
	}
	if kiosk != nil {
		if was, ok := approval.Enrolled(kiosk); ok {
			approved = append(approved, approval.AtEnrolment(was))
		}
	}
	return approval.Judge(s, approved, time.Now()), nil
}

// firstApprovals are those that a kiosk in the bound form begins with: by the key
// that it obeys, and about the register that it measures into. Two people compared
// the request, and its state with it.
func (m *machine) firstApprovals(request *enrol.Request) ([][]byte, error) {
	s, err := approval.ParseState(request.State)
	if err != nil || s.Kiosk != request.Name {
		return nil, &transfer.Refusal{Reason: transfer.EnrolmentRefused, Where: "kiosk " + request.Name, Err: errors.New("the request holds no state of its kiosk to approve")}
	}
	stores, err := m.approvalStore()
	if err != nil {
		return nil, err
	}
	approved, err := stores[0].List()
	if err != nil {
		return nil, err
	}
	approved = slices.DeleteFunc(approved, func(a *approval.Approval) bool { return a.Software != s.Software })
	v := approval.Judge(s, approved, time.Now())
	if !v.Approved {
		s.Time = time.Now().UTC().Truncate(time.Second)
		if err := m.pendingStates().Add(approval.Waiting{State: s}); err != nil {
			return nil, err
		}
		return nil, &transfer.Refusal{Reason: transfer.UnapprovedState, Where: "kiosk " + request.Name,
			Err: fmt.Errorf("its TPM seals in approved states only: gate approve %s, then gate enrol challenge again", s.ID())}
	}
	return [][]byte{v.Approval.Envelope()}, nil
}

// showState says what a state is, and what of it differs from what is approved.
func (m *machine) showState(s approval.State) error {
	kiosk, err := readKiosk(m.kioskPath(s.Kiosk))
	if errors.Is(err, fs.ErrNotExist) {
		kiosk, err = nil, nil // it asks to be enrolled
	}
	if err != nil {
		return err
	}
	v, err := m.judged(s, kiosk)
	if err != nil {
		return err
	}
	m.Console.Say("state %s of kiosk %s", s.ID(), s.Kiosk)
	if n := len(s.Events.Events); n > 0 {
		m.Console.Say("  software register %d, %s measured", s.Software, console.Count(int64(n), "file"))
	} else {
		m.Console.Say("  software register %d, not measured", s.Software)
		m.Console.Note("WARNING: nothing says which files this state stands for: kiosk measure did not run, or another program used the register")
	}
	for line := range strings.Lines(v.Text(m.Console.Lang)) {
		m.Console.Say("  %s", strings.TrimSuffix(line, "\n"))
	}
	return nil
}

package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"time"

	"sekisho/app/console"
	"sekisho/transfer"
	"sekisho/transfer/approval"
	"sekisho/transfer/ledger"
	"sekisho/transfer/seal"
)

const (
	approvalsDir = "approvals" // IT's, for all kiosks, a folder for each of IT's keys
	statesDir    = "states"    // that wait for IT's decision
	maxStateFile = 128 << 10   // bytes
)

func runApprove(_ context.Context, c *console.Console, args []string) (err error) {
	var terms approval.Terms
	var keyPath, passphrase, shown, without, until, drivePath, out string
	f := console.NewFlags("gate", "approve", "-config FILE -key FILE [-passphrase FILE] [-state ID] [-until DATE] [-without N,…] [-reason TEXT] [-staff N] [-drive FOLDER] [-out FILE] STATE",
		"Approve a state in which a kiosk may seal. STATE is the id of one that gate approvals lists, or a file that kiosk state wrote: then -state is what the kiosk's own screen shows.")
	f.StringVar(&keyPath, "key", "", "IT's approvals key, an encrypted `file`")
	f.StringVar(&passphrase, "passphrase", "", "read its passphrase from this `file`; default: ask")
	f.StringVar(&shown, "state", "", "of a file: the `id` of the state as the kiosk's screen shows it")
	f.StringVar(&until, "until", "", "the approval ends on this `date`, as 2027-03-31; default a year from now")
	f.StringVar(&without, "without", "", "leave out these `registers`, as 1,5: whatever they hold, the state is approved")
	f.StringVar(&terms.Reason, "reason", "", "why, for the records: a line of `text`")
	f.StringVar(&drivePath, "drive", "", "put the approval on this drive, a mounted `folder`, for the kiosk")
	f.StringVar(&out, "out", "", "write the approval to this new `file`, for the kiosk")
	f.Staff(&terms.By)
	rest, err := f.Parse(c, args, 1)
	if err != nil {
		return err
	}
	if terms, err = completed(terms, without, until); err != nil {
		return err
	}
	if keyPath == "" {
		return console.Usagef("-key FILE is missing: IT's approvals key")
	}
	m, err := openMachine(c, f.Config)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	s, err := m.stateOf(rest[0], shown)
	if err != nil {
		return err
	}
	if err := m.sameRegister(s); err != nil {
		return err
	}
	if err := m.showState(s); err != nil { // before the passphrase: this is what is approved
		return err
	}
	key, err := unlock(c, keyPath, passphrase)
	if err != nil {
		return err
	}
	a, err := m.approve(key, s, terms)
	if err != nil {
		return err
	}
	c.Say("approved as %s until %s", a.ID(), a.LastDay())
	if out != "" {
		if err := console.WriteNew(out, a.Envelope(), 0o644); err != nil {
			return err
		}
	}
	if drivePath != "" {
		d, err := m.drive(drivePath)
		if err != nil {
			return err
		}
		return putApproval(d, a)
	}
	return nil
}

// completed checks and fills in the terms.
func completed(terms approval.Terms, without, until string) (approval.Terms, error) {
	if err := console.CheckStaff(terms.By); err != nil {
		return terms, err
	}
	if terms.By == "" {
		terms.By = "it"
	}
	terms.From = time.Now()
	if until != "" {
		end, err := time.ParseInLocation("2006-01-02", until, time.Local)
		if err != nil {
			return terms, console.Usagef("-until %q: want a date as 2027-03-31", until)
		}
		terms.Until = end.AddDate(0, 0, 1) // the day itself counts
	}
	for word := range strings.SplitSeq(without, ",") {
		if without == "" {
			break
		}
		n, err := strconv.Atoi(strings.TrimSpace(word))
		if err != nil {
			return terms, console.Usagef("-without %q: want registers as 1,5", without)
		}
		terms.Without = append(terms.Without, n)
	}
	return terms, nil
}

// stateOf finds a state that waits by its id, or reads a file. Whoever carried the
// file may have written another state into it: so its id is typed, as shown on the
// kiosk's screen.
func (m *machine) stateOf(name, shown string) (approval.State, error) {
	waiting, err := m.pendingStates().List()
	if err != nil {
		return approval.State{}, err
	}
	for _, w := range waiting {
		if console.SameGroups(name, w.ID()) {
			return w.State, nil
		}
	}
	data, err := console.ReadFile(name, maxStateFile)
	if err != nil {
		return approval.State{}, console.Usagef("%q is neither the id of a state that waits (gate approvals lists them) nor a file: %w", name, err)
	}
	s, err := approval.ParseState(data)
	switch {
	case err != nil:
		return approval.State{}, console.Usagef("%q is not a kiosk's state: %w", name, err)
	case shown == "": // the id is not shown here: it would only be typed again
		return approval.State{}, console.Usagef("%q says what a state of kiosk %s is: give the id that the kiosk's own screen shows with -state", name, s.Kiosk)
	case !console.SameGroups(shown, s.ID()):
		return approval.State{}, &transfer.Refusal{Reason: transfer.ComparisonFailed, Where: "state of kiosk " + s.Kiosk,
			Err: fmt.Errorf("what was typed is not the id of the state in %q", name)}
	}
	return s, nil
}

// sameRegister refuses a state whose software register is not the one that the
// kiosk was enrolled with: an approval of it would let the TPM seal whatever
// Sekisho's own register holds.
func (m *machine) sameRegister(s approval.State) error {
	kiosk, err := readKiosk(m.kioskPath(s.Kiosk))
	if errors.Is(err, fs.ErrNotExist) {
		return nil // it asks to be enrolled
	}
	if err != nil {
		return err
	}
	was, ok := approval.Enrolled(kiosk)
	if !ok || was.Software == s.Software {
		return nil
	}
	return &transfer.Refusal{Reason: transfer.ApprovalRefused, Where: "kiosk " + s.Kiosk,
		Err: fmt.Errorf("it was enrolled with the software register %d, and this state is about %d; if the kiosk was configured so on purpose, retire it (gate enrol retire) and enrol it again", was.Software, s.Software)}
}

func (m *machine) pendingStates() approval.Pending { return approval.Pending{Dir: m.Path(statesDir)} }

// approve signs an approval with the key in use, records it, and keeps it.
func (m *machine) approve(key *seal.PrivateKey, s approval.State, terms approval.Terms) (*approval.Approval, error) {
	stores, err := m.approvalStore()
	if err != nil {
		return nil, err
	}
	store := stores[0]
	if store.Keys[0].KeyID() != key.Public().KeyID() {
		return nil, &transfer.Refusal{Reason: transfer.ApprovalRefused, Err: fmt.Errorf("this is the key %.16s, and the approvals key of this gate's present key set is %.16s", key.Public().KeyID(), store.Keys[0].KeyID())}
	}
	envelope, a, err := approval.Sign(key, s, terms)
	if err != nil {
		return nil, console.Usagef("%w", err)
	}
	// Recorded first: a record without its approval is better than the reverse.
	if _, err := m.Ledger.Append(ledger.Record{Event: ledger.Approve, By: terms.By, Result: "approved", Facts: map[string]string{
		"kiosk": s.Kiosk, "approval": a.ID(), "state": s.ID(), "until": a.Until.Format(time.RFC3339)}}); err != nil {
		return nil, err
	}
	if _, err := store.Add(envelope); err != nil {
		return nil, err
	}
	return a, m.pendingStates().Remove(s.ID())
}

// unlock opens IT's key, which is encrypted with a passphrase.
func unlock(c *console.Console, path, passphraseFile string) (*seal.PrivateKey, error) {
	passphrase, err := c.Passphrase(passphraseFile, path, false)
	if err != nil {
		return nil, err
	}
	key, err := approval.LoadKey(path, passphrase)
	if errors.Is(err, approval.ErrPassphrase) || errors.Is(err, approval.ErrNotKey) || errors.Is(err, fs.ErrNotExist) {
		return nil, console.Usagef("%w", err)
	}
	return key, err
}

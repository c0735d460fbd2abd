package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"sekisho/app/console"
	"sekisho/transfer"
	"sekisho/transfer/drive"
	"sekisho/transfer/durable"
	"sekisho/transfer/enrol"
	"sekisho/transfer/ledger"
)

// runEnrolChallenge is the second of four steps: the kiosk's request is on the
// drive, and its fingerprint on the kiosk's screen.
func runEnrolChallenge(_ context.Context, c *console.Console, args []string) (err error) {
	f := console.NewFlags("gate", "enrol challenge", "-config FILE -fingerprint F [-kiosk NAME] [-weaker] DRIVE",
		"Answer the kiosk's request on the drive with a challenge that only its TPM can open, and with this gate's keys.")
	fingerprint := f.String("fingerprint", "", "the `fingerprint` that the kiosk's screen shows")
	name := f.String("kiosk", "", "the `name` of the kiosk, when the drive holds requests of several")
	weaker := f.Bool("weaker", false, "take the place of an enrolment that promised more")
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
	request, err := m.requested(d, *name)
	if err != nil {
		return err
	}
	switch { // the fingerprint is not shown here: it would only be typed again
	case *fingerprint == "":
		return console.Usagef("kiosk %s asks to be enrolled: give the fingerprint that its own screen shows with -fingerprint", request.Name)
	case !console.SameGroups(*fingerprint, request.Fingerprint()):
		return &transfer.Refusal{Reason: transfer.ComparisonFailed, Where: "request of kiosk " + request.Name,
			Err: errors.New("the kiosk's screen shows another fingerprint than that of the request on the drive")}
	}
	return m.challenge(d, request, *weaker)
}

// requested reads the one request on the drive, or that of the kiosk.
func (m *machine) requested(d *drive.Drive, name string) (*enrol.Request, error) {
	if name == "" {
		names, err := transfer.TrustNames(d, transfer.RequestFile)
		if err != nil {
			return nil, err
		}
		var kiosks []string
		for _, n := range names {
			kiosks = append(kiosks, n.Kiosk)
		}
		switch len(kiosks) {
		case 0:
			return nil, console.Usagef("the drive holds no request: kiosk enrol request writes it")
		case 1:
			name = kiosks[0]
		default:
			return nil, console.Usagef("the drive holds requests of %s: choose with -kiosk", strings.Join(kiosks, ", "))
		}
	}
	files, err := transfer.TrustFiles(d, transfer.RequestFile, name)
	if err != nil {
		return nil, err
	}
	if len(files) != 1 {
		return nil, console.Usagef("the drive holds no request of kiosk %q", name)
	}
	request, err := enrol.ParseRequest(files[0])
	switch {
	case files[0] == nil:
		err = errUnread
	case err == nil && request.Name != name:
		err = fmt.Errorf("it is of kiosk %q", request.Name)
	}
	if err != nil {
		return nil, &transfer.Refusal{Reason: transfer.EnrolmentRefused, Where: transfer.TrustPath(transfer.RequestFile, name, ""), Err: err}
	}
	return request, nil
}

// challenge writes the challenge to the drive once what waits for its answer is
// kept. A request in the bound form needs an approval of its state to begin with.
// One that promises less than the enrolment of that name is refused unless weaker.
func (m *machine) challenge(d *drive.Drive, request *enrol.Request, weaker bool) error {
	keys, err := m.keySet()
	if err != nil {
		return err
	}
	roots, err := m.roots()
	if err != nil {
		return err
	}
	var approvals [][]byte
	if request.Bound() {
		if approvals, err = m.firstApprovals(request); err != nil {
			return err
		}
	}
	challenge, pending, err := enrol.NewChallenge(request, keys, roots, approvals)
	if err != nil {
		return enrolmentRefused(request.Name, err)
	}
	key, err := pending.Key()
	if err != nil {
		return enrolmentRefused(request.Name, err)
	}
	if err := m.onlyName(request.Name, key); err != nil {
		return err
	}
	less, err := m.less(pending)
	if err != nil {
		return err
	}
	if len(less) > 0 && !weaker {
		return enrolmentRefused(request.Name, fmt.Errorf("%s; with -weaker it is challenged all the same", strings.Join(less, "; ")))
	}
	kept, err := pending.Marshal()
	if err != nil {
		return err
	}
	data, err := challenge.Marshal()
	if err != nil {
		return err
	}
	if err := durable.Mkdir(m.Path(pendingDir), 0o700); err != nil {
		return err
	}
	if err := durable.Replace(m.pendingPath(request.Name), kept, 0o600); err != nil {
		return err
	}
	if err := transfer.PutTrust(d, transfer.ChallengeFile, request.Name, "", data); err != nil {
		return err
	}
	facts := map[string]string{"kiosk": request.Name, "fingerprint": request.Fingerprint(), "mode": pending.Origin.Mode, "form": form(request.Bound())}
	if len(less) > 0 {
		facts["weaker"] = strings.Join(less, "; ")
	}
	if _, err := m.Ledger.Append(ledger.Record{Event: ledger.Enrol, Result: "challenged", Facts: facts}); err != nil {
		return err
	}
	c := m.Console
	c.Say("the challenge for kiosk %s is on the drive (%s)", request.Name, vouched(pending.Origin))
	c.Say("  form        %s", form(request.Bound()))
	for _, l := range less {
		c.Say("  weaker      %s", l)
	}
	if pending.Origin.Why != "" {
		c.Say("  note        %s", pending.Origin.Why)
	}
	c.Say("the digest of this gate's keys is")
	c.Say("  %s", challenge.Fingerprint())
	c.Say("At the kiosk, with the drive: kiosk enrol answer -digest, with what this screen shows.")
	return nil
}

// roots are the certificates that the configuration names.
func (m *machine) roots() (enrol.Roots, error) {
	hardware, err := enrol.LoadRoots(m.TPMRoots, false)
	if err != nil {
		return nil, console.Usagef("tpm_roots: %w", err)
	}
	software, err := enrol.LoadRoots(m.SoftwareRoots, true)
	if err != nil {
		return nil, console.Usagef("software_tpm_roots: %w", err)
	}
	return append(hardware, software...), nil
}

// softwareRoots are the digests of the roots of software TPMs that the
// configuration names on purpose.
func (m *machine) softwareRoots() (map[string]bool, error) {
	roots, err := enrol.LoadRoots(m.SoftwareRoots, true)
	if err != nil {
		return nil, console.Usagef("software_tpm_roots: %w", err)
	}
	return roots.Anchors(), nil
}

func enrolmentRefused(kiosk string, err error) error {
	reason := transfer.EnrolmentRefused
	if errors.Is(err, enrol.ErrSoftware) {
		reason = transfer.SoftwareTPM
	}
	return &transfer.Refusal{Reason: reason, Where: "kiosk " + kiosk, Err: err}
}

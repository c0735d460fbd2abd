package seal

import (
	"encoding/binary"
	"errors"
	"testing"
	"time"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"
)

// injecting stands between us and a real TPM and answers some commands itself.
type injecting struct {
	transport.TPMCloser
	answer func(command []byte) []byte // nil: the TPM answers
}

func (i *injecting) Send(command []byte) ([]byte, error) {
	if a := i.answer(command); a != nil {
		return a, nil
	}
	return i.TPMCloser.Send(command)
}

func refusal(code tpm2.TPMRC) []byte {
	return binary.BigEndian.AppendUint32([]byte{0x80, 0x01, 0, 0, 0, 10}, uint32(code))
}

// A TPM that is busy before each command is waited for, in both forms.
func TestBusyTPMIsAskedAgain(t *testing.T) {
	tpm := openIn(t, newFolder(t))
	b := newBound(t, tpm)
	b.Authorized([]Authorization{b.authorize(t)})
	raw := tpm.link.raw
	for _, code := range append([]tpm2.TPMRC{0}, busy...) {
		asked := 0
		tpm.link.raw = &injecting{raw, func([]byte) []byte {
			asked++
			switch {
			case asked%2 == 0:
				return nil
			case code == 0:
				return []byte{} // go-tpm's way of giving up on a busy device
			}
			return refusal(code)
		}}
		newSeal(t, b.Key, "x")
		if asked < 10 {
			t.Errorf("%v: asked only %d times", code, asked)
		}
	}
	tpm.link.raw = raw
	if h := sessions(t, tpm); len(h) > 0 {
		t.Errorf("left in the TPM: %x", h)
	}
}

// One that stays busy is given up in time, and is not broken for that.
func TestTPMThatStaysBusy(t *testing.T) {
	tpm := openIn(t, newFolder(t))
	k := newKey(t, tpm)
	raw := tpm.link.raw
	tpm.link.raw = &injecting{raw, func([]byte) []byte { return refusal(tpm2.TPMRCRetry) }}
	tpm.link.timeout = 100 * time.Millisecond
	start := time.Now()
	if _, err := k.Counter(); !errors.Is(err, ErrNoAnswer) || !errors.Is(err, tpm2.TPMRCRetry) {
		t.Errorf("busy TPM: %v", err)
	}
	if took := time.Since(start); took < tpm.link.timeout || took > 10*tpm.link.timeout {
		t.Errorf("gave up after %v", took)
	}
	tpm.link.raw = raw
	if _, err := k.Counter(); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

func TestFullTPMIsExplained(t *testing.T) {
	tpm := openIn(t, newFolder(t))
	b := newBound(t, tpm)
	b.Authorized([]Authorization{b.authorize(t)})
	// Another program's sessions, in a TPM without resource manager.
	for {
		_, _, err := tpm2.PolicySession(tpm.link, tpm2.TPMAlgSHA256, 16)
		if errors.Is(err, tpm2.TPMRCSessionMemory) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Provision(); !errors.Is(err, ErrInUse) {
		t.Errorf("no room for a session: %v", err)
	}
}

// lockOut makes the TPM count wrong passwords until it takes none.
func lockOut(t *testing.T, tpm *TPM) (use func() error) {
	t.Helper()
	template := counterTemplate(nil)
	template.NVIndex++
	template.Attributes.NoDA, template.Attributes.NT, template.Attributes.AuthWrite = false, tpm2.TPMNTOrdinary, true
	define := tpm2.NVDefineSpace{AuthHandle: noPassword(tpm2.TPMRHOwner), PublicInfo: tpm2.New2B(template), Auth: tpm2.TPM2BAuth{Buffer: []byte("right")}}
	if _, err := define.Execute(tpm.link); err != nil {
		t.Fatal(err)
	}
	write := func(password string) error {
		i, err := tpm.readIndex(template.NVIndex)
		if err != nil {
			t.Fatal(err)
		}
		auth := tpm2.AuthHandle{Handle: i.handle.Handle, Name: i.handle.Name, Auth: tpm2.PasswordAuth([]byte(password))}
		_, err = tpm2.NVWrite{AuthHandle: auth, NVIndex: i.handle, Data: tpm2.TPM2BMaxNVBuffer{Buffer: make([]byte, 8)}}.Execute(tpm.link)
		return err
	}
	if err := write("right"); err != nil {
		t.Fatal(err)
	}
	for range 50 {
		if err := write("wrong"); errors.Is(err, tpm2.TPMRCLockout) {
			return func() error { return write("right") }
		} else if !errors.Is(err, tpm2.TPMRCAuthFail) {
			t.Fatalf("wrong password: %v", err)
		}
	}
	t.Fatal("the TPM takes wrong passwords without end")
	return nil
}

// Guessing at the TPM's passwords locks what is under that protection, shows how
// long, and never stops a seal.
func TestLockedTPM(t *testing.T) {
	tpm := openIn(t, newFolder(t))
	k := newKey(t, tpm)
	b, err := tpm.Info()
	if err != nil || b.Lockout.Locked() || b.Lockout.Max == 0 || b.Lockout.Interval == 0 {
		t.Fatalf("before: %+v, %v", b, err)
	}
	use := lockOut(t, tpm)
	err = tpm.operate("using it", use)
	var locked *LockedError
	if !errors.Is(err, ErrLocked) || !errors.As(err, &locked) || !errors.Is(err, tpm2.TPMRCLockout) {
		t.Fatalf("locked TPM: %v", err)
	}
	if locked.Left <= 0 || locked.Left > b.Lockout.Interval {
		t.Errorf("locked for %v, the TPM forgets a failure in %v", locked.Left, b.Lockout.Interval)
	}
	info, err := tpm.Info()
	if err != nil || !info.Lockout.Locked() || info.Lockout.Failures != info.Lockout.Max {
		t.Errorf("after: %+v, %v", info, err)
	}
	t.Log(err, locked)
	newSeal(t, k, "x")
	if _, err := tpm.CreateKey(Form{}); err != nil {
		t.Error(err)
	}
}

func TestInfo(t *testing.T) {
	dir := newFolder(t)
	tpm := openIn(t, dir)
	first, err := tpm.Info()
	if err != nil || first.Vendor == "" || first.Firmware == 0 || !first.Software {
		t.Fatalf("%+v, %v", first, err)
	}
	t.Logf("%+v", first)
	kiosk := newKey(t, tpm)
	ev, err := kiosk.Attest([32]byte{1})
	if err != nil {
		t.Fatal(err)
	}
	by, err := kiosk.Identity().Check(nil, [32]byte{1}, ev)
	if err != nil || by.ResetCount != first.ResetCount || by.Firmware != first.Firmware {
		t.Errorf("attested %+v, %v; said %+v", by, err, first)
	}
	if err := tpm.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := tpm.Info(); err == nil {
		t.Error("a closed TPM answered")
	}
	second, err := openIn(t, dir).Info()
	if err != nil || second.ResetCount != first.ResetCount+1 {
		t.Errorf("%d resets, then %d, %v", first.ResetCount, second.ResetCount, err)
	}
}

package seal

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"
)

// counting counts the commands on their way to a TPM.
type counting struct {
	transport.TPMCloser
	commands map[tpm2.TPMCC]int
}

func (c *counting) Send(command []byte) ([]byte, error) {
	c.commands[tpm2.TPMCC(commandCode(command))]++
	return c.TPMCloser.Send(command)
}

// A ticket spares the signature check in later processes and after a restart of
// the TPM. Clearing the TPM ends it, and so does damage; both cost one check.
func TestTicket(t *testing.T) {
	dir := newFolder(t)
	tpm := openIn(t, dir)
	b := newBound(t, tpm)
	approvals := []Authorization{b.authorize(t)}
	b.Authorized(approvals)
	if err := b.Provision(); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(b.form.Tickets, "*"))
	if err != nil || len(files) != 1 {
		t.Fatalf("tickets %q, %v", files, err)
	}
	if info, err := os.Stat(files[0]); err != nil || info.Mode() != 0o600 {
		t.Errorf("ticket: %v, %v", info.Mode(), err)
	}
	before, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	// again opens the TPM anew, seals, and says how often it checked a signature.
	again := func(prepare func(*TPM)) int {
		t.Helper()
		if err := tpm.Close(); err != nil {
			t.Fatal(err)
		}
		tpm = openIn(t, dir)
		prepare(tpm)
		count := &counting{tpm.link.raw, map[tpm2.TPMCC]int{}}
		tpm.link.raw = count
		k, err := tpm.CreateKey(b.form)
		if err != nil {
			t.Fatal(err)
		}
		k.Authorized(approvals)
		newSeal(t, k, "x")
		newSeal(t, k, "x")
		return count.commands[tpm2.TPMCCVerifySignature]
	}
	nothing := func(*TPM) {}
	if n := again(nothing); n != 0 {
		t.Errorf("after a restart of the TPM: %d checks", n)
	}
	clear := func(tpm *TPM) {
		if _, err := (tpm2.Clear{AuthHandle: noPassword(tpm2.TPMRHLockout)}).Execute(tpm.link); err != nil {
			t.Fatal(err)
		}
	}
	if n := again(clear); n != 1 {
		t.Errorf("after TPM2_Clear: %d checks", n)
	}
	if after, err := os.ReadFile(files[0]); err != nil || bytes.Equal(after, before) {
		t.Errorf("the ticket was not replaced: %v", err)
	}
	if n := again(nothing); n != 0 {
		t.Errorf("after that: %d checks", n)
	}
	for name, damage := range map[string]func() error{
		"gone":     func() error { return os.Remove(files[0]) },
		"cut":      func() error { return os.Truncate(files[0], 10) },
		"altered":  func() error { return os.WriteFile(files[0], before, 0o600) },
		"readable": func() error { return os.Chmod(files[0], 0o644) },
	} {
		if err := damage(); err != nil {
			t.Fatal(err)
		}
		if n := again(nothing); n != 1 {
			t.Errorf("%s: %d checks", name, n)
		}
	}
	b.form.Tickets = filepath.Join(files[0], "not a folder")
	if n := again(nothing); n != 1 {
		t.Errorf("nowhere to keep it: %d checks", n)
	}
	if h := sessions(t, tpm); len(h) > 0 {
		t.Errorf("left in the TPM: %x", h)
	}
}

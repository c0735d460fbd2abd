package transfer_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sekisho/transfer/seal"
)

// restart switches the kiosk's TPM off and on; between has its folder meanwhile.
func (k *kiosk) restart(t testing.TB, between func(dir string)) {
	t.Helper()
	must(t, k.tpm.Close())
	if between != nil {
		between(k.path("tpm"))
	}
	k.start(t)
}

func (k *kiosk) start(t testing.TB) {
	t.Helper()
	tpm, err := seal.OpenSoftware(t.Context(), k.path("tpm"))
	must(t, err)
	t.Cleanup(func() { must(t, tpm.Close()) })
	k.tpm = tpm
	k.sealer, err = tpm.Key(seal.Form{})
	if errors.Is(err, seal.ErrNoKey) {
		k.sealer, err = tpm.CreateKey(seal.Form{})
	}
	must(t, err)
}

// keep returns what puts the kiosk's TPM back to its state of now, as from a
// backup of its folder.
func (k *kiosk) keep(t testing.TB) (back func()) {
	t.Helper()
	kept := filepath.Join(scratch(t), "kept")
	k.restart(t, func(dir string) { must(t, os.CopyFS(kept, os.DirFS(dir))) })
	return func() {
		t.Helper()
		k.restart(t, func(dir string) {
			must(t, os.RemoveAll(dir))
			must(t, os.CopyFS(dir, os.DirFS(kept)))
			must(t, os.Chmod(filepath.Join(dir, "tpm"), 0o700))
		})
	}
}

// clear clears the kiosk's TPM, as its firmware's menu does; the kiosk's program
// then makes key and counter again.
func (k *kiosk) clear(t testing.TB) {
	t.Helper()
	k.restart(t, func(dir string) {
		// TPM2_Clear, authorized by the lockout hierarchy's empty password.
		command(t, filepath.Join(dir, "tpm"), []byte{0x80, 2, 0, 0, 0, 27, 0, 0, 1, 0x26, 0x40, 0, 0, 0x0A,
			0, 0, 0, 9, 0x40, 0, 0, 9, 0, 0, 0, 0, 0})
	})
}

// cut kills the kiosk's TPM as a power cut does, and starts it again.
func (k *kiosk) cut(t testing.TB) {
	t.Helper()
	k.kill(t)
	_ = k.tpm.Close() // it says that its TPM is gone
	k.start(t)
}

// kill kills the kiosk's software TPM, which is known by the folder it works in.
func (k *kiosk) kill(t testing.TB) {
	t.Helper()
	for _, pid := range childrenNamed(t, "swtpm") {
		if dir, err := os.Readlink(fmt.Sprintf("/proc/%d/cwd", pid)); err == nil && dir == k.path("tpm/tpm") {
			must(t, unix.Kill(pid, unix.SIGKILL))
			return
		}
	}
	t.Fatal("there is no such TPM")
}

// command starts swtpm on the state in a folder, as at power-on, sends it a
// command and has it shut down.
func command(t testing.TB, dir string, cmd []byte) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	must(t, err)
	ours, theirs := os.NewFile(uintptr(fds[0]), "swtpm"), os.NewFile(uintptr(fds[1]), "swtpm")
	conn, err := net.FileConn(ours)
	must(t, errors.Join(err, ours.Close()))
	must(t, conn.SetDeadline(time.Now().Add(10*time.Second)))
	swtpm := exec.Command("swtpm", "socket", "--tpm2", "--tpmstate", "dir=.", "--fd", "3", "--terminate", "--flags", "not-need-init,startup-clear")
	swtpm.Dir, swtpm.ExtraFiles = dir, []*os.File{theirs}
	must(t, errors.Join(swtpm.Start(), theirs.Close()))
	shutdown := []byte{0x80, 1, 0, 0, 0, 12, 0, 0, 1, 0x45, 0, 0}
	for _, c := range [][]byte{cmd, shutdown} {
		_, err := conn.Write(c)
		must(t, err)
		header := make([]byte, 10)
		_, err = io.ReadFull(conn, header)
		must(t, err)
		_, err = io.CopyN(io.Discard, conn, int64(binary.BigEndian.Uint32(header[2:]))-10)
		must(t, err)
		if code := binary.BigEndian.Uint32(header[6:]); code != 0 {
			t.Fatalf("the TPM answered %#x to command %#x", code, binary.BigEndian.Uint32(c[6:]))
		}
	}
	must(t, conn.Close())
	must(t, swtpm.Wait())
}

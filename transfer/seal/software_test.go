package seal

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-tpm/tpm2"
)

func TestManufactureAndReopen(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "folder")
	tpm := openIn(t, dir)
	if !tpm.Software() {
		t.Error("a software TPM does not say so")
	}
	for path, want := range map[string]fs.FileMode{".": 0o700, stateName: 0o700} {
		if info, err := os.Stat(filepath.Join(dir, path)); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: mode %v, %v, want %v", path, info.Mode(), err, want)
		}
	}
	if _, err := tpm.Key(Form{}); !errors.Is(err, ErrNoKey) {
		t.Errorf("a new TPM has a key: %v", err)
	}
	k := newKey(t, tpm)
	if e := endorsementRSA(t, tpm); len(e.Certificate) == 0 {
		t.Fatal("an endorsement key without a certificate")
	}
	kiosk := enrol(t, k, "k1")
	before, err := k.Increment()
	if err != nil {
		t.Fatal(err)
	}
	if err := tpm.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := k.Counter(); err == nil {
		t.Error("a closed TPM answered")
	}
	if err := tpm.Close(); err != nil {
		t.Errorf("closing twice: %v", err)
	}

	k, err = openIn(t, dir).Key(Form{})
	if err != nil {
		t.Fatal(err)
	}
	if after, err := k.Increment(); err != nil || after != before+1 {
		t.Errorf("counter went from %d to %d (%v)", before, after, err)
	}
	s := newSeal(t, k, "after")
	if _, _, err := Open(testType, s.Envelope, s.Evidence, []*Kiosk{kiosk}); err != nil {
		t.Errorf("the enrolment does not hold after reopening: %v", err)
	}
}

func TestKilledTPMIsReportedAndReopens(t *testing.T) {
	dir := newFolder(t)
	tpm := openIn(t, dir)
	k := newKey(t, tpm)
	before, err := k.Increment()
	if err != nil {
		t.Fatal(err)
	}
	if err := tpm.child.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := k.Seal(testType, []byte("x")); err == nil || !strings.Contains(err.Error(), "swtpm has ended (signal: killed)") {
			t.Errorf("sealing with a killed TPM: %v", err)
		}
	}
	if err := tpm.Close(); err != nil {
		t.Errorf("closing a killed TPM: %v", err)
	}
	k, err = openIn(t, dir).Key(Form{})
	if err != nil {
		t.Fatal(err)
	}
	if after, err := k.Counter(); err != nil || after != before {
		t.Errorf("counter went from %d to %d (%v)", before, after, err)
	}
}

func TestSilentTPMIsGivenUp(t *testing.T) {
	dir := newFolder(t)
	tpm := openIn(t, dir)
	k := newKey(t, tpm)
	tpm.link.timeout = 100 * time.Millisecond
	if err := tpm.child.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	for range 2 {
		if _, err := k.Counter(); !errors.Is(err, ErrNoAnswer) {
			t.Errorf("a stopped TPM: %v", err)
		}
	}
	if err := tpm.Close(); err != nil {
		t.Errorf("closing a stopped TPM: %v", err)
	}
	if d := time.Since(start); d > 5*time.Second {
		t.Errorf("giving up took %v", d)
	}
	if _, err := openIn(t, dir).Key(Form{}); err != nil {
		t.Errorf("reopening: %v", err)
	}
}

func TestSecondOwnerIsRefused(t *testing.T) {
	dir := newFolder(t)
	first := openIn(t, dir)
	if _, err := OpenSoftware(context.Background(), dir); !errors.Is(err, ErrInUse) {
		t.Errorf("second owner: %v", err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	openIn(t, dir)
}

// An earlier swtpm that is still about to die is waited for; one that stays is not.
func TestStateOfADyingTPM(t *testing.T) {
	dir := newFolder(t)
	path, err := exec.LookPath("swtpm")
	if err != nil {
		t.Fatal(err)
	}
	hold := func() *child {
		t.Helper()
		conn, c, err := start(path, filepath.Join(dir, stateName))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			c.cmd.Process.Kill()
			<-c.done
			conn.Close()
		})
		if _, err := (&TPM{link: &link{raw: conn, timeout: commandTimeout}}).property(tpm2.TPMPTVendorString1); err != nil {
			t.Fatal(err) // once it answers, it has the state
		}
		return c
	}
	dying := hold()
	const left = 300 * time.Millisecond
	began := time.Now()
	time.AfterFunc(left, func() { dying.cmd.Process.Kill() })
	tpm := openIn(t, dir)
	if took := time.Since(began); took < left {
		t.Errorf("opened %v after another swtpm had its state, which ended after %v", took, left)
	}
	newKey(t, tpm)
	if err := tpm.Close(); err != nil {
		t.Fatal(err)
	}

	hold()
	began = time.Now()
	tpm, err = OpenSoftware(context.Background(), dir)
	if !errors.Is(err, ErrInUse) || !errors.Is(err, errStateInUse) || !strings.Contains(err.Error(), "SWTPM_NVRAM_Lock_Dir") || tpm != nil {
		t.Errorf("with a swtpm that stays: %v", err)
	}
	if took := time.Since(began); took < stateWait || took > 10*stateWait {
		t.Errorf("gave up after %v", took)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	if tpm, err = OpenSoftware(ctx, dir); !errors.Is(err, context.DeadlineExceeded) || tpm != nil {
		t.Errorf("with a swtpm that stays, and nobody to wait: %v", err)
	}
}

// A swtpm whose owner vanished must not keep the state. Its line stays open
// here, so that only the death signal can end it.
func TestTPMDiesWithItsOwner(t *testing.T) {
	dir := newFolder(t)
	owner := exec.Command(os.Args[0])
	owner.Env = append(os.Environ(), "SEAL_TEST_HOLD="+dir)
	out, err := owner.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := owner.Start(); err != nil {
		t.Fatal(err)
	}
	line, _ := bufio.NewReader(out).ReadString('\n')
	var pid, keeper int
	_, err = fmt.Sscan(line, &pid, &keeper)
	owner.Process.Kill()
	owner.Wait()
	if err != nil {
		t.Fatalf("the owner said %q", line)
	}
	defer syscall.Kill(keeper, syscall.SIGKILL)
	for deadline := time.Now().Add(5 * time.Second); running(pid); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			syscall.Kill(pid, syscall.SIGKILL)
			t.Fatal("swtpm outlived its owner")
		}
	}
	openIn(t, dir)
}

// running: a zombie that nobody reaps is not.
func running(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, after, _ := bytes.Cut(stat, []byte(") "))
	return len(after) > 0 && after[0] != 'Z' && after[0] != 'X'
}

// The death signal is tied to the thread that forked, not to the process.
func TestTPMOutlivesTheThreadThatOpenedIt(t *testing.T) {
	dir := newFolder(t)
	opened := make(chan *TPM)
	thread := make(chan int, 1)
	var open func()
	open = func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		if syscall.Gettid() == os.Getpid() {
			go open() // on another thread, as the process's first never ends
			<-t.Context().Done()
			return
		}
		thread <- syscall.Gettid()
		tpm, err := OpenSoftware(context.Background(), dir)
		if err != nil {
			t.Error(err)
		}
		opened <- tpm
	}
	go open()
	tpm := <-opened
	if tpm == nil {
		t.FailNow()
	}
	defer tpm.Close()
	task := fmt.Sprintf("/proc/self/task/%d", <-thread)
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(time.Millisecond) {
		if _, err := os.Stat(task); err != nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the thread did not end")
		}
	}
	newKey(t, tpm)
}

func TestLostStateIsNotReplaced(t *testing.T) {
	for name, damage := range map[string]func(state string) error{
		"removed":  func(s string) error { return os.Remove(filepath.Join(s, stateFile)) },
		"emptied":  func(s string) error { return os.Truncate(filepath.Join(s, stateFile), 0) },
		"cut":      func(s string) error { return os.Truncate(filepath.Join(s, stateFile), 1000) },
		"readable": func(s string) error { return os.Chmod(s, 0o755) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := newFolder(t)
			if err := damage(filepath.Join(dir, stateName)); err != nil {
				t.Fatal(err)
			}
			tpm, err := OpenSoftware(context.Background(), dir)
			if err == nil || tpm != nil {
				t.Fatal("opened")
			}
			t.Log(err)
			if _, err := os.Stat(filepath.Join(dir, partName)); err == nil {
				t.Error("a new TPM was begun")
			}
		})
	}
}

func TestInterruptedManufactureStartsOver(t *testing.T) {
	dir := t.TempDir()
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if _, err := OpenSoftware(ctx, dir); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("cut short: %v", err)
	}
	// As a power cut leaves it.
	if err := os.MkdirAll(filepath.Join(dir, partName, "ca"), 0o700); err != nil {
		t.Fatal(err)
	}
	openIn(t, dir)
	if _, err := os.Stat(filepath.Join(dir, partName)); err == nil {
		t.Error("the unfinished TPM is still there")
	}
}

func TestMissingTools(t *testing.T) {
	dir := newFolder(t)
	t.Setenv("PATH", t.TempDir())
	if _, err := OpenSoftware(context.Background(), dir); !errors.Is(err, exec.ErrNotFound) || !strings.Contains(err.Error(), "swtpm is not installed") {
		t.Errorf("without swtpm: %v", err)
	}
}

package seal

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Names in the folder of a software TPM.
const (
	stateName = "tpm"             // the TPM, as swtpm keeps it, and its maker's certificates
	partName  = "manufacturing"   // the same, unfinished; never used, only removed
	lockName  = "lock"            // held while the TPM is open
	stateFile = "tpm2-00.permall" // in stateName: everything that survives a power cycle
)

// A swtpm whose owner was killed is killed too, but a moment later, and keeps its
// state from the next one until then.
const (
	stateWait  = time.Second
	statePause = 20 * time.Millisecond
	stateInUse = "Could not lock access to lockfile" // swtpm's words, before it ends
)

var errStateInUse = fmt.Errorf("%w: another swtpm has its state", ErrInUse)

// OpenSoftware runs swtpm on the state in dir, making both when dir has none
// (a second or so). The TPM is a child of this process and dies with it, on
// whatever thread it was opened. ctx bounds the opening only.
//
// The state is not encrypted: whoever reads dir has the key. It fails with
// ErrInUse when another process has this TPM open.
func OpenSoftware(ctx context.Context, dir string) (*TPM, error) {
	for late := time.Now().Add(stateWait); ; {
		t, err := openSoftware(ctx, dir)
		if err == nil {
			return t, nil
		}
		if errors.Is(err, errStateInUse) && time.Now().Before(late) {
			select {
			case <-time.After(statePause):
				continue
			case <-ctx.Done():
				err = errors.Join(err, ctx.Err())
			}
		}
		return nil, fmt.Errorf("opening software TPM in %q: %w", dir, err)
	}
}

func openSoftware(ctx context.Context, dir string) (*TPM, error) {
	path, err := exec.LookPath("swtpm")
	if err != nil {
		return nil, fmt.Errorf("swtpm is not installed: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	lock, err := lockFolder(dir)
	if err != nil {
		return nil, err
	}
	state := filepath.Join(dir, stateName)
	if _, err := os.Lstat(state); errors.Is(err, fs.ErrNotExist) {
		if err := manufacture(ctx, dir); err != nil {
			return nil, errors.Join(fmt.Errorf("manufacturing: %w", err), lock.Close())
		}
	}
	// Without its state swtpm would silently be another TPM.
	if err := checkState(state); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	conn, c, err := start(path, state)
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	c.lock = lock
	return open(ctx, &link{raw: conn, timeout: commandTimeout, died: c.died}, c)
}

// lockFolder takes the folder for this process; the kernel lets go with it.
func lockFolder(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, lockName), os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		if errors.Is(err, unix.EWOULDBLOCK) {
			err = ErrInUse
		}
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func checkState(state string) error {
	info, err := os.Lstat(state)
	if err != nil {
		return err
	}
	if !info.IsDir() || info.Mode().Perm() != 0o700 {
		return fmt.Errorf("%q is not a folder for its owner alone (mode %v)", state, info.Mode())
	}
	info, err = os.Lstat(filepath.Join(state, stateFile))
	if err != nil {
		return fmt.Errorf("the TPM's state is lost: %w", err)
	}
	if !info.Mode().IsRegular() || info.Size() == 0 {
		return fmt.Errorf("the TPM's state %q is not a file with content", info.Name())
	}
	return nil
}

// stream speaks to swtpm over a socketpair: a command, then its answer.
type stream struct{ net.Conn }

// Send implements transport.TPM. The header of an answer is tag, size, code.
func (s stream) Send(command []byte) ([]byte, error) {
	if _, err := s.Write(command); err != nil {
		return nil, err
	}
	answer := make([]byte, 10, 4096)
	if _, err := io.ReadFull(s, answer); err != nil {
		return nil, err
	}
	size := binary.BigEndian.Uint32(answer[2:])
	if size < 10 || int(size) > cap(answer) {
		return nil, fmt.Errorf("answer of %d bytes", size)
	}
	answer = answer[:size]
	_, err := io.ReadFull(s, answer[10:])
	return answer, err
}

// child is a running swtpm.
type child struct {
	cmd   *exec.Cmd
	state string        // its folder
	lock  *os.File      // given up by end
	said  bytes.Buffer  // its stderr; read after done
	exit  error         // how it ended; read after done
	done  chan struct{} // closed when it has ended
}

// start runs swtpm in the folder state and returns our end of the line to it.
// swtpm serves one client and needs no path, port or control channel for this.
func start(path, state string) (stream, *child, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return stream{}, nil, os.NewSyscallError("socketpair", err)
	}
	ours, theirs := os.NewFile(uintptr(fds[0]), "swtpm"), os.NewFile(uintptr(fds[1]), "swtpm")
	defer ours.Close() // FileConn has its own
	defer theirs.Close()
	conn, err := net.FileConn(ours)
	if err != nil {
		return stream{}, nil, err
	}
	c := &child{state: state, done: make(chan struct{})}
	c.cmd = exec.Command(path, "socket", "--tpm2", "--tpmstate", "dir=.", "--fd", "3", "--terminate",
		"--flags", "not-need-init,startup-clear")
	c.cmd.Dir = state // so that no character of its path can matter
	c.cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C"}
	c.cmd.ExtraFiles = []*os.File{theirs}
	c.cmd.Stderr = &c.said
	c.cmd.SysProcAttr = &syscall.SysProcAttr{
		Pdeathsig: syscall.SIGKILL, // it replaces its state by rename, so no moment is a bad one
		Setpgid:   true,            // an interrupt at the terminal is for us alone
	}
	started := make(chan error)
	go func() {
		// The parent that Pdeathsig means is the thread that forked. Locked and
		// kept here, that thread lives as long as its child.
		runtime.LockOSThread()
		err := c.cmd.Start()
		started <- err
		if err == nil {
			c.exit = c.cmd.Wait()
		}
		close(c.done)
	}()
	if err := <-started; err != nil {
		return stream{}, nil, errors.Join(err, conn.Close())
	}
	return stream{conn}, c, nil
}

// died explains a broken line, giving swtpm a second to be seen dead.
func (c *child) died(err error) error {
	select {
	case <-c.done:
		if bytes.Contains(c.said.Bytes(), []byte(stateInUse)) {
			return fmt.Errorf("%w: %q", errStateInUse, bytes.TrimSpace(c.said.Bytes()))
		}
		return fmt.Errorf("swtpm has ended (%v) %q: %w", c.cmd.ProcessState, bytes.TrimSpace(c.said.Bytes()), err)
	case <-time.After(time.Second):
		return err
	}
}

// end gives swtpm some time to leave, as it does when its line is closed, and
// then kills it. Then it gives up the folder.
func (c *child) end(grace time.Duration) error {
	select {
	case <-c.done:
	case <-time.After(grace):
		// Process.Kill does not hit another process that got the same number.
		if err := c.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
			return fmt.Errorf("killing swtpm: %w", err)
		}
		<-c.done
	}
	return c.lock.Close()
}

// flush makes what swtpm wrote survive a power cut: it renames, but never
// syncs, and a counter that came back smaller would look like a forgery.
func (c *child) flush() error {
	if err := syncPath(filepath.Join(c.state, stateFile)); err != nil {
		return err
	}
	return syncPath(c.state)
}

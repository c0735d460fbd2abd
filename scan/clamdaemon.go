package scan

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// Limits of our own daemons, in bytes.
const (
	clamdLargest = 2000 << 20 // one file; libclamav itself ends at 2 GiB - 3
	clamdUnpack  = 4000 << 20 // all that one file unpacks to
)

// clamdConf is the configuration in which silence is impossible: whatever is
// encrypted, broken or over a limit is said, and nothing is remembered from an
// earlier scan.
func clamdConf(socket, signatures, temporary string, unpack int64, scanTime time.Duration) string {
	return fmt.Sprintf(`Foreground yes
LocalSocket %s
LocalSocketMode 600
DatabaseDirectory %s
TemporaryDirectory %s
MaxThreads 2
ExitOnOOM yes
DisableCache yes
StreamMaxLength 4000M
MaxScanSize %dM
MaxFileSize %dM
MaxScanTime %d
MaxRecursion 17
MaxFiles 10000
AlertExceedsMax yes
AlertEncrypted yes
AlertBrokenExecutables yes
AlertBrokenMedia yes
ConcurrentDatabaseReload no
`, socket, signatures, temporary, unpack>>20, clamdLargest>>20, scanTime.Milliseconds())
}

// daemon is one clamd process of ours. Not safe for concurrent use.
type daemon struct {
	program string
	owner   *syscall.Credential // nil: as we are
	socket  string
	conf    string
	tmp     string // emptied at every start: a killed daemon leaves plaintext
	cmd     *exec.Cmd
	said    *tail
	gone    chan struct{} // closed when the process has ended
}

func (d *daemon) alive() bool {
	if d.cmd == nil {
		return false
	}
	select {
	case <-d.gone:
		return false
	default:
		return true
	}
}

// start runs the daemon and waits until it has loaded its definitions.
func (d *daemon) start(ctx context.Context) error {
	d.kill()
	if err := d.empty(); err != nil {
		return fmt.Errorf("starting clamd: %w", err)
	}
	d.said = &tail{}
	d.cmd = exec.Command(d.program, "-c", d.conf)
	d.cmd.Stdout, d.cmd.Stderr = d.said, d.said
	d.cmd.Env = []string{"LC_ALL=C"}
	d.cmd.Dir = "/"
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Credential: d.owner}
	if d.owner != nil { // we are root: it gets a network of its own, with nothing in it
		d.cmd.SysProcAttr.Cloneflags = syscall.CLONE_NEWNET
	}
	if err := startBound(d.cmd); err != nil {
		d.cmd = nil
		if d.owner != nil && errors.Is(err, syscall.EPERM) {
			err = fmt.Errorf("%w: as root it is started in a network of its own, which needs the right to make one (CAP_SYS_ADMIN); otherwise run as another user", err)
		}
		return fmt.Errorf("starting clamd: %w", err)
	}
	d.gone = make(chan struct{})
	go func(cmd *exec.Cmd, gone chan struct{}) {
		_ = cmd.Wait() // how it ended is in what it said
		close(gone)
	}(d.cmd, d.gone)

	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute) // official definitions take tens of seconds
	defer cancel()
	for {
		if _, err := os.Lstat(d.socket); err == nil && clamdPing(d.socket) == nil {
			return nil
		}
		select {
		case <-d.gone:
			d.cmd = nil
			return fmt.Errorf("starting clamd: it ended: %q", d.said)
		case <-ctx.Done():
			d.kill()
			return fmt.Errorf("starting clamd: %w", ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// empty removes what an earlier process left.
func (d *daemon) empty() error {
	if err := os.Remove(d.socket); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	left, err := os.ReadDir(d.tmp)
	for _, e := range left {
		err = errors.Join(err, os.RemoveAll(filepath.Join(d.tmp, e.Name())))
	}
	return err
}

// kill ends the process, if there is one, and waits for that.
func (d *daemon) kill() {
	if d.cmd != nil {
		_ = d.cmd.Process.Kill() // it may have ended already
		<-d.gone
		d.cmd = nil
	}
}

// findClamd also looks where a service's PATH may not.
func findClamd() (string, error) {
	for _, name := range []string{"clamd", "/usr/sbin/clamd", "/usr/local/sbin/clamd"} {
		if p, err := exec.LookPath(name); err == nil {
			return filepath.Abs(p)
		}
	}
	return "", errors.New("clamd: program not found; install clamav-daemon")
}

// unprivileged returns who clamd runs as: a user of its own when we are root,
// otherwise nil, as we are.
func unprivileged(name string) (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	if name == "" {
		name = "clamav"
	}
	u, err := user.Lookup(name)
	if err != nil {
		return nil, fmt.Errorf("clamd: %w", err)
	}
	uid, uerr := strconv.ParseUint(u.Uid, 10, 32)
	gid, gerr := strconv.ParseUint(u.Gid, 10, 32)
	if uerr != nil || gerr != nil || uid == 0 {
		return nil, fmt.Errorf("clamd: user %q will not do: it must be a user without rights", name)
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
}

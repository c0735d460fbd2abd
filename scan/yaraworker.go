package scan

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"time"

	"golang.org/x/sys/unix"
)

// worker is one process that searches.
type worker struct {
	cmd     *exec.Cmd
	conn    *net.UnixConn
	said    *tail
	version string
	dead    bool
}

// startTime bounds compiling the rules; thousands take seconds.
const startTime = 2 * time.Minute

// start returns a worker that has compiled the rules and is seen to be confined.
func (e *yaraEngine) start(ctx context.Context) (*worker, error) {
	ours, theirs, err := socketPair()
	if err != nil {
		return nil, fmt.Errorf("starting a worker: %w", err)
	}
	w := &worker{conn: ours, said: &tail{}}
	w.cmd = exec.Command(e.command[0], e.command[1:]...)
	w.cmd.ExtraFiles = []*os.File{theirs}
	w.cmd.Stderr = w.said
	// One thread of Go, one heap of C: fewer surprises inside the sandbox.
	// A crash must not print memory.
	w.cmd.Env = []string{"GOMAXPROCS=1", "GOTRACEBACK=none", "MALLOC_ARENA_MAX=1"}
	err = errors.Join(startBound(w.cmd), theirs.Close())
	if err == nil {
		err = e.handshake(ctx, w)
	}
	if err != nil {
		w.kill()
		return nil, fmt.Errorf("starting a worker: %w", err)
	}
	return w, nil
}

func (e *yaraEngine) handshake(ctx context.Context, w *worker) error {
	if err := w.conn.SetDeadline(time.Now().Add(startTime)); err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { w.conn.SetDeadline(time.Unix(1, 0)) })()
	// Reading moves the offset that all descriptors of a file share, and
	// workers may start at the same time: each gets a description of its own.
	rules, err := os.Open(fmt.Sprintf("/proc/self/fd/%d", e.rules.Fd()))
	if err != nil {
		return err
	}
	defer rules.Close()
	if err := sendRequest(w.conn, request{Op: opRules}, rules); err != nil {
		return err
	}
	a, err := receiveAnswer(w.conn)
	if err != nil {
		return fmt.Errorf("%w (it said %q)", err, w.said.String())
	}
	if a.Kind != kindReady {
		return errors.New(a.Text)
	}
	w.version = a.Text
	return confined(w.cmd.Process.Pid)
}

// kill ends the worker and waits for it. It may be called on nil and twice.
func (w *worker) kill() {
	if w == nil || w.dead {
		return
	}
	w.dead = true
	w.conn.Close()
	if w.cmd.Process != nil {
		_ = w.cmd.Process.Kill() // it may have ended already
		_ = w.cmd.Wait()         // it was killed: that is its status
	}
}

// socketPair returns our end as a connection and the other as a file.
func socketPair() (*net.UnixConn, *os.File, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, err
	}
	theirs := os.NewFile(uintptr(fds[1]), "worker")
	f := os.NewFile(uintptr(fds[0]), "parent")
	defer f.Close() // FileConn made its own
	c, err := net.FileConn(f)
	if err != nil {
		theirs.Close()
		return nil, nil, err
	}
	return c.(*net.UnixConn), theirs, nil
}

package scan

import (
	"errors"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
)

// birth asks for a process to be started.
type birth struct {
	cmd  *exec.Cmd
	done chan error
}

// births starts processes from one thread that lasts as long as the program:
// the kernel ties a child's death signal to the thread that forked it, and the
// runtime ends threads when it likes.
var births = sync.OnceValue(func() chan<- birth {
	ch := make(chan birth)
	go func() {
		runtime.LockOSThread()
		for b := range ch {
			b.done <- b.cmd.Start()
		}
	}()
	return ch
})

// startBound starts cmd so that it dies with this program, however that ends,
// and not before: an interrupt at the terminal is for the program alone.
func startBound(cmd *exec.Cmd) error {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	cmd.SysProcAttr.Setpgid = true
	b := birth{cmd, make(chan error, 1)}
	births() <- b
	return <-b.done
}

// tail keeps the last bytes a child process said, for its obituary. Safe for
// concurrent use.
type tail struct {
	mu   sync.Mutex
	data []byte
}

const tailSize = 2048

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.data = append(t.data, p...)
	if over := len(t.data) - tailSize; over > 0 {
		t.data = append(t.data[:0], t.data[over:]...)
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.data)
}

// ErrEngine means an engine could not be had for this content, however often
// it was tried. There is no verdict: the caller holds the transfer, and the
// operator looks why the engine does not run.
var ErrEngine = errors.New("engine unavailable")

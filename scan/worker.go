package scan

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// yaraWindow and yaraOverlap cut large content for the worker, in bytes. A
// string longer than the overlap that spans a border is not found.
const (
	yaraWindow  = 16 << 20
	yaraOverlap = 1 << 20
)

// workerFD is the worker's end of the socket.
const workerFD = 3

// errScanTimeout means the rules took longer than allowed on this content.
var errScanTimeout = errors.New("time limit reached")

// rule is one source file of rules.
type rule struct {
	Namespace  string `json:"namespace"`  // first half of a finding's name
	Executable bool   `json:"executable"` // only of use on executables
	Text       string `json:"text"`
}

// WorkerMain is the hidden subcommand that searches content with YARA in a
// process of its own: it compiles the rules it is handed over descriptor 3,
// gives up every right it does not need, and only then takes content. It ends
// with its parent. The program's main calls it before anything else and exits
// with what it returns.
func WorkerMain() int {
	// Descriptors the program's own start or a library left open are none of
	// the worker's business.
	if err := unix.CloseRange(workerFD+1, math.MaxInt32, 0); err != nil {
		return 1
	}
	w := workerEnd(workerFD)
	c, err := w.prepare()
	if err != nil {
		_ = w.send(answer{Kind: kindRefused, Text: clean(err.Error(), maxText)}) // the parent may be gone, either way it ends here
		return 1
	}
	for {
		if err := w.serve(c); err != nil {
			return 1
		}
	}
}

// workerEnd is the socket, used by plain blocking calls: the runtime's poller
// would need more system calls than the worker keeps.
type workerEnd int

func (w workerEnd) prepare() (*compiledRules, error) {
	req, fd, err := w.receive()
	if err != nil {
		return nil, err
	}
	if req.Op != opRules || fd < 0 {
		return nil, fmt.Errorf("worker: expected rules, not %q", req.Op)
	}
	f := os.NewFile(uintptr(fd), "rules")
	defer f.Close()
	var rules []rule
	data, err := io.ReadAll(f)
	if err == nil {
		err = json.Unmarshal(data, &rules)
	}
	if err != nil {
		return nil, fmt.Errorf("worker: reading the rules: %w", err)
	}
	c, err := compileRules(rules)
	if err != nil {
		return nil, err
	}
	// Modules open their data on first use, so that must come first.
	if _, err := c.scanMemory([]byte("MZ harmless"), true, time.Minute); err != nil {
		return nil, fmt.Errorf("worker: trying the rules: %w", err)
	}
	if err := confine(); err != nil {
		return nil, err
	}
	return c, w.send(answer{Kind: kindReady, Text: libraryVersion})
}

// serve answers one scan request. An error ends the worker.
func (w workerEnd) serve(c *compiledRules) error {
	req, fd, err := w.receive()
	if err != nil {
		return err
	}
	if req.Op != opScan {
		return fmt.Errorf("worker: expected content, not %q", req.Op)
	}
	names, err := w.search(c, req, fd)
	if fd >= 0 {
		if err := unix.Close(fd); err != nil {
			return err
		}
	}
	switch {
	case errors.Is(err, errParent):
		return err
	case err != nil:
		return w.send(answer{Kind: kindFailed, Text: clean(err.Error(), maxText)})
	default:
		return w.send(answer{Kind: kindMatches, Names: names})
	}
}

func (w workerEnd) search(c *compiledRules, req request, fd int) ([]string, error) {
	limit := time.Duration(req.Seconds) * time.Second
	if fd < 0 {
		it := &windows{size: req.Size, fetch: w.window}
		names, err := c.scanWindows(it, req.Executable, limit)
		if it.err != nil {
			return nil, it.err
		}
		return names, err
	}
	if req.Size == 0 {
		return c.scanMemory(nil, req.Executable, limit)
	}
	content, err := unix.Mmap(fd, 0, int(req.Size), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("mapping the content: %w", err)
	}
	names, err := c.scanMemory(content, req.Executable, limit)
	return names, errors.Join(err, unix.Munmap(content))
}

// errParent means the talk with the parent broke; the worker has no use then.
var errParent = errors.New("worker: lost the parent")

// window reads the content from off into p.
func (w workerEnd) window(p []byte, off int64) error {
	if err := w.send(answer{Kind: kindWindow, Offset: off, Length: int64(len(p))}); err != nil {
		return err
	}
	req, fd, err := w.receive()
	if err != nil {
		return err
	}
	if req.Op != opWindow || fd < 0 {
		return errParent
	}
	defer unix.Close(fd)
	for n := 0; n < len(p); {
		m, err := unix.Pread(fd, p[n:], int64(n))
		if err != nil || m == 0 {
			return errParent
		}
		n += m
	}
	return nil
}

func (w workerEnd) send(a answer) error {
	for {
		err := unix.Sendmsg(int(w), a.marshal(), nil, nil, unix.MSG_NOSIGNAL)
		if err == nil {
			return nil
		}
		if err != unix.EINTR {
			return errParent
		}
	}
}

// receive returns the next request and its descriptor, or -1.
func (w workerEnd) receive() (request, int, error) {
	buf := make([]byte, messageSize)
	rights := make([]byte, unix.CmsgSpace(4))
	var n, rn int
	var err error
	for {
		n, rn, _, _, err = unix.Recvmsg(int(w), buf, rights, unix.MSG_CMSG_CLOEXEC)
		if err != unix.EINTR {
			break
		}
	}
	if err != nil || n == 0 {
		return request{}, -1, errParent
	}
	fd := -1
	if rn > 0 {
		fds, err := descriptors(rights[:rn])
		if err != nil || len(fds) != 1 {
			return request{}, -1, errParent
		}
		fd = fds[0]
	}
	var req request
	if err := json.Unmarshal(buf[:n], &req); err != nil {
		return request{}, -1, errParent
	}
	return req, fd, nil
}

func descriptors(rights []byte) ([]int, error) {
	messages, err := unix.ParseSocketControlMessage(rights)
	if err != nil || len(messages) != 1 {
		return nil, errParent
	}
	return unix.ParseUnixRights(&messages[0])
}

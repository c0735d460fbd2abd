package script

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"

	"github.com/google/go-tpm/tpm2"
	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"

	"sekisho/transfer/enrol"
	"sekisho/transfer/seal"
)

// chip is a machine's TPM: swtpm behind a character device. The device is a
// terminal, as no other can be had without the kernel's help. Nothing manages its
// resources, and its registers last until it is started again, not until the
// program that used it ends.
type chip struct {
	device string // what the configuration names: a link to the terminal
	state  string // folder of swtpm
	master *os.File
	slave  *os.File // kept open, or the device ends with its first user

	mu   sync.Mutex
	mute bool // it answers nothing more
	line net.Conn
	cmd  *exec.Cmd
}

// chips are those of all scripts, by device.
type chips struct {
	mu  sync.Mutex
	all map[string]*chip
}

func newChips() *chips { return &chips{all: make(map[string]*chip)} }

// command makes the chip at first, beside it the certificates of its maker. Then
// it switches the machine off and on (restart), takes all of the chip's memory
// (fill), silences it (mute) or takes it out (off).
func (c *chips) command(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 || len(args) > 2 {
		ts.Fatalf("usage: chip NAME [restart|fill|mute|off]")
	}
	device := ts.MkAbs(args[0])
	c.mu.Lock()
	defer c.mu.Unlock()
	have := c.all[device]
	if len(args) == 1 {
		if have != nil {
			ts.Fatalf("there is a chip %s", args[0])
		}
		made, err := newChip(device)
		ts.Check(err)
		c.all[device] = made
		ts.Defer(func() { _ = made.end() })
		return
	}
	if have == nil {
		ts.Fatalf("there is no chip %s", args[0])
	}
	do := map[string]func() error{"restart": have.restart, "fill": have.fill, "mute": have.silence, "off": func() error { return os.Remove(device) }}[args[1]]
	if do == nil {
		ts.Fatalf("a chip cannot %s", args[1])
	}
	ts.Check(do())
}

func newChip(device string) (_ *chip, err error) {
	dir := device + ".state"
	maker, err := seal.OpenSoftware(context.Background(), dir)
	if err != nil {
		return nil, err
	}
	if err := maker.Close(); err != nil {
		return nil, err
	}
	roots, err := enrol.SoftwareRoots(dir)
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(device+".roots", roots, 0o644); err != nil {
		return nil, err
	}
	c := &chip{device: device, state: filepath.Join(dir, "tpm")}
	if err := c.start(); err != nil {
		return nil, err
	}
	if err := c.terminal(); err != nil {
		return nil, errors.Join(err, c.stop())
	}
	go c.serve()
	return c, nil
}

// start runs swtpm, which is a machine that is switched on.
func (c *chip) start() error {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	ours, theirs := os.NewFile(uintptr(fds[0]), "swtpm"), os.NewFile(uintptr(fds[1]), "swtpm")
	defer ours.Close() // FileConn has its own
	defer theirs.Close()
	if c.line, err = net.FileConn(ours); err != nil {
		return err
	}
	c.cmd = exec.Command("swtpm", "socket", "--tpm2", "--tpmstate", "dir=.", "--fd", "3", "--terminate", "--flags", "not-need-init,startup-clear")
	c.cmd.Dir, c.cmd.ExtraFiles = c.state, []*os.File{theirs}
	return c.cmd.Start()
}

// stop ends swtpm, which leaves when its line is closed.
func (c *chip) stop() error {
	return errors.Join(c.line.Close(), c.cmd.Wait())
}

func (c *chip) restart() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.stop(); err != nil {
		return err
	}
	return c.start()
}

func (c *chip) silence() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mute = true
	return nil
}

// fill has the chip hold keys of somebody's until no more go in.
func (c *chip) fill() error {
	for {
		_, err := tpm2.CreatePrimary{PrimaryHandle: tpm2.TPMRHOwner, InPublic: tpm2.New2B(tpm2.ECCSRKTemplate)}.Execute(c)
		if errors.Is(err, tpm2.TPMRCObjectMemory) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// terminal makes the device.
func (c *chip) terminal() (err error) {
	if c.master, err = os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0); err != nil {
		return err
	}
	if err := unix.IoctlSetPointerInt(int(c.master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		return err
	}
	n, err := unix.IoctlGetInt(int(c.master.Fd()), unix.TIOCGPTN)
	if err != nil {
		return err
	}
	path := fmt.Sprintf("/dev/pts/%d", n)
	if c.slave, err = os.OpenFile(path, os.O_RDWR|unix.O_NOCTTY, 0); err != nil {
		return err
	}
	raw := unix.Termios{Cflag: unix.CS8 | unix.CREAD | unix.CLOCAL}
	raw.Cc[unix.VMIN] = 1
	if err := unix.IoctlSetTermios(int(c.slave.Fd()), unix.TCSETS, &raw); err != nil {
		return err
	}
	return os.Symlink(path, c.device)
}

// serve hands commands from the device to swtpm, until the device ends.
func (c *chip) serve() {
	for {
		command, err := message(c.master)
		if err != nil {
			return
		}
		answer, err := c.Send(command)
		if err != nil {
			return // its user waits for the answer, as with a chip that broke
		}
		if answer == nil {
			continue
		}
		if _, err := c.master.Write(answer); err != nil {
			return
		}
	}
}

// Send implements transport.TPM. A mute chip's answer is nil.
func (c *chip) Send(command []byte) ([]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.mute {
		return nil, nil
	}
	if _, err := c.line.Write(command); err != nil {
		return nil, err
	}
	return message(c.line)
}

// message reads a command or an answer: tag, size, code and the rest.
func message(r io.Reader) ([]byte, error) {
	m := make([]byte, 10, 4096)
	if _, err := io.ReadFull(r, m); err != nil {
		return nil, err
	}
	size := binary.BigEndian.Uint32(m[2:])
	if size < 10 || int(size) > cap(m) {
		return nil, fmt.Errorf("message of %d bytes", size)
	}
	_, err := io.ReadFull(r, m[10:size])
	return m[:size], err
}

func (c *chip) end() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return errors.Join(c.slave.Close(), c.master.Close(), c.stop())
}

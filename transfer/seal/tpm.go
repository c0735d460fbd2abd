package seal

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"syscall"
	"time"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"
	"github.com/google/go-tpm/tpm2/transport/linuxtpm"
)

// commandTimeout bounds one TPM command. Chips sign in under a second; making
// a key may take several.
const commandTimeout = 30 * time.Second

// TPM is an open TPM 2.0. It is safe for concurrent use: operations of several
// commands run one after the other. No call waits for ever: a command not
// answered within half a minute fails with ErrNoAnswer, and so does every
// later one until the TPM is opened again.
type TPM struct {
	mu       sync.Mutex // held over an operation, so its sequences and loaded keys are its own
	link     *link
	child    *child // the software TPM; nil for a device
	software bool
	inputMax int // largest SequenceUpdate, in bytes
	nvMax    int // largest NV_Read, in bytes
}

// OpenDevice opens the TPM at path, usually /dev/tpmrm0, whose resource manager
// lets others use the TPM too. ctx bounds the opening only.
func OpenDevice(ctx context.Context, path string) (*TPM, error) {
	raw, err := linuxtpm.Open(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("opening TPM: %w: no TPM, or it is switched off in the firmware", err)
	case errors.Is(err, syscall.EBUSY):
		return nil, fmt.Errorf("opening TPM %q: %w", path, ErrInUse)
	case err != nil:
		return nil, fmt.Errorf("opening TPM: %w", err)
	}
	t, err := open(ctx, &link{raw: raw, timeout: commandTimeout}, nil)
	if err != nil {
		return nil, fmt.Errorf("opening TPM %q: %w", path, err)
	}
	return t, nil
}

// open asks the TPM what it is. On an error it closes link and child.
func open(ctx context.Context, l *link, c *child) (*TPM, error) {
	t := &TPM{link: l, child: c}
	l.stop = ctx.Done()
	vendor, err := t.property(tpm2.TPMPTVendorString1)
	if err == nil {
		t.inputMax, err = t.size(tpm2.TPMPTInputBuffer)
	}
	if err == nil {
		t.nvMax, err = t.size(tpm2.TPMPTNVBufferMax)
	}
	if err != nil {
		return nil, errors.Join(err, ctx.Err(), t.Close())
	}
	l.stop = nil
	// A device may be a program too, as in a virtual machine: libtpms says "SW".
	t.software = c != nil || vendor>>16 == 'S'<<8|'W'
	return t, nil
}

// Software says that the TPM is a program: its keys are in a file.
func (t *TPM) Software() bool { return t.software }

// Close gives the TPM up, waiting for an operation under way. A software TPM
// has written its state and ended when Close returns nil.
func (t *TPM) Close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if errors.Is(t.link.failed, errClosed) {
		return nil
	}
	if t.child == nil {
		return t.link.close()
	}
	if t.link.failed != nil { // that has been said already
		return errors.Join(t.link.close(), t.child.end(0))
	}
	_, err := tpm2.Shutdown{ShutdownType: tpm2.TPMSUClear}.Execute(t.link)
	err = errors.Join(err, t.link.close(), t.child.end(2*time.Second))
	return errors.Join(err, t.child.exit) // known only now
}

// size reads a property that bounds a buffer.
func (t *TPM) size(p tpm2.TPMPT) (int, error) {
	v, err := t.property(p)
	if err != nil {
		return 0, err
	}
	if v == 0 {
		return 0, fmt.Errorf("TPM states no size for property %#x", uint32(p))
	}
	return int(min(v, 1024)), nil // what a TPM must take at least
}

func (t *TPM) property(p tpm2.TPMPT) (uint32, error) {
	rsp, err := tpm2.GetCapability{Capability: tpm2.TPMCapTPMProperties, Property: uint32(p), PropertyCount: 1}.Execute(t.link)
	if err != nil {
		return 0, fmt.Errorf("reading TPM property %#x: %w", uint32(p), err)
	}
	list, err := rsp.CapabilityData.Data.TPMProperties()
	if err != nil {
		return 0, fmt.Errorf("reading TPM property %#x: %w", uint32(p), err)
	}
	if len(list.TPMProperty) != 1 || list.TPMProperty[0].Property != p {
		return 0, fmt.Errorf("TPM has no property %#x", uint32(p))
	}
	return list.TPMProperty[0].Value, nil
}

var errClosed = errors.New("TPM is closed")

// link carries commands to a TPM and fails for good with the first that is not
// answered: what the TPM does with a late answer is anyone's guess. It is used
// under TPM.mu.
type link struct {
	raw     transport.TPMCloser
	timeout time.Duration
	stop    <-chan struct{}   // while opening: when to give up
	died    func(error) error // says more of a failure; may be nil
	failed  error
}

// Send implements transport.TPM. A driver that hangs keeps one goroutine.
func (l *link) Send(command []byte) ([]byte, error) {
	if l.failed != nil {
		return nil, l.failed
	}
	type answer struct {
		data []byte
		err  error
	}
	answered := make(chan answer, 1)
	go func() {
		data, err := l.raw.Send(command)
		answered <- answer{data, err}
	}()
	timer := time.NewTimer(l.timeout)
	defer timer.Stop()
	select {
	case a := <-answered:
		if a.err != nil {
			if l.died != nil {
				a.err = l.died(a.err)
			}
			l.failed = fmt.Errorf("TPM command %#x: %w", commandCode(command), a.err)
		}
		return a.data, l.failed
	case <-timer.C:
	case <-l.stop:
	}
	l.failed = fmt.Errorf("TPM command %#x: %w", commandCode(command), ErrNoAnswer)
	return nil, l.failed
}

func (l *link) close() error {
	l.failed = errClosed
	return l.raw.Close()
}

// commandCode is the command's code, from its header: tag, size, code.
func commandCode(command []byte) uint32 { return binary.BigEndian.Uint32(command[6:]) }

package seal

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport/linuxtpm"

	"sekisho/transfer/measure"
)

// TPM is an open TPM 2.0. It is safe for concurrent use: operations of several
// commands run one after the other. No call waits for ever: a command not
// answered within half a minute (a minute for the making of a key) fails with
// ErrNoAnswer, and so does every later one until the TPM is opened again.
type TPM struct {
	mu       sync.Mutex // held over an operation, so its sequences and loaded keys are its own
	link     *link
	child    *child // the software TPM; nil for a device
	software bool
	inputMax int           // largest SequenceUpdate, in bytes
	nvMax    int           // largest NV_Read, in bytes
	events   *measure.List // what explains the software register; nil: nothing does
}

// OpenDevice opens the TPM at path, usually /dev/tpmrm0, whose resource manager
// lets others use the TPM too. It fails with ErrMissing, ErrInUse or ErrNoAnswer
// when that is why. ctx bounds the opening only.
func OpenDevice(ctx context.Context, path string) (*TPM, error) {
	raw, err := linuxtpm.Open(path)
	if err != nil {
		return nil, fmt.Errorf("opening TPM: %w", deviceTrouble(err))
	}
	t, err := open(ctx, &link{raw: raw, timeout: commandTimeout, died: deviceTrouble}, nil)
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

// operate carries out one operation alone, and explains its error.
func (t *TPM) operate(doing string, do func() error) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := do(); err != nil {
		return fmt.Errorf("%s: %w", doing, t.explain(err))
	}
	return nil
}

// operateUntil gives up when ctx is done, and with it this TPM: nobody knows
// then what it was still doing.
func (t *TPM) operateUntil(ctx context.Context, doing string, do func() error) error {
	return t.operate(doing, func() error {
		t.link.stop = ctx.Done()
		defer func() { t.link.stop = nil }()
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := do(); err != nil {
			return errors.Join(err, ctx.Err())
		}
		return nil
	})
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

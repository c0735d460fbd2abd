package seal

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"
	"time"

	"github.com/google/go-tpm/tpm2"
)

var (
	// ErrMissing means that there is no TPM. The operator switches it on in the
	// firmware, or corrects the device's path in the configuration.
	ErrMissing = errors.New("no TPM, or it is switched off in the firmware")
	// ErrInUse means that another process owns the TPM. The operator ends it.
	ErrInUse = errors.New("TPM is in use by another process")
	// ErrNoAnswer means that the TPM did not answer a command in time, or only
	// that it is busy. The operator tries again, then switches off and on.
	ErrNoAnswer = errors.New("TPM did not answer in time")
	// ErrLocked means that the TPM counted too many wrong passwords; it is a
	// *LockedError. The operator waits.
	ErrLocked = errors.New("TPM is locked after too many wrong passwords")
	// ErrUnapproved means that no authorization fits the machine's state. The
	// operator asks IT to approve what changed; nothing is lost meanwhile.
	ErrUnapproved = errors.New("IT has not approved the state of this machine")
	// ErrMeasured means that the software register holds something else than
	// the events say. The operator starts the machine again; if it stays so,
	// another program uses that register.
	ErrMeasured = errors.New("software register holds something else")
)

// LockedError is ErrLocked with the time until the TPM takes one more try.
type LockedError struct {
	Left time.Duration // at most; 0 when the TPM does not say
}

func (e *LockedError) Error() string {
	if e.Left == 0 {
		return ErrLocked.Error()
	}
	return fmt.Sprintf("%v, for at most %v", ErrLocked, e.Left)
}

// Is says that every LockedError is ErrLocked.
func (e *LockedError) Is(target error) bool { return target == ErrLocked }

// explain says what a person should know of a TPM's answer.
func (t *TPM) explain(err error) error {
	is := func(codes ...tpm2.TPMRC) bool {
		for _, code := range codes {
			if errors.Is(err, code) {
				return true
			}
		}
		return false
	}
	switch {
	case is(tpm2.TPMRCLockout):
		return fmt.Errorf("%w: %w", t.locked(), err)
	case is(busy...):
		return fmt.Errorf("%w: %w", ErrNoAnswer, err)
	case is(tpm2.TPMRCObjectMemory, tpm2.TPMRCSessionMemory, tpm2.TPMRCSessionHandles):
		return fmt.Errorf("%w: its memory is taken: %w", ErrInUse, err)
	}
	return err
}

// locked says how long a TPM that refuses passwords will do so. It forgets one
// failure in each interval; below the limit it is its own lockout password that
// someone got wrong.
func (t *TPM) locked() *LockedError {
	l, err := t.lockout()
	if err != nil {
		return &LockedError{}
	}
	if l.Failures < l.Max {
		return &LockedError{l.Recovery}
	}
	return &LockedError{time.Duration(l.Failures-l.Max+1) * l.Interval}
}

// deviceTrouble explains what the system says of a TPM's device.
func deviceTrouble(err error) error {
	for _, t := range []struct {
		class error
		any   []error
	}{
		{ErrMissing, []error{fs.ErrNotExist, syscall.ENODEV, syscall.ENXIO, syscall.EPIPE}},
		{ErrInUse, []error{syscall.EBUSY}},
		{ErrNoAnswer, []error{syscall.ETIME, syscall.ETIMEDOUT}},
	} {
		for _, e := range t.any {
			if errors.Is(err, e) {
				return fmt.Errorf("%w: %w", t.class, err)
			}
		}
	}
	return err
}

package seal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"
)

const (
	// commandTimeout bounds one TPM command, with all its retries. Chips sign in
	// under a second.
	commandTimeout = 30 * time.Second
	// keyTimeout bounds the making of a key: for RSA a chip searches primes.
	keyTimeout = time.Minute

	firstPause = 5 * time.Millisecond // before a busy TPM is asked again; then double
	lastPause  = 250 * time.Millisecond
)

// busy are the answers of a TPM that has not begun with a command.
var busy = []tpm2.TPMRC{tpm2.TPMRCRetry, tpm2.TPMRCYielded, tpm2.TPMRCTesting, tpm2.TPMRCNVRate}

var errClosed = errors.New("TPM is closed")

// link carries commands to a TPM and fails for good with the first that is not
// answered: what the TPM does with a late answer is anyone's guess. It is used
// under TPM.mu.
type link struct {
	raw     transport.TPMCloser
	timeout time.Duration
	stop    <-chan struct{}   // when to give up before that; may be nil
	died    func(error) error // says more of a failure; may be nil
	hangs   <-chan struct{}   // closed when the command that was given up is over; nil: none was
	failed  error
}

// Send implements transport.TPM. A busy TPM is asked again until the command's
// time is over; then its last answer counts.
func (l *link) Send(command []byte) ([]byte, error) {
	if l.failed != nil {
		return nil, l.failed
	}
	timer := time.NewTimer(l.limit(command))
	defer timer.Stop()
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		data, err := l.once(command, timer.C)
		if err != nil || !slices.Contains(busy, responseCode(data)) {
			return data, err
		}
		select {
		case <-time.After(pause):
		case <-timer.C:
			return data, nil
		case <-l.stop:
			return data, nil
		}
	}
}

// once sends a command once. A driver that hangs keeps one goroutine.
func (l *link) once(command []byte, late <-chan time.Time) ([]byte, error) {
	var data []byte
	var err error
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		data, err = l.raw.Send(command)
	}()
	select {
	case <-answered:
		if err == nil && len(data) == 0 {
			// go-tpm asks a busy device again for two seconds by itself, and
			// then returns neither answer nor error.
			return binary.BigEndian.AppendUint32([]byte{0x80, 0x01, 0, 0, 0, 10}, uint32(tpm2.TPMRCRetry)), nil
		}
		if err != nil {
			if l.died != nil {
				err = l.died(err)
			}
			l.failed = fmt.Errorf("TPM command %#x: %w", commandCode(command), err)
		}
		return data, l.failed
	case <-late:
	case <-l.stop:
	}
	l.hangs = answered
	l.failed = fmt.Errorf("TPM command %#x: %w", commandCode(command), ErrNoAnswer)
	return nil, l.failed
}

// limit is how long the TPM may take for a command.
func (l *link) limit(command []byte) time.Duration {
	if commandCode(command) == uint32(tpm2.TPMCCCreatePrimary) {
		return max(l.timeout, keyTimeout)
	}
	return l.timeout
}

// close leaves a device that hangs to the driver: go-tpm uses the file's number
// meanwhile, which by then could be another file's.
func (l *link) close() error {
	l.failed = errClosed
	if l.hangs != nil {
		go func() {
			<-l.hangs
			l.raw.Close()
		}()
		return nil
	}
	return l.raw.Close()
}

// commandCode is the command's code, from its header: tag, size, code.
func commandCode(command []byte) uint32 { return binary.BigEndian.Uint32(command[6:]) }

// responseCode is likewise an answer's; one too short to have any is not busy.
func responseCode(answer []byte) tpm2.TPMRC {
	if len(answer) < 10 {
		return tpm2.TPMRCSuccess
	}
	return tpm2.TPMRC(binary.BigEndian.Uint32(answer[6:]))
}

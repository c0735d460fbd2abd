package seal

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-tpm/tpm2"
	"golang.org/x/sys/unix"
)

// newDevice is a character device with a TPM behind it: a terminal, as no other
// device can be had without the kernel's help. answer is asked for every command.
func newDevice(t *testing.T, answer func(command []byte) ([]byte, error)) string {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	fd := int(master.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	path := fmt.Sprintf("/dev/pts/%d", n)
	keep, err := os.OpenFile(path, os.O_RDWR|unix.O_NOCTTY, 0) // or it ends with its first user
	if err != nil {
		t.Fatal(err)
	}
	raw := unix.Termios{Cflag: unix.CS8 | unix.CREAD | unix.CLOCAL}
	raw.Cc[unix.VMIN] = 1
	if err := unix.IoctlSetTermios(int(keep.Fd()), unix.TCSETS, &raw); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			command := make([]byte, 10, 4096)
			if _, err := io.ReadFull(master, command); err != nil {
				return
			}
			command = command[:binary.BigEndian.Uint32(command[2:])]
			if _, err := io.ReadFull(master, command[10:]); err != nil {
				return
			}
			data, err := answer(command)
			if err != nil {
				t.Error(err)
				return
			}
			if _, err := master.Write(data); err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() {
		keep.Close() // with no user left, reading at this end fails
		<-done
		master.Close()
	})
	return path
}

// The whole way through a device: a TPM that is a program, which it says itself.
func TestDevice(t *testing.T) {
	behind := openIn(t, newFolder(t))
	kiosk := enrol(t, newKey(t, behind), "k1")
	var retries atomic.Int32
	path := newDevice(t, func(command []byte) ([]byte, error) {
		if retries.Add(-1) >= 0 {
			return refusal(tpm2.TPMRCRetry), nil
		}
		return behind.link.raw.Send(command)
	})
	tpm, err := OpenDevice(context.Background(), path)
	if err != nil {
		t.Fatal(err)
	}
	if !tpm.Software() {
		t.Error("taken for a chip")
	}
	k, err := tpm.Key(Form{})
	if err != nil {
		t.Fatal(err)
	}
	retries.Store(3)
	s := newSeal(t, k, "x")
	if _, _, err := Open(testType, s.Envelope, s.Evidence, []*Kiosk{kiosk}); err != nil {
		t.Error(err)
	}
	if err := tpm.Close(); err != nil {
		t.Error(err)
	}
	if _, err := k.Counter(); err == nil {
		t.Error("a closed TPM answered")
	}
}

func TestSilentDevice(t *testing.T) {
	hold := make(chan struct{})
	path := newDevice(t, func([]byte) ([]byte, error) {
		<-hold
		return refusal(tpm2.TPMRCFailure), nil
	})
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	start := time.Now()
	tpm, err := OpenDevice(ctx, path)
	if !errors.Is(err, ErrNoAnswer) || !errors.Is(err, context.DeadlineExceeded) || tpm != nil {
		t.Errorf("silent device: %v", err)
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("gave up after %v", took)
	}
	close(hold)
}

func TestOpenDeviceRefuses(t *testing.T) {
	if _, err := OpenDevice(context.Background(), filepath.Join(t.TempDir(), "tpmrm0")); !errors.Is(err, ErrMissing) || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing device: %v", err)
	}
	file := filepath.Join(t.TempDir(), "tpmrm0")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenDevice(context.Background(), file); err == nil {
		t.Error("opened a file as a TPM")
	}
	// A device that is no TPM: it swallows commands and answers nothing.
	if _, err := OpenDevice(context.Background(), "/dev/null"); err == nil {
		t.Error("opened /dev/null as a TPM")
	}
}

// What the kernel's driver says, on opening and later.
func TestDeviceTroubleIsExplained(t *testing.T) {
	for said, want := range map[syscall.Errno]error{
		syscall.ENOENT: ErrMissing, syscall.ENODEV: ErrMissing, syscall.ENXIO: ErrMissing, syscall.EPIPE: ErrMissing,
		syscall.EBUSY: ErrInUse, syscall.ETIME: ErrNoAnswer, syscall.ETIMEDOUT: ErrNoAnswer,
	} {
		err := deviceTrouble(&fs.PathError{Op: "write", Path: "/dev/tpmrm0", Err: said})
		if !errors.Is(err, want) || !errors.Is(err, said) {
			t.Errorf("%v: %v", said, err)
		}
	}
	other := &fs.PathError{Op: "open", Path: "/dev/tpmrm0", Err: syscall.EACCES}
	if err := deviceTrouble(other); err != error(other) {
		t.Errorf("%v: %v", other, err)
	}
}

package seal

import (
	"encoding/binary"
	"fmt"
	"strings"
	"time"

	"github.com/google/go-tpm/tpm2"
)

// Info is what a TPM says of itself; nothing proves it.
type Info struct {
	Vendor     string // the maker's four letters, then its own words: "IBM SW   TPM"
	Firmware   uint64 // in the maker's own notation
	Software   bool   // it is a program
	ResetCount uint32 // power cycles
	Lockout    Lockout
}

// Lockout is a TPM's protection against guessed passwords. Sekisho's key and
// counter are exempt from it.
type Lockout struct {
	Failures uint32        // that it remembers
	Max      uint32        // from this many on it is locked
	Interval time.Duration // after which it forgets one failure
	Recovery time.Duration // for which a wrong lockout password locks that; 0: until a reset
}

// Locked says that the TPM takes no password now.
func (l Lockout) Locked() bool { return l.Max > 0 && l.Failures >= l.Max }

// Info asks the TPM what it is.
func (t *TPM) Info() (i Info, err error) {
	err = t.operate("asking the TPM what it is", func() error {
		var words [7]uint32
		for n := range words { // from TPM_PT_MANUFACTURER to TPM_PT_FIRMWARE_VERSION_1
			if words[n], err = t.property(tpm2.TPMPTManufacturer + tpm2.TPMPT(n)); err != nil {
				return err
			}
		}
		low, err := t.property(tpm2.TPMPTFirmwareVersion2)
		if err != nil {
			return err
		}
		clock, err := tpm2.ReadClock{}.Execute(t.link)
		if err != nil {
			return fmt.Errorf("reading clock: %w", err)
		}
		i = Info{
			Vendor: vendor(words[:1]) + " " + vendor(words[1:5]), Firmware: uint64(words[6])<<32 | uint64(low), Software: t.software,
			ResetCount: clock.CurrentTime.ClockInfo.ResetCount,
		}
		i.Lockout, err = t.lockout()
		return err
	})
	if err != nil {
		return Info{}, err
	}
	return i, nil
}

func (t *TPM) lockout() (l Lockout, err error) {
	var interval, recovery uint32
	for _, p := range []struct {
		property tpm2.TPMPT
		value    *uint32
	}{
		{tpm2.TPMPTLockoutCounter, &l.Failures}, {tpm2.TPMPTMaxAuthFail, &l.Max},
		{tpm2.TPMPTLockoutInterval, &interval}, {tpm2.TPMPTLockoutRecovery, &recovery},
	} {
		if *p.value, err = t.property(p.property); err != nil {
			return Lockout{}, err
		}
	}
	l.Interval, l.Recovery = time.Duration(interval)*time.Second, time.Duration(recovery)*time.Second
	return l, nil
}

// vendor is the text in the properties, as printable ASCII.
func vendor(words []uint32) string {
	var text []byte
	for _, w := range words {
		text = binary.BigEndian.AppendUint32(text, w)
	}
	printable := strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return ' '
		}
		return r
	}, string(text))
	return strings.Join(strings.Fields(printable), " ")
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

package measure

import (
	"fmt"
	"maps"
	"slices"
)

// BootLogFile is where Linux shows the firmware's log of what it extended.
const BootLogFile = "/sys/kernel/security/tpm0/binary_bios_measurements"

// MaxBootLog bounds a boot log, in bytes. Real ones have 15 to 200 KB.
const MaxBootLog = 4 << 20

// ReadBootLog reads the firmware's log. The error is fs.ErrNotExist where there
// is none: without UEFI, without a TPM that the firmware knows, in most virtual
// machines.
func ReadBootLog(path string) ([]byte, error) {
	data, err := readBounded(path, MaxBootLog)
	if err != nil {
		return nil, fmt.Errorf("reading the firmware's log: %w", err)
	}
	return data, nil
}

// BootLog is what the firmware, the boot loader and the kernel's first steps say
// that they extended, until the system took over.
//
// The log is a plain file: only where its replay gives the TPM's value are its
// digests those that were extended. Even then an event's type is the log's word,
// and so is its text unless the event is Bound.
type BootLog struct {
	SecureBoot SecureBootState
	Registers  []BootRegister // ascending: those with events, and those that were given
}

// BootRegister is one register as the log has it.
type BootRegister struct {
	Register int
	Events   []BootEvent // in order
	Replay   Digest      // the value that the log gives
	Value    Digest      // the TPM's, when it was given
	Result   Result
}

// Result says how a register's replay and the TPM's value compare.
type Result int

// The results.
const (
	NotCompared Result = iota // the value was not given, or is none of the firmware's log
	Equal                     // the log explains the value
	Differs                   // it does not
)

// String says in one line what the register stands for and whether the log
// explains it.
func (r *BootRegister) String() string {
	name := fmt.Sprintf("register %d (%s)", r.Register, RegisterName(r.Register))
	switch r.Result {
	case Equal:
		return name + ": the log gives the TPM's value"
	case Differs:
		s := fmt.Sprintf("%s: THE LOG DOES NOT GIVE THE TPM'S VALUE (log %.12s, TPM %.12s)", name, r.Replay, r.Value)
		if r.Register > lastFirmware {
			s += "; the running system may have extended it further"
		}
		return s
	}
	return name + ": not compared"
}

// BootEvent is one thing that was extended.
type BootEvent struct {
	Type   string // as the TCG names it: "EV_SEPARATOR"
	Text   string // in plain words; at most 200 characters, none of control
	Digest Digest // what the register was extended with
	Bound  bool   // the digest is that of what Text was read from
}

const (
	lastFirmware = 7  // registers up to here are the firmware's alone
	lastStatic   = 15 // registers up to here start at zero and are never reset
)

// ParseBootLog reads the log and compares it with registers, the values of the
// TPM's SHA-256 bank. A register whose replay differs is no error: it is said as
// its Result. The error is ErrMalformed when log is not a log with SHA-256
// digests in the form that the firmware of TPM 2.0 machines writes.
func ParseBootLog(log []byte, registers map[int][32]byte) (*BootLog, error) {
	raw, err := parseEvents(log)
	if err != nil {
		return nil, fmt.Errorf("%w: the firmware's log: %w", ErrMalformed, err)
	}
	byRegister := make(map[int][]rawEvent)
	for i := range registers {
		byRegister[i] = nil
	}
	for _, e := range raw.events {
		byRegister[e.register] = append(byRegister[e.register], e)
	}
	b := new(BootLog)
	for _, i := range slices.Sorted(maps.Keys(byRegister)) {
		r := BootRegister{Register: i}
		if i == 0 {
			r.Replay[len(r.Replay)-1] = raw.locality
		}
		for _, e := range byRegister[i] {
			r.Replay = extend(r.Replay, e.digest)
			r.Events = append(r.Events, describe(e))
		}
		value, given := registers[i]
		r.Value = value
		switch {
		// Of the system's registers the firmware need not know anything.
		case !given, i > lastStatic, i > lastFirmware && len(r.Events) == 0:
		case r.Replay == r.Value:
			r.Result = Equal
		default:
			r.Result = Differs
		}
		if i == 7 {
			b.SecureBoot = secureBoot(byRegister[i], r.Result)
		}
		b.Registers = append(b.Registers, r)
	}
	if b.SecureBoot == (SecureBootState{}) {
		b.SecureBoot.Why = "the log does not say"
	}
	return b, nil
}

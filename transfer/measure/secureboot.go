package measure

import "bytes"

// SecureBootState is what register 7 proves of Secure Boot.
type SecureBootState struct {
	Known bool
	On    bool   // only when Known
	Why   string // not Known: the reason
}

// String says it in words.
func (s SecureBootState) String() string {
	switch {
	case !s.Known:
		return "Secure Boot: not known (" + s.Why + ")"
	case s.On:
		return "Secure Boot: on"
	}
	return "Secure Boot: off"
}

// secureBoot reads register 7. Whoever can change the log file can neither
// change its digests, when it replays, nor put bytes in the place of others
// where a digest is of the bytes; but he can give an event another type and,
// with the running system, append to the register. So types are not believed:
// up to the separator, which the firmware extends before it starts anything from
// a disk and which is known by its digest, each event must be bound, be a
// variable or an action known to be harmless, and exactly one be SecureBoot.
func secureBoot(events []rawEvent, result Result) SecureBootState {
	unknown := func(why string) SecureBootState { return SecureBootState{Why: why} }
	switch {
	case len(events) == 0:
		return unknown("the log does not say")
	case result == NotCompared:
		return unknown("register 7 was not compared with the TPM's")
	case result == Differs:
		return unknown("the log does not give the TPM's value of register 7")
	}
	var said [][]byte
	ended := false
	for _, e := range events {
		if isSeparator(e.digest) {
			ended = true
			continue
		}
		v, ok := parseVariable(e.data)
		if isSecureBoot := ok && v.guid == guidGlobal && v.name == "SecureBoot"; isSecureBoot && ended {
			return unknown("the log says it after the firmware was done")
		} else if isSecureBoot {
			said = append(said, v.data)
		}
		switch {
		case ended: // the boot loader's, and whatever came later
		case e.digest != sum(e.data):
			return unknown("an event of register 7 is not what its digest is of")
		case ok, string(e.data) == "DMA Protection Disabled":
		case string(e.data) == "UEFI Debug Mode":
			return unknown("a debugger of the firmware was attached")
		default:
			return unknown("register 7 has an event that is not understood")
		}
	}
	switch {
	case !ended:
		return unknown("the log has no end of the firmware's part")
	case len(said) != 1:
		return unknown("the log does not say it exactly once")
	case len(said[0]) == 0, bytes.Equal(said[0], []byte{0}): // no such variable, or off
		return SecureBootState{Known: true}
	case bytes.Equal(said[0], []byte{1}):
		return SecureBootState{Known: true, On: true}
	}
	return unknown("the log says neither on nor off")
}

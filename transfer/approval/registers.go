package approval

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"sekisho/transfer/measure"
)

const (
	secureBoot     = 7  // the register of the Secure Boot keys and state
	firstSoftware  = 11 // software registers are those from here
	lastSoftware   = 14 // to here
	registersOfTPM = 24
)

// Registers are values of the SHA-256 bank by their index.
type Registers map[int][32]byte

// MarshalJSON writes them in ascending order.
func (r Registers) MarshalJSON() ([]byte, error) {
	out := []byte{'{'}
	for n, i := range slices.Sorted(maps.Keys(r)) {
		if n > 0 {
			out = append(out, ',')
		}
		out = fmt.Appendf(out, `"%d":"%x"`, i, r[i])
	}
	return append(out, '}'), nil
}

// UnmarshalJSON reads them in any order; that they come out again as they went
// in is for the caller to check.
func (r *Registers) UnmarshalJSON(data []byte) error {
	var named map[string]measure.Digest
	if err := json.Unmarshal(data, &named); err != nil {
		return err
	}
	out := make(Registers)
	for name, value := range named {
		i, err := strconv.Atoi(name)
		if err != nil {
			return fmt.Errorf("register %.20q", name)
		}
		out[i] = value
	}
	*r = out
	return nil
}

// check wants these registers to hold at least what a TPM's policy is about.
func (r Registers) check(software int) error {
	if software < firstSoftware || software > lastSoftware {
		return fmt.Errorf("software register is %d, want %d to %d", software, firstSoftware, lastSoftware)
	}
	for i := range r {
		if i < 0 || i >= registersOfTPM {
			return fmt.Errorf("register %d", i)
		}
	}
	for _, i := range []int{secureBoot, software} {
		if _, ok := r[i]; !ok {
			return fmt.Errorf("register %d is missing", i)
		}
	}
	return nil
}

// checkEvents wants the list to explain the software register, or to be empty.
func (r Registers) checkEvents(software int, l *measure.List) error {
	if l == nil || l.Register != software {
		return fmt.Errorf("no event list of register %d", software)
	}
	if data, err := l.Marshal(); err != nil {
		return err
	} else if len(data) > measure.MaxList {
		return fmt.Errorf("event list of %d bytes", len(data))
	}
	if len(l.Events) > 0 && [32]byte(l.Replay()) != r[software] {
		return fmt.Errorf("the events do not give the value of register %d", software)
	}
	return nil
}

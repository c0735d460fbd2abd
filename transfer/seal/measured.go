package seal

import (
	"fmt"

	"github.com/google/go-tpm/tpm2"

	"sekisho/transfer/measure"
)

// Registers returns the present values of the registers that a seal quotes.
func (t *TPM) Registers() (pcrs map[int][32]byte, err error) {
	err = t.operate("reading registers", func() error {
		values, err := t.pcrs()
		if err != nil {
			return err
		}
		pcrs = byRegister(values)
		return nil
	})
	return pcrs, err
}

// Measure extends the list's register, one of 11 to 14, by its events, once
// since the machine started: it begins where an earlier call was interrupted,
// and does nothing when one was finished. A register that holds anything else
// is ErrMeasured, and is left as it is. Seals carry the list from then on.
func (t *TPM) Measure(l *measure.List) error {
	return t.operate("measuring", func() error {
		return t.measure(l, func(done int) error {
			for _, e := range l.Events[done:] {
				if err := t.extend(l.Register, e.Digest()); err != nil {
					return err
				}
			}
			return nil
		})
	})
}

// Measured has seals carry the list that the register was extended with before,
// by another process. It fails with ErrMeasured when the register has another
// value; then seals carry an empty list of that register, and the gate judges the
// value alone. An empty list says so from the beginning, whatever the value is.
func (t *TPM) Measured(l *measure.List) error {
	return t.operate("looking at what was measured", func() error {
		if len(l.Events) == 0 {
			if err := checkRegister(l); err != nil {
				return err
			}
			t.events = &measure.List{Register: l.Register}
			return nil
		}
		return t.measure(l, func(done int) error {
			if done < len(l.Events) {
				return fmt.Errorf("%w: only %d of %d events", ErrMeasured, done, len(l.Events))
			}
			return nil
		})
	})
}

// measure takes the list after finish made the register hold all of it, given
// how many events it held before.
func (t *TPM) measure(l *measure.List, finish func(done int) error) error {
	if err := checkRegister(l); err != nil {
		return err
	}
	if _, err := l.Marshal(); err != nil {
		return err
	}
	t.events = &measure.List{Register: l.Register}
	values, err := t.pcrs()
	if err != nil {
		return err
	}
	done, ok := prefix(l, byRegister(values)[l.Register])
	if !ok {
		return fmt.Errorf("register %d: %w", l.Register, ErrMeasured)
	}
	if err := finish(done); err != nil {
		return err
	}
	if values, err = t.pcrs(); err != nil {
		return err
	}
	if l.Replay() != measure.Digest(byRegister(values)[l.Register]) {
		return fmt.Errorf("register %d: %w: another program extends it", l.Register, ErrMeasured)
	}
	t.events.Events = append(t.events.Events, l.Events...)
	return nil
}

// prefix says after how many of the events the register has this value.
func prefix(l *measure.List, value [32]byte) (done int, ok bool) {
	for n := range len(l.Events) + 1 {
		part := measure.List{Register: l.Register, Events: l.Events[:n]}
		if part.Replay() == measure.Digest(value) {
			return n, true
		}
	}
	return 0, false
}

func (t *TPM) extend(register int, digest measure.Digest) error {
	_, err := tpm2.PCRExtend{
		PCRHandle: noPassword(tpm2.TPMHandle(register)),
		Digests:   tpm2.TPMLDigestValues{Digests: []tpm2.TPMTHA{{HashAlg: tpm2.TPMAlgSHA256, Digest: digest[:]}}},
	}.Execute(t.link)
	return err
}

// explains is the list to send along with these values: what was measured, if
// the register still has that value. A seal is not refused for it: the gate
// holds it, and IT sees that something else was loaded since.
func (t *TPM) explains(pcrs map[int][32]byte) ([]byte, error) {
	l := t.events
	if l == nil {
		l = &measure.List{Register: DefaultRegister}
	}
	if l.Replay() != measure.Digest(pcrs[l.Register]) {
		l = &measure.List{Register: l.Register}
	}
	return l.Marshal()
}

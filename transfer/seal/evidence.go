package seal

import (
	"fmt"

	"sekisho/transfer/measure"
)

// maxStructure bounds the files of evidence that are TPM structures, in bytes;
// the largest in use has 1,200.
const maxStructure = 2 << 10

// Evidence is what the TPM attested for one seal, as plain TPM structures, and
// the list of events that explains the software register; the package comment
// has their content.
type Evidence struct {
	Counter, CounterSig, Quote, QuoteSig, PCRs, Events []byte
}

// parts lists the files of evidence in the order they are checked.
func (e *Evidence) parts() []part {
	return []part{
		{"counter.attest", &e.Counter, maxStructure}, {"counter.sig", &e.CounterSig, maxStructure},
		{"quote.attest", &e.Quote, maxStructure}, {"quote.sig", &e.QuoteSig, maxStructure},
		{"quote.pcrs", &e.PCRs, maxStructure}, {"events.json", &e.Events, measure.MaxList},
	}
}

type part struct {
	name string
	data *[]byte
	max  int // bytes
}

// Files returns the evidence by file name. The bytes are shared.
func (e Evidence) Files() map[string][]byte {
	files := make(map[string][]byte)
	for _, p := range e.parts() {
		files[p.name] = *p.data
	}
	return files
}

// EvidenceOf takes the evidence from its files: exactly those that
// [Evidence.Files] names. It checks names and sizes only. The bytes are shared.
func EvidenceOf(files map[string][]byte) (Evidence, error) {
	var e Evidence
	for _, p := range e.parts() {
		data, ok := files[p.name]
		if !ok {
			return Evidence{}, fmt.Errorf("%w: evidence lacks %s", ErrMalformed, p.name)
		}
		*p.data = data
	}
	if extra := len(files) - len(e.parts()); extra > 0 {
		return Evidence{}, fmt.Errorf("%w: evidence has %d more files than it should", ErrMalformed, extra)
	}
	if err := e.bounded(); err != nil {
		return Evidence{}, err
	}
	return e, nil
}

// bounded refuses what is too large to be looked at.
func (e *Evidence) bounded() error {
	for _, p := range e.parts() {
		if n := len(*p.data); n == 0 || n > p.max {
			return fmt.Errorf("%w: %s has %d bytes, want 1 to %d", ErrMalformed, p.name, n, p.max)
		}
	}
	return nil
}

// parseEvents reads a list of events and checks it against the registers' quoted
// values. An empty list explains nothing and fits any value.
func parseEvents(data []byte, pcrs map[int][32]byte) (*measure.List, error) {
	l, err := measure.Parse(data)
	if err != nil {
		return nil, err
	}
	if err := checkRegister(l); err != nil {
		return nil, err
	}
	if len(l.Events) > 0 && l.Replay() != measure.Digest(pcrs[l.Register]) {
		return nil, fmt.Errorf("register %d does not have the value that the events give", l.Register)
	}
	return l, nil
}

func checkRegister(l *measure.List) error {
	if l.Register < firstSoftware || l.Register > lastSoftware {
		return fmt.Errorf("events are of register %d, want one of %d to %d", l.Register, firstSoftware, lastSoftware)
	}
	return nil
}

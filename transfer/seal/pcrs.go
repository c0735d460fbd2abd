package seal

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// quotedPCRs are those that a quote covers, ascending; quotedBits is the same
// as TPMS_PCR_SELECTION has it. 0–7 are the firmware's and Secure Boot's, 8 and 9
// the boot loader's, 11–14 the unified kernel image's, its credentials', system
// extensions' and keys', and ours among them. 10 changes with every file that
// the kernel measures; 16 and 23 anyone can reset.
var (
	quotedPCRs = []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 14}
	quotedBits = []byte{0xFF, 0x7B, 0x00}
)

// The software register is one of these; a kiosk's configuration says which.
const (
	firstSoftware   = 11
	lastSoftware    = 14
	DefaultRegister = 13 // the software register, unless configured otherwise
)

// quote.pcrs is what "tpm2_quote -o" writes: C structures with all their room,
// little-endian. It is the only form that tpm2_checkquote 5.4 takes for more
// than seven PCRs: plain values with -l make it lose the eighth.
const (
	maxSelections = 16                  // in a TPML_PCR_SELECTION, 8 bytes each
	maxDigests    = 8                   // in a TPML_DIGEST
	digestSize    = 2 + 64              // a TPM2B_DIGEST
	listsAt       = 4 + 8*maxSelections // the number of lists, then the lists
	listSize      = 4 + maxDigests*digestSize
	pcrsSize      = listsAt + 4 + 2*listSize
)

// valueAt is where the i-th value of quotedPCRs is, after its two bytes of size.
func valueAt(i int) int {
	return listsAt + 4 + i/maxDigests*listSize + 4 + i%maxDigests*digestSize + 2
}

// marshalPCRs lays out the values of quotedPCRs, 32 bytes each.
func marshalPCRs(values []byte) []byte {
	le := binary.LittleEndian
	out := make([]byte, pcrsSize)
	le.PutUint32(out, 1) // selections
	le.PutUint16(out[4:], algSHA256)
	out[6] = byte(copy(out[7:], quotedBits))
	le.PutUint32(out[listsAt:], 2)
	le.PutUint32(out[listsAt+4:], maxDigests)
	le.PutUint32(out[listsAt+4+listSize:], uint32(len(quotedPCRs)-maxDigests))
	for i := range quotedPCRs {
		le.PutUint16(out[valueAt(i)-2:], 32)
		copy(out[valueAt(i):], values[32*i:32*i+32])
	}
	return out
}

// parsePCRs takes the values out of what marshalPCRs wrote, and of nothing else.
func parsePCRs(data []byte) ([]byte, error) {
	if len(data) != pcrsSize {
		return nil, fmt.Errorf("%d bytes of PCR values, want %d", len(data), pcrsSize)
	}
	values := make([]byte, 0, 32*len(quotedPCRs))
	for i := range quotedPCRs {
		values = append(values, data[valueAt(i):valueAt(i)+32]...)
	}
	if !bytes.Equal(marshalPCRs(values), data) {
		return nil, fmt.Errorf("PCR values are not laid out as %v of the SHA-256 bank", quotedPCRs)
	}
	return values, nil
}

// ParsePCRs reads quote.pcrs as a seal's evidence has it: the values of the
// quoted registers. It proves nothing by itself.
func ParsePCRs(data []byte) (map[int][32]byte, error) {
	values, err := parsePCRs(data)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return byRegister(values), nil
}

// byRegister takes the values of quotedPCRs apart.
func byRegister(values []byte) map[int][32]byte {
	pcrs := make(map[int][32]byte)
	for i, register := range quotedPCRs {
		pcrs[register] = [32]byte(values[32*i:])
	}
	return pcrs
}

package measure

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// algSHA256 is TPM_ALG_SHA256.
const algSHA256 = 0x000B

// Bounds of a log's header.
const (
	maxAlgorithms = 16
	maxDigest     = 64 // bytes
)

// rawEvent is one TCG_PCR_EVENT2 that extended a register.
type rawEvent struct {
	register int
	kind     uint32
	digest   Digest // of the SHA-256 bank
	data     []byte // aliases the log
}

type rawBootLog struct {
	locality byte // from which the TPM was started: what register 0 begins with
	events   []rawEvent
}

// parseEvents reads the log of a TPM 2.0 machine: a header in the old form,
// then TCG_PCR_EVENT2 structures to the end. (TCG PC Client Platform Firmware
// Profile, "Event Logging".) go-eventlog's tcg package reads the same form; it
// brings protocol buffers along, panics on event types it does not know, and
// gives no register's value when one differs.
func parseEvents(log []byte) (*rawBootLog, error) {
	c := &cursor{rest: log}
	sizes, err := parseHeader(c)
	if err != nil {
		return nil, err
	}
	out := new(rawBootLog)
	var started, located bool // register 0 was extended; its beginning was said
	for n := 1; len(c.rest) > 0; n++ {
		e, err := parseEvent(c, sizes)
		if err != nil {
			return nil, fmt.Errorf("event %d: %w", n, err)
		}
		if e.kind == evNoAction { // tells, extends nothing
			if locality, ok := startupLocality(e); ok {
				if started || located {
					return nil, fmt.Errorf("event %d: the start of the TPM is not said first, and once", n)
				}
				located, out.locality = true, locality
			}
			continue
		}
		if e.register > 23 {
			return nil, fmt.Errorf("event %d: register %d", n, e.register)
		}
		started = started || e.register == 0
		out.events = append(out.events, e)
	}
	return out, nil
}

// parseHeader reads the first event, EV_NO_ACTION with a
// TCG_EfiSpecIDEventStruct, and returns each algorithm's digest size.
func parseHeader(c *cursor) (map[uint16]int, error) {
	register, kind := c.u32(), c.u32()
	c.take(20) // a SHA-1 digest, of nothing
	h := &cursor{rest: c.take(int(c.u32()))}
	if c.short {
		return nil, errors.New("it is cut short")
	}
	if register != 0 || kind != evNoAction || string(h.take(16)) != "Spec ID Event03\x00" {
		return nil, errors.New("it is of the old form, with SHA-1 alone, or no log at all")
	}
	h.take(4 + 1) // platform class, minor version
	major := h.u8()
	h.take(1 + 1) // errata, size of a UINTN
	count := h.u32()
	if major != 2 || count == 0 || count > maxAlgorithms {
		return nil, fmt.Errorf("version %d with %d algorithms", major, count)
	}
	sizes := make(map[uint16]int)
	for range count {
		alg, size := h.u16(), int(h.u16())
		if _, twice := sizes[alg]; twice || size == 0 || size > maxDigest {
			return nil, fmt.Errorf("algorithm 0x%04x with digests of %d bytes", alg, size)
		}
		sizes[alg] = size
	}
	h.take(int(h.u8())) // vendor information
	if h.short || len(h.rest) > 0 {
		return nil, errors.New("its header has another length than it says")
	}
	if sizes[algSHA256] != len(Digest{}) {
		return nil, errors.New("it has no SHA-256 digests")
	}
	return sizes, nil
}

// parseEvent reads one TCG_PCR_EVENT2.
func parseEvent(c *cursor, sizes map[uint16]int) (rawEvent, error) {
	e := rawEvent{register: int(c.u32()), kind: c.u32()}
	count := c.u32()
	if c.short || int64(count) > int64(len(sizes)) {
		return rawEvent{}, fmt.Errorf("%d digests, or cut short", count)
	}
	seen := make(map[uint16]bool, len(sizes))
	for range count {
		alg := c.u16()
		size, known := sizes[alg]
		if !known || seen[alg] {
			return rawEvent{}, fmt.Errorf("a digest of algorithm 0x%04x", alg)
		}
		seen[alg] = true
		if digest := c.take(size); alg == algSHA256 {
			copy(e.digest[:], digest)
		}
	}
	e.data = c.take(int(c.u32()))
	if c.short {
		return rawEvent{}, errors.New("cut short")
	}
	if !seen[algSHA256] {
		return rawEvent{}, errors.New("no SHA-256 digest")
	}
	return e, nil
}

// startupLocality reads TCG_EfiStartupLocalityEvent.
func startupLocality(e rawEvent) (byte, bool) {
	const signature = "StartupLocality\x00"
	if e.register != 0 || len(e.data) != len(signature)+1 || string(e.data[:len(signature)]) != signature {
		return 0, false
	}
	return e.data[len(signature)], true
}

// cursor reads little-endian fields. Past the end it is short, and everything
// read is zero or empty.
type cursor struct {
	rest  []byte
	short bool
}

func (c *cursor) take(n int) []byte {
	if n < 0 || n > len(c.rest) {
		c.rest, c.short = nil, true
		return nil
	}
	taken := c.rest[:n:n]
	c.rest = c.rest[n:]
	return taken
}

func (c *cursor) u8() byte {
	if b := c.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (c *cursor) u16() uint16 {
	if b := c.take(2); b != nil {
		return binary.LittleEndian.Uint16(b)
	}
	return 0
}

func (c *cursor) u32() uint32 {
	if b := c.take(4); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

func (c *cursor) u64() uint64 {
	if b := c.take(8); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

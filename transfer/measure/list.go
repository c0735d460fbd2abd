package measure

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// Limits of a list.
const (
	MaxEvents = 64       // in a list
	MaxList   = 32 << 10 // bytes of a list
	maxName   = 255      // bytes of an event's name

	listFormat = "sekisho-events/1"
)

// ErrMalformed means that bytes are no list of events.
var ErrMalformed = errors.New("malformed")

// Digest is a SHA-256, written in lower-case hex.
type Digest [sha256.Size]byte

func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// MarshalText implements encoding.TextMarshaler.
func (d Digest) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Digest) UnmarshalText(text []byte) error {
	if hex.DecodedLen(len(text)) != len(d) {
		return fmt.Errorf("a digest of %d characters", len(text))
	}
	_, err := hex.Decode(d[:], text)
	return err
}

// Event is one file that was measured.
type Event struct {
	Name   string `json:"name"` // absolute path on the kiosk, valid UTF-8 without control characters
	SHA256 Digest `json:"sha256"`
}

// Digest is what the register is extended with. The name is bound in, so that
// two files cannot change places.
func (e Event) Digest() Digest {
	h := sha256.New()
	h.Write([]byte("sekisho-event-v1\x00"))
	h.Write([]byte(e.Name))
	h.Write([]byte{0})
	h.Write(e.SHA256[:])
	return Digest(h.Sum(nil))
}

// List is what one register was extended with since the machine started, in
// order.
type List struct {
	Register int     `json:"register"`
	Events   []Event `json:"events"`
}

type listFile struct {
	Format string `json:"format"`
	List
}

// Replay returns the value that the register has after these events.
func (l *List) Replay() Digest {
	var value Digest
	for _, e := range l.Events {
		value = extend(value, e.Digest())
	}
	return value
}

// extend is what TPM2_PCR_Extend does.
func extend(value, digest Digest) Digest {
	return sha256.Sum256(append(value[:], digest[:]...))
}

// Marshal gives the list's canonical form: one line of JSON.
func (l *List) Marshal() ([]byte, error) {
	if err := l.check(); err != nil {
		return nil, fmt.Errorf("event list: %w", err)
	}
	f := listFile{listFormat, *l}
	if f.Events == nil {
		f.Events = []Event{}
	}
	data, err := json.Marshal(f)
	if err != nil {
		return nil, err
	}
	if len(data)+1 > MaxList {
		return nil, fmt.Errorf("event list of %d bytes, want at most %d", len(data)+1, MaxList)
	}
	return append(data, '\n'), nil
}

// Parse reads what Marshal wrote, and nothing else.
func Parse(data []byte) (*List, error) {
	if len(data) > MaxList {
		return nil, fmt.Errorf("%w: event list of %d bytes", ErrMalformed, len(data))
	}
	var f listFile
	if err := json.Unmarshal(data, &f); err != nil {
		return nil, fmt.Errorf("%w: event list: %w", ErrMalformed, err)
	}
	if f.Format != listFormat {
		return nil, fmt.Errorf("%w: event list has format %.80q, want %q", ErrMalformed, f.Format, listFormat)
	}
	again, err := f.Marshal()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if !bytes.Equal(again, data) {
		return nil, fmt.Errorf("%w: event list is not in canonical form", ErrMalformed)
	}
	return &f.List, nil
}

func (l *List) check() error {
	if l.Register < 0 || l.Register > 23 {
		return fmt.Errorf("register %d", l.Register)
	}
	if len(l.Events) > MaxEvents {
		return fmt.Errorf("%d events, want at most %d", len(l.Events), MaxEvents)
	}
	seen := make(map[string]bool)
	for _, e := range l.Events {
		if e.Name == "" || len(e.Name) > maxName || strings.ToValidUTF8(e.Name, "") != e.Name ||
			strings.ContainsFunc(e.Name, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			return fmt.Errorf("name %.80q", e.Name)
		}
		if seen[e.Name] {
			return fmt.Errorf("%.80q is measured twice", e.Name)
		}
		seen[e.Name] = true
	}
	return nil
}

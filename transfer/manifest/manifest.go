// Package manifest is the sealed bag on paper: the documents in it, their one
// canonical form, and the rules that make a bag valid.
//
// A bag is a BagIt 1.0 bag (RFC 8493) of encrypted parts. Its documents are
//
//   - the statement, what the kiosk's TPM seals (Statement),
//   - the index, one line per file and folder (Entry, IndexReader, IndexWriter),
//   - the details, what is too long or too personal for the statement (Details),
//   - the receipt, the gate's signed answer (Receipt),
//   - the key set of a gate (KeySet),
//   - BagIt's own files (Info, Sum, ParseSums),
//   - the tar headers that follow from the index (Header).
//
// FORMAT.md beside this file is the specification.
//
// The package turns bytes into structs and back and does no I/O of its own. It
// neither encrypts nor signs, and it never sees an unverified statement: seal.Open
// hands on only bytes that verified. Every parser accepts exactly what the
// marshaller beside it would write, and nothing else. No error holds a path:
// names of files are as personal as what is in them. An index's errors name the
// line.
package manifest

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
)

// ErrMalformed is wrapped by every error of a parser of this package: the bytes
// are not a document in canonical form. A gate refuses the transfer; the
// operator writes the bag to the drive again, or tells IT.
var ErrMalformed = errors.New("malformed")

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrMalformed, fmt.Sprintf(format, args...))
}

// Hash is a SHA-256 digest, in text 64 lower-case hexadecimal digits.
type Hash [32]byte

func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// MarshalText implements encoding.TextMarshaler.
func (h Hash) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (h *Hash) UnmarshalText(text []byte) error {
	parsed, err := ParseHash(string(text))
	if err == nil {
		*h = parsed
	}
	return err
}

// ParseHash reads 64 hexadecimal digits; BagIt's capital ones are refused,
// because the bag has one canonical form.
func ParseHash(s string) (Hash, error) {
	var h Hash
	if len(s) != 2*len(h) {
		return Hash{}, malformed("a digest of %d characters", len(s))
	}
	if _, err := hex.Decode(h[:], []byte(s)); err != nil || h.String() != s {
		return Hash{}, malformed("digest %.80q", s)
	}
	return h, nil
}

// marshal writes v as one line of JSON without a line feed. HTML characters are
// not escaped, so that a second implementation need not know Go's habit.
func marshal(v any) ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n")), nil
}

// parse reads one JSON value into v, a pointer to a zero value, and accepts it
// only when marshalling gives the same bytes again: encoding/json alone takes
// keys in other case, repeated and unknown keys, and any white space.
func parse(data []byte, v any) error {
	if err := json.Unmarshal(data, v); err != nil {
		return malformed("%s", err)
	}
	again, err := marshal(v)
	if err != nil {
		return malformed("%s", err)
	}
	if !bytes.Equal(again, data) {
		return malformed("not in canonical form")
	}
	return nil
}

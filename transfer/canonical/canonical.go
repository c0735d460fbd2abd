// Package canonical is the one form that small JSON documents have: compact, in
// the order of a struct's fields, ended by a line feed. Only the very bytes that
// Marshal writes are read again, so two programs cannot read one document in two
// ways. It knows no document and does no I/O.
//
// Texts are escaped as encoding/json does, with < and & as \u003c and \u0026. The
// documents of package manifest, which other programs write too, do without.
package canonical

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

// ErrForm means that bytes say something, but not in the canonical form.
var ErrForm = errors.New("not in canonical form")

// Marshal gives the canonical form of v.
func Marshal(v any) ([]byte, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	return append(data, '\n'), nil
}

// Parse reads the canonical form, of at most limit bytes, into *v, a zero struct
// that marshals by its fields. encoding/json accepts keys of another case,
// repeated keys, unknown keys, other base64 and more; none of these come out again
// as they went in. After an error *v is not to be used.
func Parse[T any](data []byte, v *T, limit int) error {
	if len(data) > limit {
		return fmt.Errorf("%d bytes are more than %d", len(data), limit)
	}
	if err := json.Unmarshal(data, v); err != nil {
		return err
	}
	again, err := Marshal(v)
	if err != nil {
		return err
	}
	if !bytes.Equal(again, data) {
		return ErrForm
	}
	return nil
}

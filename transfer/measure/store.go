package measure

import (
	"fmt"
	"io"
	"os"

	"sekisho/transfer/durable"
)

// Save puts the list at path, readable for everyone (0644 before umask), in the
// place of an earlier one. When it returns nil the list is on disk, as Marshal
// gives it.
//
// It comes before the register is extended: a register extended by a list that
// a power cut took could not be explained until the machine starts again,
// whereas a list whose register is not extended yet is simply extended.
func Save(path string, l *List) error {
	data, err := l.Marshal()
	if err != nil {
		return fmt.Errorf("keeping what was measured: %w", err)
	}
	if err := durable.Replace(path, data, 0o644); err != nil {
		return fmt.Errorf("keeping what was measured: %w", err)
	}
	return nil
}

// Load reads what Save wrote. The error is fs.ErrNotExist when nothing was
// measured, and ErrMalformed when the file holds something else. Whether the
// list is of this start of the machine only its register says.
func Load(path string) (*List, error) {
	data, err := readBounded(path, MaxList)
	if err != nil {
		return nil, fmt.Errorf("reading what was measured: %w", err)
	}
	l, err := Parse(data)
	if err != nil {
		return nil, fmt.Errorf("reading what was measured: %q: %w", path, err)
	}
	return l, nil
}

// readBounded reads a file of at most limit bytes. It does not trust the file's
// stated size: the kernel's own files say 0.
func readBounded(path string, limit int64) (data []byte, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err = io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("%w: %q has more than %d bytes", ErrMalformed, path, limit)
	}
	return data, nil
}

package console

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"sekisho/transfer/durable"
)

// ReadFile reads a file that the command line names, of at most limit bytes.
// That it is not there, or cannot be what was meant, is a usage error.
func ReadFile(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, &UsageError{err}
	}
	defer f.Close()
	if st, err := f.Stat(); err == nil && !st.Mode().IsRegular() {
		return nil, Usagef("%q is not a file", path)
	}
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > limit {
		return nil, Usagef("%q is larger than it may be: %d bytes", path, limit)
	}
	return data, nil
}

// WriteNew writes a file that the command line names; it is on disk when it
// returns nil. It never replaces one.
func WriteNew(path string, data []byte, perm fs.FileMode) error {
	err := durable.WriteNew(path, data, perm)
	switch {
	case errors.Is(err, fs.ErrExist):
		return Usagef("%q is there already; nothing was overwritten", path)
	case errors.Is(err, fs.ErrNotExist):
		return Usagef("the folder of %q does not exist", path)
	case err != nil:
		return fmt.Errorf("writing %q: %w", path, err)
	}
	return nil
}

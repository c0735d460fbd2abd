package approval

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"sekisho/transfer/durable"
)

// entries lists the valid IDs of which dir has a file <id>.<kind>; files of the
// other kinds may lie beside them. What interrupted writers left is passed over, and so
// are folders; anything else is an error that names it. A folder that is not
// there is empty.
func entries(dir string, valid func(id string) bool, kind string, others ...string) ([]string, error) {
	all, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var ids []string
	for _, e := range all {
		if e.IsDir() || strings.HasSuffix(e.Name(), durable.Suffix) {
			continue
		}
		id, of, _ := strings.Cut(e.Name(), ".")
		if !valid(id) || of != kind && !slices.Contains(others, of) {
			return nil, fmt.Errorf("%q does not belong here", filepath.Join(dir, e.Name()))
		}
		if of == kind {
			ids = append(ids, id)
		}
	}
	return ids, nil
}

// readFile reads a regular file of at most limit bytes.
func readFile(path string, limit int) ([]byte, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%q is not a regular file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, int64(limit)+1))
	if err == nil && len(data) > limit {
		err = fmt.Errorf("%q has more than %d bytes", path, limit)
	}
	if err != nil {
		return nil, err
	}
	return data, nil
}

// present says whether there is anything of that name. Not knowing is an error.
func present(path string) (bool, error) {
	_, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

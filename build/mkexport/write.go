package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"time"
)

// tally counts what a run did, in files; files is what the export holds now.
type tally struct{ files, written, renamed, removed int }

// write makes dir hold exactly the export e beside whatever else was put there
// by hand. dir is new, empty, or holds an earlier night of the same hospital,
// of which only the differences are carried out: an unchanged file keeps its
// inode, as it would on a real share. After an error dir holds a mixture
// without a log, which is refused from then on.
func write(ctx context.Context, dir string, e export) (tally, error) {
	var done tally
	old, err := held(dir, e)
	if err != nil {
		return done, err
	}
	items, err := e.plan()
	if err != nil {
		return done, err
	}
	if len(old) > 0 {
		if err := os.Remove(filepath.Join(dir, logName)); err != nil {
			return done, err
		}
	}
	planned := make(map[string]bool, len(items))
	for _, it := range items {
		planned[it.path] = true
	}
	before := make(map[string]item, len(old)) // by path
	leaving := make(map[string]string)        // paths that must go, by their content
	var gone []string
	for _, it := range old {
		before[it.path] = it
		if !planned[it.path] {
			leaving[it.key] = it.path
			gone = append(gone, it.path)
		}
	}
	buf := bufio.NewWriterSize(nil, 64<<10)
	for _, it := range items {
		if err := ctx.Err(); err != nil {
			return done, err
		}
		was, existed := before[it.path]
		from, moved := leaving[it.key]
		switch {
		case existed && was.key == it.key:
		case !existed && moved:
			if err := move(dir, from, it.path); err != nil {
				return done, err
			}
			delete(leaving, it.key)
			done.renamed++
		default:
			if err := it.writeTo(dir, buf); err != nil {
				return done, err
			}
			done.written++
		}
	}
	for _, p := range leaving {
		if err := os.Remove(filepath.Join(dir, filepath.FromSlash(p))); err != nil {
			return done, err
		}
		done.removed++
	}
	if err := prune(dir, gone); err != nil {
		return done, err
	}
	log := e.log()
	if err := log.writeTo(dir, buf); err != nil {
		return done, err
	}
	done.files = len(items) + 1
	return done, setFolderTimes(dir, append(items, log))
}

// held returns the plan of the earlier night that dir holds, nil when dir is
// empty or new. Any other content is an error: it is somebody's data.
func held(dir string, e export) ([]item, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	names, err := os.ReadDir(dir)
	if err != nil || len(names) == 0 {
		return nil, err
	}
	log, err := os.ReadFile(filepath.Join(dir, logName))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for n := 1; n < e.night; n++ {
		earlier := e
		earlier.night = n
		var b bytes.Buffer
		if err := earlier.log().write(&b); err != nil {
			return nil, err
		}
		if bytes.Equal(b.Bytes(), log) {
			return earlier.plan()
		}
	}
	return nil, fmt.Errorf("%q is not empty and holds no night of %s before %d with seed %d", dir, e.name, e.night, e.seed)
}

// writeTo writes the file through w, whose target it sets.
func (it item) writeTo(dir string, w *bufio.Writer) error {
	name := filepath.Join(dir, filepath.FromSlash(it.path))
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	w.Reset(f)
	if err := errors.Join(it.write(w), w.Flush(), f.Close()); err != nil {
		return fmt.Errorf("writing %q: %w", it.path, err)
	}
	return os.Chtimes(name, it.mtime, it.mtime)
}

func move(dir, from, to string) error {
	target := filepath.Join(dir, filepath.FromSlash(to))
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return err
	}
	return os.Rename(filepath.Join(dir, filepath.FromSlash(from)), target)
}

// prune removes the folders in which nothing is left after files went.
func prune(dir string, gone []string) error {
	for _, g := range gone {
		for p := path.Dir(g); p != "."; p = path.Dir(p) {
			err := os.Remove(filepath.Join(dir, filepath.FromSlash(p)))
			if errors.Is(err, fs.ErrExist) { // not empty
				break
			}
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	return nil
}

// setFolderTimes gives every folder the time of the newest file below it.
func setFolderTimes(dir string, items []item) error {
	newest := make(map[string]time.Time)
	for _, it := range items {
		for p := path.Dir(it.path); ; p = path.Dir(p) {
			if it.mtime.After(newest[p]) {
				newest[p] = it.mtime
			}
			if p == "." {
				break
			}
		}
	}
	for p, t := range newest {
		if err := os.Chtimes(filepath.Join(dir, filepath.FromSlash(p)), t, t); err != nil {
			return err
		}
	}
	return nil
}

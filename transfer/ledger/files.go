package ledger

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"sekisho/transfer/durable"
)

// The names in a ledger's folder. See FORMAT.md.
const (
	recordsName = "records.jsonl"
	historyName = "checkpoints"
	nextName    = "next"

	maxNext = 64 << 20 // what one commit may add, in bytes
)

// files is a ledger's folder, owned for writing by this process.
type files struct {
	dir     string
	records *os.File
	history *os.File
	*state
	err error // set when disk and memory may differ
}

// openFiles opens or begins the folder's files, and takes them for this process.
func openFiles(dir string, begin []byte) (f *files, err error) {
	records, history := filepath.Join(dir, recordsName), filepath.Join(dir, historyName)
	st, err := os.Stat(records)
	_, herr := os.Stat(history)
	switch {
	case errors.Is(err, fs.ErrNotExist) && errors.Is(herr, fs.ErrNotExist):
		if err := durable.Mkdir(dir, 0o700); err != nil {
			return nil, err
		}
		if err := durable.WriteNew(records, nil, 0o600); err != nil {
			return nil, err
		}
		fallthrough
	case err == nil && st.Size() == 0 && errors.Is(herr, fs.ErrNotExist): // begun, interrupted
		if err := durable.WriteNew(history, begin, 0o600); err != nil {
			return nil, err
		}
	}
	f = &files{dir: dir}
	if f.records, err = openHalf(records); err == nil {
		f.history, err = openHalf(history)
	}
	if err == nil {
		// Two writers would sign two pasts. The kernel lets go when the process ends.
		err = syscall.Flock(int(f.records.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if errors.Is(err, syscall.EWOULDBLOCK) {
			err = &durable.HeldError{Dir: dir}
		}
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// openExamined opens the folder, verifies it and completes what was interrupted.
func openExamined(dir string, keys *ring, begin []byte) (*files, error) {
	f, err := openFiles(dir, begin)
	if err != nil {
		return nil, err
	}
	if f.state, err = examine(dir, keys, nil); err == nil {
		err = f.recover()
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// openHalf opens one of the two files that only exist together.
func openHalf(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|syscall.O_NOFOLLOW, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, gone(filepath.Base(path))
	}
	return f, err
}

func gone(name string) *Fault {
	what := Missing
	if name == historyName {
		what = Headless
	}
	return &Fault{What: what, Detail: fmt.Sprintf("there is no file %q", name)}
}

// Close gives the folder up.
func (f *files) Close() error {
	var err error
	for _, file := range []*os.File{f.records, f.history} {
		if file != nil {
			err = errors.Join(err, file.Close())
		}
	}
	return err
}

// recover completes an interrupted commit, which its signature proves was ours.
func (f *files) recover() error {
	if f.next == nil {
		return nil
	}
	if f.next.first == f.tree.size {
		return f.finish(f.next)
	}
	return durable.Remove(filepath.Join(f.dir, nextName))
}

// commit appends n, whose tree hash its checkpoint holds:
//
//	next.part: write, fsync; rename to next; fsync(dir)       from here on it will be there
//	records.jsonl: truncate, write, fsync
//	checkpoints: truncate, write, fsync
//	next: unlink; fsync(dir)
//
// After an error the files may hold n or not, and are not written again before
// they were opened again: a failed fsync is not retried.
func (f *files) commit(n *next) error {
	if f.err != nil {
		return fmt.Errorf("ledger must be opened again after: %w", f.err)
	}
	whole := append(bytes.Clone(n.lines), n.block.text...)
	if len(whole) > maxNext {
		return fmt.Errorf("%d bytes of records in one step: at most %d", len(whole), maxNext)
	}
	err := durable.Replace(filepath.Join(f.dir, nextName), whole, 0o600)
	if err == nil {
		err = f.finish(n)
	}
	f.err = err
	return err
}

func (f *files) finish(n *next) error {
	if err := put(f.records, f.recordsEnd, n.lines); err != nil {
		return err
	}
	if err := put(f.history, f.historyEnd, n.block.text); err != nil {
		return err
	}
	if err := durable.Remove(filepath.Join(f.dir, nextName)); err != nil {
		return err
	}
	f.recordsEnd += int64(len(n.lines))
	f.historyEnd += int64(len(n.block.text))
	f.tree, f.head, f.next = n.tree, n.block, nil
	return nil
}

// put makes b what the file holds from offset on.
func put(file *os.File, offset int64, b []byte) error {
	if err := file.Truncate(offset); err != nil {
		return err
	}
	if _, err := file.WriteAt(b, offset); err != nil {
		return err
	}
	return file.Sync()
}

package scan

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// signatureTypes are the files clamd loads. A folder of definitions may hold
// others (freshclam's notes); they are passed over.
var signatureTypes = strings.Fields(`.cvd .cld .cud .cdb .cbc .crb .cfg .fp .sfp .ftm .gdb .hdb .hdu .hsb .hsu
	.idb .ign .ign2 .imp .info .ldb .ldu .mdb .mdu .msb .msu .ndb .ndu .pdb .pwdb .wdb .zmd .rmd`)

// installSignatures copies the built-in signatures and the customers' (files,
// or folders without their subfolders) into dir, which clamd loads as a whole.
func installSignatures(dir string, builtin fs.FS, paths []string) (Definitions, error) {
	d := Definitions{Engine: clamdName, Demonstration: len(paths) == 0}
	names, err := fs.Glob(builtin, "clamav/*")
	if err != nil {
		return d, fmt.Errorf("clamd: %w", err)
	}
	for _, name := range names {
		f, err := builtin.Open(name)
		if err == nil {
			err = d.install(dir, path.Base(name), f, time.Time{})
		}
		if err != nil {
			return d, fmt.Errorf("clamd: %w", err)
		}
	}
	for _, root := range paths {
		files := []string{root}
		if info, err := os.Stat(root); err != nil {
			return d, fmt.Errorf("clamd: %w", err)
		} else if info.IsDir() {
			if files, err = signaturesIn(root); err != nil {
				return d, fmt.Errorf("clamd: %w", err)
			}
		}
		for _, name := range files {
			if err := d.installFile(dir, name); err != nil {
				return d, fmt.Errorf("clamd: %w", err)
			}
		}
	}
	if len(d.Files) == 0 {
		return d, fmt.Errorf("clamd: no definitions")
	}
	d.finish()
	return d, nil
}

func signaturesIn(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var files []string
	for _, e := range entries {
		if !e.IsDir() && slices.Contains(signatureTypes, filepath.Ext(e.Name())) {
			files = append(files, filepath.Join(dir, e.Name()))
		}
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("no definitions in %q", dir)
	}
	return files, nil
}

func (d *Definitions) installFile(dir, name string) error {
	if !slices.Contains(signatureTypes, filepath.Ext(name)) {
		return fmt.Errorf("%q is not a kind of definitions that clamd loads", name)
	}
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%q is not a regular file", name)
	}
	if err != nil {
		f.Close()
		return err
	}
	return d.install(dir, filepath.Base(name), f, info.ModTime().UTC())
}

// install copies f, which it closes, hashing what it copies: the listing is of
// the bytes clamd gets, whatever becomes of the original.
func (d *Definitions) install(dir, name string, f fs.File, made time.Time) error {
	defer f.Close()
	out, err := os.OpenFile(filepath.Join(dir, name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return fmt.Errorf("installing %q: %w", name, err) // two of one name must not hide each other
	}
	h := sha256.New()
	head := make([]byte, 0, cvdHeader)
	n, err := io.Copy(io.MultiWriter(out, h, &headWriter{&head}), f)
	if cerr := out.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("installing %q: %w", name, err)
	}
	if t, ok := cvdTime(head); ok {
		made = t
	}
	d.Files = append(d.Files, DefinitionFile{Name: name, Size: n, SHA256: Sum(h.Sum(nil)), Time: made})
	return nil
}

// headWriter keeps the first bytes, up to the slice's capacity.
type headWriter struct{ head *[]byte }

func (w *headWriter) Write(p []byte) (int, error) {
	room := cap(*w.head) - len(*w.head)
	*w.head = append(*w.head, p[:min(room, len(p))]...)
	return len(p), nil
}

// cvdHeader is the length of the header of ClamAV's own containers.
const cvdHeader = 512

// cvdTime reads the time a .cvd or .cld was made: its header is
// "ClamAV-VDB:22 Nov 2025 04-20 -0500:27000:…".
func cvdTime(head []byte) (time.Time, bool) {
	rest, ok := bytes.CutPrefix(head, []byte("ClamAV-VDB:"))
	if !ok {
		return time.Time{}, false
	}
	field, _, _ := bytes.Cut(rest, []byte(":"))
	t, err := time.Parse("02 Jan 2006 15-04 -0700", string(field))
	return t.UTC(), err == nil
}

// Package hostile writes files that a transfer must detect, refuse or bear,
// and says of each what is expected.
//
// Nothing here harms: the one "virus" is the EICAR test file, programs have no
// code, encrypted files hold nothing. Only a scanner's verdict is at stake.
// Files that change while they are read are not here, as no folder can hold one.
package hostile

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// What a transfer is expected to say of a path.
const (
	Clean       = "clean"       // carried
	Detected    = "detected"    // a finding
	Unscannable = "unscannable" // encrypted, damaged or over a limit: never clean
	Refused     = "refused"     // not a file: never opened or followed, and reported
)

// Which part of the transfer is expected to say it.
const (
	ByPattern = "pattern" // an antivirus signature
	ByLimits  = "limits"  // bounds on size, depth, entries, ratio; encryption; damage
	ByType    = "type"    // the file type policy
	BySource  = "source"  // the reader of the tree
	ByGuard   = "guard"   // clean for itself, but the ransomware guard counts it
	ByNobody  = "nobody"  // nothing is to be said
)

// Case is one line of the list of expectations. Its JSON has the path's bytes
// in base64, since not every name is UTF-8, and quoted for people.
type Case struct {
	Case    string `json:"case"`
	Path    []byte `json:"path"` // relative to the folder, with slashes
	Quoted  string `json:"quoted"`
	Verdict string `json:"verdict"`
	By      string `json:"by"`
	Why     string `json:"why"`
}

// sample is a case and how its file is made.
type sample struct {
	name, path, verdict, by, why string
	make                         func(path string) error
}

// Write fills dir, which must be new or empty, and writes the expectations to
// the file expect outside of it. With sparse it adds files around 2 GiB and of
// 5 GiB, which take up no space. Bytes and times are the same at each run.
// A device is left out where the process may not make one.
func Write(dir, expect string, sparse bool) error {
	if err := outside(dir, expect); err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if names, err := os.ReadDir(dir); err != nil {
		return err
	} else if len(names) > 0 {
		return fmt.Errorf("%q is not empty", dir)
	}
	samples := append(malware(), archives()...)
	samples = append(samples, types()...)
	samples = append(samples, names()...)
	samples = append(samples, special()...)
	if sparse {
		samples = append(samples, large()...)
	}

	f, err := os.Create(expect)
	if err != nil {
		return err
	}
	defer f.Close()
	lines := json.NewEncoder(f)
	for _, s := range samples {
		path := filepath.Join(dir, s.path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := s.make(path); s.name == "device" && errors.Is(err, unix.EPERM) {
			continue
		} else if err != nil {
			return fmt.Errorf("making %q: %w", s.path, err)
		}
		if err := lines.Encode(Case{s.name, []byte(s.path), strconv.Quote(s.path), s.verdict, s.by, s.why}); err != nil {
			return err
		}
	}
	if err := setTimes(dir); err != nil {
		return err
	}
	return f.Close()
}

func outside(dir, file string) error {
	d, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	f, err := filepath.Abs(file)
	if err != nil {
		return err
	}
	rel, err := filepath.Rel(d, f)
	if err != nil {
		return err
	}
	if rel != ".." && !strings.HasPrefix(rel, "../") {
		return fmt.Errorf("the expectations %q must not lie in %q", file, dir)
	}
	return nil
}

// made is when everything here was made.
var made = time.Date(2026, time.April, 6, 12, 0, 0, 0, time.UTC)

func setTimes(dir string) error {
	t := unix.NsecToTimespec(made.UnixNano())
	return filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return unix.UtimesNanoAt(unix.AT_FDCWD, path, []unix.Timespec{t, t}, unix.AT_SYMLINK_NOFOLLOW)
	})
}

// content makes a file of fixed bytes.
func content(b []byte) func(string) error {
	return func(path string) error { return os.WriteFile(path, b, 0o644) }
}

// built makes a file of bytes that are expensive or may fail to be made.
func built(build func() ([]byte, error)) func(string) error {
	return func(path string) error {
		b, err := build()
		if err != nil {
			return err
		}
		return os.WriteFile(path, b, 0o644)
	}
}

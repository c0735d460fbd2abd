package manifest

import (
	"encoding/base64"
	"slices"
	"strings"
	"time"
)

// Limits of the index. They bound a reader's memory, not what a hospital has.
const (
	MaxPath     = 32 << 10  // bytes of a path
	MaxName     = 1 << 10   // bytes of one name in it
	MaxFindings = 32        // findings of one file; further ones are not listed
	MaxLine     = 128 << 10 // bytes of a line and its end: no valid entry needs more
)

// Path is a path as bytes: two Shift_JIS names must not both become U+FFFD.
// Its components are separated by slashes. In JSON it is standard base64.
type Path string

// MarshalText implements encoding.TextMarshaler.
func (p Path) MarshalText() ([]byte, error) {
	return base64.StdEncoding.AppendEncode(nil, []byte(p)), nil
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (p *Path) UnmarshalText(text []byte) error {
	raw, err := base64.StdEncoding.Strict().DecodeString(string(text))
	if err != nil {
		return malformed("a path that is not base64")
	}
	*p = Path(raw)
	return nil
}

// Valid says whether p can be extracted below a folder and nowhere else: it is
// relative, has no empty, "." or ".." component and no NUL.
func (p Path) Valid() bool {
	if len(p) > MaxPath || strings.IndexByte(string(p), 0) >= 0 {
		return false
	}
	for name := range strings.SplitSeq(string(p), "/") {
		if name == "" || name == "." || name == ".." || len(name) > MaxName {
			return false
		}
	}
	return true
}

// Parent is the folder p is in, "" for the top.
func (p Path) Parent() Path {
	if i := strings.LastIndexByte(string(p), '/'); i >= 0 {
		return p[:i]
	}
	return ""
}

// Compare orders paths as a walk of the tree meets them: names bytewise inside
// a folder, a folder before what is in it. That is the bytewise order with the
// slash below every other byte.
func (p Path) Compare(q Path) int {
	n := min(len(p), len(q))
	for i := range n {
		if p[i] == q[i] {
			continue
		}
		switch {
		case p[i] == '/':
			return -1
		case q[i] == '/':
			return 1
		case p[i] < q[i]:
			return -1
		}
		return 1
	}
	return len(p) - len(q)
}

// Type says what an entry is.
type Type string

// The types of an entry. Other is what is never carried (a symbolic link, a
// FIFO, a device, an unreadable folder); it is listed so that nothing is silent.
const (
	File   Type = "file"
	Folder Type = "folder"
	Other  Type = "other"
)

// Verdicts in the words of the index, as package scan spells them.
const (
	Clean       = "clean"
	Detected    = "detected"
	Unscannable = "unscannable"
	Exempt      = "exempt"
)

// Verdicts lists all four in the order in which counts are given.
var Verdicts = []string{Clean, Detected, Unscannable, Exempt}

// Finding is something an engine said of a file.
type Finding struct {
	Engine string `json:"engine"`
	Name   string `json:"name"`
	Where  string `json:"where,omitempty"` // inside the file; empty for the whole
}

// Entry is one line of the index: a file or folder of the source, carried or not.
type Entry struct {
	Path     Path      `json:"path"`
	Type     Type      `json:"type"`
	Size     int64     `json:"size"`               // bytes; 0 for folders
	ModTime  time.Time `json:"mtime"`              // UTC, to the nanosecond
	SHA256   *Hash     `json:"sha256,omitempty"`   // files whose content was read
	Verdict  string    `json:"verdict,omitempty"`  // all but folders
	Findings []Finding `json:"findings,omitempty"` // why it is not clean, or what was exempted
	Part     int       `json:"part,omitempty"`     // the part its tar header is in, from 1; 0: not carried
	Offset   int64     `json:"offset,omitempty"`   // of that header in the part's plaintext, bytes
}

// Carried says whether the bytes of e are in the bag.
func (e *Entry) Carried() bool { return e.Part > 0 }

// Check says what of e alone cannot be; order and place are IndexReader's.
func (e *Entry) Check() error {
	switch {
	case !e.Path.Valid():
		return malformed("a path of %d bytes that cannot be extracted", len(e.Path))
	case e.Size < 0, e.Part < 0, e.Part > MaxParts, e.Offset < 0, e.Offset%Block != 0:
		return malformed("size %d, part %d, offset %d", e.Size, e.Part, e.Offset)
	case e.Part == 0 && e.Offset != 0:
		return malformed("an offset in no part")
	case !validTime(e.ModTime):
		return malformed("time %v", e.ModTime)
	case len(e.Findings) > MaxFindings:
		return malformed("%d findings", len(e.Findings))
	}
	for _, f := range e.Findings {
		if !validText(f.Engine, MaxText) || !validText(f.Name, MaxText) || f.Where != "" && !validText(f.Where, MaxText) {
			return malformed("finding %.80q of %.80q", f.Name, f.Engine)
		}
	}
	switch e.Type {
	case File:
		return e.checkFile()
	case Folder:
		if e.Size != 0 || e.SHA256 != nil || e.Verdict != "" || len(e.Findings) > 0 || !e.Carried() {
			return malformed("a folder with more than a name, or not carried")
		}
	case Other:
		if e.Verdict != Unscannable || e.SHA256 != nil || e.Carried() || len(e.Findings) == 0 {
			return malformed("no file and no folder, and not left out as that")
		}
	default:
		return malformed("type %.80q", e.Type)
	}
	return nil
}

func (e *Entry) checkFile() error {
	switch {
	case !slices.Contains(Verdicts, e.Verdict):
		return malformed("verdict %.80q", e.Verdict)
	case e.Carried() != (e.Verdict == Clean || e.Verdict == Exempt):
		return malformed("a file that is %s in part %d", e.Verdict, e.Part)
	case e.Carried() && e.SHA256 == nil:
		return malformed("a file carried without a digest")
	case (e.Verdict == Clean) != (len(e.Findings) == 0):
		return malformed("a file that is %s with %d findings", e.Verdict, len(e.Findings))
	}
	return nil
}

// Timestamp is t as an entry can hold it: UTC, between the first moment of
// Windows's clock and the last that RFC 3339 can write. A time beyond them is
// moved to the nearest.
func Timestamp(t time.Time) time.Time {
	first := time.Date(1601, 1, 1, 0, 0, 0, 0, time.UTC)
	last := time.Date(9999, 12, 31, 23, 59, 59, 999_999_999, time.UTC)
	switch t = t.UTC().Round(0); {
	case t.Before(first):
		return first
	case t.After(last):
		return last
	}
	return t
}

// validTime says whether t is as a document holds it.
func validTime(t time.Time) bool { return t.Equal(Timestamp(t)) && t.Location() == time.UTC }

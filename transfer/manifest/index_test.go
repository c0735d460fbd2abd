package manifest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
)

// at places an entry in the tar stream.
func at(e *Entry, part int, offset int64) *Entry {
	e.Part, e.Offset = part, offset
	return e
}

func indexOf(t testing.TB, entries ...*Entry) []byte {
	t.Helper()
	var buf bytes.Buffer
	w, err := NewIndexWriter(&buf, transferID)
	must(t, err)
	for _, e := range entries {
		must(t, w.Write(e))
	}
	return buf.Bytes()
}

// rawIndex is like indexOf and checks nothing.
func rawIndex(entries ...*Entry) []byte {
	data := line(indexHeader{indexFormat, transferID})
	for _, e := range entries {
		data = append(data, line(e)...)
	}
	return data
}

func readIndex(data io.Reader, transfer string) (entries []*Entry, err error) {
	r, err := NewIndexReader(data, transfer)
	if err != nil {
		if r != nil {
			return nil, errors.New("a reader with an error")
		}
		return nil, err
	}
	for {
		e, err := r.Next()
		if err == io.EOF {
			return entries, nil
		}
		if err != nil {
			if e != nil {
				return nil, errors.New("an entry with an error")
			}
			return entries, err
		}
		entries = append(entries, e)
	}
}

func TestIndexComesBack(t *testing.T) {
	in := []*Entry{
		folderEntry("a"), leftOut("a/b"), at(fileEntry("a/\x8e\xd0"), 1, 512), at(folderEntry("a b"), 1, 2048),
		otherEntry("link"), at(fileEntry("z"), 2, 0), at(fileEntry("zz"), 9, 0),
	}
	data := indexOf(t, in...)
	if !bytes.Equal(data, rawIndex(in...)) {
		t.Fatal("the writer writes something else than the lines")
	}
	out, err := readIndex(bytes.NewReader(data), transferID)
	must(t, err)
	if again := indexOf(t, out...); !bytes.Equal(again, data) || len(out) != len(in) {
		t.Errorf("%s became %s", data, again)
	}
	for n := range len(data) {
		cut, err := readIndex(bytes.NewReader(data[:n]), transferID)
		if whole := n > 0 && data[n-1] == '\n'; (err == nil) != whole {
			t.Errorf("cut at %d of %d: %d entries, %v", n, len(data), len(cut), err)
		}
	}
}

func TestIndexOrder(t *testing.T) {
	for _, c := range []struct {
		name, want string
		bad        int // the line that is refused, from 1
		entries    []*Entry
	}{
		{"twice", "out of order", 2, []*Entry{fileEntry("a"), at(fileEntry("a"), 1, 1024)}},
		{"folder and file of one name", "out of order", 2, []*Entry{folderEntry("a"), at(fileEntry("a"), 1, 1024)}},
		{"backwards", "out of order", 2, []*Entry{fileEntry("b"), at(fileEntry("a"), 1, 1024)}},
		{"plain byte order", "out of order", 3, []*Entry{folderEntry("a"), at(fileEntry("a!"), 1, 512), at(fileEntry("a/b"), 1, 1536)}},
		{"parent missing", "not listed", 1, []*Entry{fileEntry("a/b")}},
		{"grandparent missing", "not listed", 2, []*Entry{folderEntry("a"), at(fileEntry("a/b/c"), 1, 512)}},
		{"parent of another name", "not listed", 2, []*Entry{folderEntry("a"), at(fileEntry("ab/c"), 1, 512)}},
		{"parent left behind", "out of order", 3, []*Entry{folderEntry("a"), at(folderEntry("b"), 1, 512), at(fileEntry("a/x"), 1, 1024)}},
		{"file as parent", "not listed", 2, []*Entry{fileEntry("a"), at(fileEntry("a/b"), 1, 1024)}},
		{"left-out file as parent", "not listed", 2, []*Entry{leftOut("a"), fileEntry("a/b")}},
		{"link as parent", "not listed", 2, []*Entry{otherEntry("a"), fileEntry("a/b")}},
		{"same place", "no header", 2, []*Entry{fileEntry("a"), fileEntry("b")}},
		{"place before", "no header", 3, []*Entry{fileEntry("a"), at(fileEntry("b"), 1, 1024), at(fileEntry("c"), 1, 512)}},
		{"part before", "no header", 2, []*Entry{at(fileEntry("a"), 2, 0), at(fileEntry("b"), 1, 512)}},
		{"part not begun at 0", "no header", 1, []*Entry{at(fileEntry("a"), 1, 512)}},
		{"next part not begun at 0", "no header", 2, []*Entry{fileEntry("a"), at(fileEntry("b"), 2, 512)}},
		{"entry that cannot be", "size", 2, []*Entry{fileEntry("a"), {Path: "b", Type: File, Size: -1, ModTime: evening}}},
	} {
		got, err := readIndex(bytes.NewReader(rawIndex(c.entries...)), transferID)
		if want := fmt.Sprintf("line %d:", c.bad); !errors.Is(err, ErrMalformed) || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), want) || len(got) != c.bad-1 {
			t.Errorf("%s: read %d, %v", c.name, len(got), err)
		}
		var buf bytes.Buffer
		w, err := NewIndexWriter(&buf, transferID)
		must(t, err)
		for i, e := range c.entries {
			before := buf.Len()
			if err := w.Write(e); (i+1 == c.bad) != errors.Is(err, ErrMalformed) || err != nil && buf.Len() != before {
				t.Errorf("%s: writing line %d: %v, %d bytes", c.name, i+1, err, buf.Len()-before)
			}
			if i+1 == c.bad {
				break
			}
		}
	}
}

func TestIndexHeader(t *testing.T) {
	good := string(indexOf(t, fileEntry("a")))
	for name, bad := range map[string]string{
		"empty":            "",
		"no end":           strings.TrimSuffix(string(rawIndex()), "\n"),
		"another transfer": strings.Replace(good, "000042", "000041", 1),
		"another version":  strings.Replace(good, "index/1", "index/2", 1),
		"no header":        string(line(fileEntry("a"))),
		"two headers":      string(rawIndex()) + good,
		"a byte too early": " " + good,
		"a mark":           "\ufeff" + good,
		"other line ends":  strings.ReplaceAll(good, "\n", "\r\n"),
		"an empty line":    good + "\n",
	} {
		if entries, err := readIndex(strings.NewReader(bad), transferID); !errors.Is(err, ErrMalformed) || len(entries) > 1 {
			t.Errorf("%s: %d entries, %v", name, len(entries), err)
		}
	}
	if w, err := NewIndexWriter(fullDisk{}, transferID); w != nil || err == nil {
		t.Errorf("a writer on a full disk: %v, %v", w, err)
	}
	broken := errors.New("broken")
	if _, err := readIndex(io.MultiReader(strings.NewReader(good), failing{broken}), transferID); !errors.Is(err, broken) || errors.Is(err, ErrMalformed) {
		t.Errorf("a broken reader: %v", err)
	}
}

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, errors.New("full") }

// The largest entry that is valid fits a line, so that a valid entry is never
// refused when hours of work are to be finished.
func TestLargestEntryFits(t *testing.T) {
	e := leftOut("a")
	text := strings.Repeat(`"`, MaxText)
	e.Path = Path(strings.Repeat(strings.Repeat("\xff", 1023)+"/", 31) + strings.Repeat("\xff", 1024))
	e.Size, e.ModTime = 1<<63-1, evening.Add(123456789)
	e.Findings = slices.Repeat([]Finding{{text, text, text}}, MaxFindings)
	must(t, e.Check())
	if n := len(line(e)); len(e.Path) != MaxPath || n > MaxLine {
		t.Errorf("a path of %d bytes, a line of %d", len(e.Path), n)
	}
	full := fileEntry("a")
	full.Path = e.Path
	full.Verdict, full.Findings, full.Part, full.Offset = Exempt, e.Findings, MaxParts, 1<<62
	must(t, full.Check())
	if n := len(line(full)); n > MaxLine {
		t.Errorf("a line of %d", n)
	}
}

// endless gives a prefix, and then one byte for ever; it counts what was taken.
type endless struct {
	prefix []byte
	fill   byte
	taken  int64
}

func (r *endless) Read(p []byte) (int, error) {
	n := copy(p, r.prefix)
	r.prefix = r.prefix[n:]
	if n == 0 {
		n = copy(p, bytes.Repeat([]byte{r.fill}, 1<<16))
	}
	r.taken += int64(n)
	return n, nil
}

func TestBounds(t *testing.T) {
	header := line(indexHeader{indexFormat, transferID})
	for name, c := range map[string]struct {
		read  func(io.Reader) error
		input []byte
		most  int64
	}{
		"index header": {func(r io.Reader) error { _, err := readIndex(r, transferID); return err }, nil, MaxLine},
		"index line":   {func(r io.Reader) error { _, err := readIndex(r, transferID); return err }, header, 2 * MaxLine},
		"details":      {func(r io.Reader) error { _, err := ParseDetails(r, transferID); return err }, nil, 2 * maxDetails},
	} {
		for _, fill := range []byte{'{', 'x', ' '} {
			r := &endless{prefix: c.input, fill: fill}
			if err := c.read(r); !errors.Is(err, ErrMalformed) || r.taken > c.most {
				t.Errorf("%s: %d bytes taken, %v", name, r.taken, err)
			}
		}
	}
	for _, d := range documents[:3] {
		valid, err := d.marshal(d.valid())
		must(t, err)
		huge := append(bytes.Repeat([]byte("["), d.limit+1-len(valid)), valid...)
		if v, err := d.parse(huge); v != nil || !errors.Is(err, ErrMalformed) || !strings.Contains(err.Error(), fmt.Sprintf("of %d bytes", d.limit+1)) {
			t.Errorf("%s: %v", d.name, err)
		}
	}
	// A line of exactly MaxLine bytes is read, one more is not.
	for extra := range 2 {
		spaces := MaxLine + extra - len(header)
		long := append(bytes.Repeat([]byte(" "), spaces), header...)
		_, err := NewIndexReader(bytes.NewReader(long), transferID)
		if tooLong := strings.Contains(fmt.Sprint(err), "more than"); tooLong != (extra == 1) {
			t.Errorf("%d bytes: %v", len(long), err)
		}
	}
	long := validDetails()
	long.Definitions = slices.Repeat(long.Definitions, maxDetails/200)
	if data, err := long.Marshal(); data != nil || !errors.Is(err, ErrMalformed) {
		t.Errorf("details of %d bytes are written: %v", len(data), err)
	}
	if _, err := NewIndexWriter(io.Discard, strings.Repeat("x", MaxLine)); !errors.Is(err, ErrMalformed) {
		t.Errorf("a line too long is written: %v", err)
	}
}

package manifest

import (
	"bytes"
	"encoding/hex"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden compares data with a file in testdata, or writes it there.
func golden(t *testing.T, name string, data []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		must(t, os.MkdirAll(filepath.Dir(path), 0o755))
		must(t, os.WriteFile(path, data, 0o644))
	}
	want, err := os.ReadFile(path)
	must(t, err)
	if !bytes.Equal(want, data) {
		t.Errorf("%s is not what is made now; go test -update renews it when that is meant", path)
	}
}

type headed struct {
	name  string
	entry *Entry
}

func headers() []headed {
	with := func(name, path string, change func(*Entry)) headed {
		e := fileEntry(path)
		if change != nil {
			change(e)
		}
		return headed{name, e}
	}
	deep := strings.Repeat("d", 60) + "/" + strings.Repeat("e", 60) + "/"
	return []headed{
		with("ASCII name", "EXPORT.LOG", nil),
		with("kanji name", "scan/紹介状.pdf", nil),
		with("Shift_JIS name", "scan/\x8f\xd0\x89\xee\x8f\xf3.pdf", nil),
		with("name of 100 bytes", strings.Repeat("n", 100), nil),
		with("path over 100 bytes, split by ustar", deep+"file", nil),
		with("name over 100 bytes, not split", "d/"+strings.Repeat("n", 120), nil),
		with("name of 255 bytes", strings.Repeat("n", 255), nil),
		with("path over 256 bytes", deep+deep+deep+"file", nil),
		with("size of 8 GiB - 1", "large", func(e *Entry) { e.Size = 8<<30 - 1 }),
		with("size of 8 GiB", "large", func(e *Entry) { e.Size = 8 << 30 }),
		with("nanoseconds", "ns", func(e *Entry) { e.ModTime = evening.Add(120_000_001) }),
		with("nanoseconds and a split path", deep+"ns", func(e *Entry) { e.ModTime = evening.Add(500_000_000) }),
		with("1601", "old", func(e *Entry) { e.ModTime = time.Date(1601, 1, 1, 0, 0, 0, 0, time.UTC) }),
		with("before 1970 with a fraction", "old", func(e *Entry) { e.ModTime = time.Unix(-2, 250_000_000).UTC() }),
		with("9999", "late", func(e *Entry) { e.ModTime = Timestamp(time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)) }),
		{"folder", folderEntry("999/901")},
		{"folder with a kanji name", folderEntry("^経過記録(内科)^^11506-3^経過記録^LN")},
		{"folder of 100 bytes with its slash", folderEntry(strings.Repeat("f", 99))},
		{"folder over 100 bytes", folderEntry(strings.Repeat("f", 100))},
		{"folder over 100 bytes, split", folderEntry(deep + "f")},
		with("line feed", "line\nfeed=1", nil),
		with("kanji between slashes at the 100th byte", strings.Repeat("n", 97)+"/日本/語/x", nil),
	}
}

// dump is hex.Dump with rows of zeros left out.
func dump(data []byte) string {
	var b strings.Builder
	for row := range strings.Lines(hex.Dump(data)) {
		if !strings.HasSuffix(row, "|................|\n") || strings.Trim(row[9:58], " 0") != "" {
			b.WriteString(row)
		}
	}
	return b.String()
}

func TestHeaderBytes(t *testing.T) {
	var all bytes.Buffer
	for _, h := range headers() {
		data, err := Header(h.entry)
		must(t, err)
		if len(data)%Block != 0 || len(data) < Block {
			t.Errorf("%s: %d bytes", h.name, len(data))
		}
		fmt.Fprintf(&all, "%s (%d bytes)\n%s\n", h.name, len(data), dump(data))
	}
	golden(t, "headers.txt", all.Bytes())
	if _, err := Header(&Entry{Path: "a\x00b", Type: File, ModTime: evening}); err == nil {
		t.Error("a name with NUL has a header")
	}
}

// The rule as FORMAT.md words it, written without archive/tar: a second
// implementation makes the same bytes.
func TestHeaderRule(t *testing.T) {
	entries := headers()
	r := rand.New(rand.NewPCG(1, 2))
	const letters = "ab/é日\x8e\xd0"
	for len(entries) < 3_000 {
		var p []byte
		for range 1 + r.IntN(1+r.IntN(400)) {
			p = append(p, letters[r.IntN(len(letters))])
		}
		e := fileEntry(string(p))
		if !e.Path.Valid() {
			continue
		}
		if r.IntN(3) == 0 {
			e = folderEntry(string(p))
		} else {
			e.Size = r.Int64N(1 << r.IntN(63))
		}
		e.ModTime = time.Unix(r.Int64N(1<<r.IntN(38))-11_644_473_600, int64(r.IntN(3))*r.Int64N(1e9)/2).UTC()
		if r.IntN(2) == 0 {
			e.ModTime = evening
		}
		must(t, e.Check())
		entries = append(entries, headed{string(p), e})
	}
	for _, h := range entries {
		got, err := Header(h.entry)
		must(t, err)
		if want := headerByRule(h.entry); !bytes.Equal(got, want) {
			t.Fatalf("%q, size %d, time %v:\n%swant\n%s", h.entry.Path, h.entry.Size, h.entry.ModTime, dump(got), dump(want))
		}
	}
}

// A real tar gives names, sizes and times back.
func TestHeaderForGNUTar(t *testing.T) {
	var stream bytes.Buffer
	var want []headed
	for _, h := range headers() {
		if h.entry.Size > 1<<20 {
			h.entry.Size = 0 // listed below instead
		}
		data, err := Header(h.entry)
		must(t, err)
		stream.Write(data)
		stream.Write(make([]byte, h.entry.Size+Padding(h.entry.Size)))
		want = append(want, h)
	}
	stream.Write(Trailer)
	dir := t.TempDir()
	tar := func(stdin []byte, args ...string) []byte {
		t.Helper()
		cmd := exec.Command("tar", args...)
		cmd.Stdin, cmd.Env = bytes.NewReader(stdin), append(os.Environ(), "LC_ALL=C", "TZ=UTC")
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if err != nil || strings.Contains(stderr.String(), "tar: ") && !strings.Contains(stderr.String(), "implausibly old") && !strings.Contains(stderr.String(), "in the future") {
			t.Fatalf("tar %q: %v: %s", args, err, stderr.String())
		}
		return out
	}
	tar(stream.Bytes(), "--extract", "--preserve-permissions", "--no-same-owner", "--delay-directory-restore", "--directory", dir, "--file", "-")
	for _, h := range want {
		e := h.entry
		st, err := os.Lstat(filepath.Join(dir, string(e.Path)))
		if err != nil {
			t.Errorf("%s: %v", h.name, err)
			continue
		}
		if st.IsDir() != (e.Type == Folder) || !st.IsDir() && st.Size() != e.Size {
			t.Errorf("%s: %v of %d bytes", h.name, st.Mode(), st.Size())
		}
		// The times that this machine's disk can hold at all; the listing has the others.
		if year := e.ModTime.Year(); year > 1901 && year < 2200 && !st.ModTime().Equal(e.ModTime) {
			t.Errorf("%s: time %v, want %v", h.name, st.ModTime().UTC(), e.ModTime)
		}
		if mode := st.Mode().Perm(); mode != 0o644 && !st.IsDir() || mode != 0o755 && st.IsDir() {
			t.Errorf("%s: mode %v", h.name, mode)
		}
	}
	for _, h := range headers() {
		data, err := Header(h.entry)
		must(t, err)
		if h.entry.Size > 1<<20 { // not with its content
			data = append(data, make([]byte, 1<<20)...)
		} else {
			data = append(data, make([]byte, h.entry.Size+Padding(h.entry.Size))...)
			data = append(data, Trailer...)
		}
		cmd := exec.Command("tar", "--list", "--verbose", "--full-time", "--numeric-owner", "--quoting-style=literal", "--file", "-")
		cmd.Stdin, cmd.Env = bytes.NewReader(data), append(os.Environ(), "LC_ALL=C", "TZ=UTC")
		out, _ := cmd.Output() // what was cut off above is an error after the line
		stamp := strings.TrimSuffix(strings.TrimRight(h.entry.ModTime.Format("2006-01-02 15:04:05.000000000"), "0"), ".")
		if h.entry.ModTime.Unix() < 0 && h.entry.ModTime.Nanosecond() != 0 {
			stamp = "" // extracted right, above, and shown wrong by tar
		}
		want := strings.TrimSpace(fmt.Sprintf("0/0 %d %s", h.entry.Size, stamp))
		if got := strings.Join(strings.Fields(string(out)), " "); !strings.Contains(got, want) {
			t.Errorf("%s: tar lists %q without %q", h.name, got, want)
		}
	}
}

func TestPadding(t *testing.T) {
	for size, want := range map[int64]int64{0: 0, 1: 511, 511: 1, 512: 0, 513: 511, 1<<63 - 1: 1} {
		if got := Padding(size); got != want {
			t.Errorf("%d: %d", size, got)
		}
	}
	if len(Trailer) != 1024 || !bytes.Equal(Trailer, make([]byte, 1024)) {
		t.Error("the trailer is not two blocks of zeros")
	}
}

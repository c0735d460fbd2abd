package sheet

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode"

	"filippo.io/age"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newKey(t *testing.T) string {
	t.Helper()
	id, err := age.GenerateHybridIdentity()
	must(t, err)
	return id.String()
}

func sheetOf(t *testing.T, gate, key string) []byte {
	t.Helper()
	data, err := Recovery{Gate: gate, Made: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC), Key: key, Recipient: "3F2A-11C0-22AA-9001"}.PDF()
	must(t, err)
	return data
}

// tool runs a program on a PDF and returns what it says.
func tool(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil && !bytes.Contains(out, []byte("dbus")) { // zbarimg looks for it in vain and goes on
		t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
	return string(out)
}

// TestRecoverySheet reads the printed pages as a machine and as a person does: the
// QR code from a picture of the page, the key from its letters.
func TestRecoverySheet(t *testing.T) {
	dir, key := t.TempDir(), newKey(t)
	path := filepath.Join(dir, "sheet.pdf")
	must(t, os.WriteFile(path, sheetOf(t, "gate1", key), 0o600))
	if info := tool(t, "pdfinfo", path); !strings.Contains(info, "Pages:           2\n") || !strings.Contains(info, "(A4)") {
		t.Errorf("%s", info)
	}
	for _, dpi := range []string{"110", "300"} {
		tool(t, "pdftoppm", "-gray", "-r", dpi, path, filepath.Join(dir, "page"))
	}
	pages, err := filepath.Glob(filepath.Join(dir, "page-*"))
	must(t, err)
	if len(pages) != 2 {
		t.Fatalf("%q", pages)
	}
	for _, page := range pages {
		out, err := exec.Command("zbarimg", "--quiet", "--raw", page).Output()
		if err != nil || strings.TrimSpace(string(out)) != key {
			t.Errorf("the QR code of %s holds %d bytes that are not the key: %v", filepath.Base(page), len(out), err)
		}
	}
	first, err := os.ReadFile(pages[0])
	must(t, err)
	if second, err := os.ReadFile(pages[1]); err != nil || !bytes.Equal(first, second) {
		t.Errorf("the two pages differ: %v", err)
	}
	text := tool(t, "pdftotext", "-layout", "-f", "1", "-l", "1", path, "-")
	letters := strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return -1
		}
		return r
	}, text)
	for _, want := range []string{"回復鍵", "Recoverykey", "gate1", "2026-11-22", "3F2A-11C0-22AA-9001", "gaterecovery-checktry", "gaterestore-configgate.toml-keyrecovery.key", "shrecover.shrecovery.keyFOLDER", "封筒", "envelope"} {
		if !strings.Contains(letters, want) {
			t.Errorf("the page lacks %q:\n%s", want, text)
		}
	}
	// The letters stand in rows beside notes: in their order nothing is lost.
	rest := letters
	for i, c := range key {
		at := strings.IndexRune(rest, c)
		if at < 0 {
			t.Fatalf("the page lacks the key from its letter %d on", i)
		}
		rest = rest[at+1:]
	}
	if fonts := strings.Join(strings.Fields(tool(t, "pdffonts", path)), " "); !strings.Contains(fonts, "Identity-H yes") {
		t.Error("the font is not embedded")
	}
}

// TestSheetFits: nothing leaves the page, whatever the gate is called.
func TestSheetFits(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "sheet.pdf")
	must(t, os.WriteFile(path, sheetOf(t, strings.Repeat("W", 32), newKey(t)), 0o600))
	boxes := tool(t, "pdftotext", "-bbox", "-f", "1", "-l", "1", path, "-")
	words := 0
	for l := range strings.Lines(boxes) {
		var x0, y0, x1, y1 float64
		if n := scan(l, &x0, &y0, &x1, &y1); n == 4 {
			words++
			if x0 < 45 || x1 > 595.3-45 || y0 < 40 || y1 > 841.9-28 {
				t.Errorf("too near the edge: %s", strings.TrimSpace(l))
			}
		}
	}
	if words < 100 {
		t.Errorf("%d words", words)
	}
}

func scan(l string, to ...*float64) (n int) {
	for i, name := range []string{"xMin", "yMin", "xMax", "yMax"} {
		_, rest, ok := strings.Cut(l, name+`="`)
		value, _, ended := strings.Cut(rest, `"`)
		if !ok || !ended || !strings.Contains(l, "<word ") {
			return n
		}
		if f, err := strconv.ParseFloat(value, 64); err == nil {
			*to[i] = f
			n++
		}
	}
	return n
}

func TestRecoveryRefuses(t *testing.T) {
	key := newKey(t)
	for _, bad := range []string{"", "AGE-SECRET-KEY-1QQQ", key + "\n", key[:30] + " " + key[30:], "# comment\n" + key} {
		if data, err := (Recovery{Gate: "gate1", Made: time.Now(), Key: bad, Recipient: "x"}).PDF(); err == nil || data != nil {
			t.Errorf("%d bytes were drawn as a key", len(bad))
		} else if len(bad) > 10 && strings.Contains(err.Error(), bad[10:]) {
			t.Error("the error holds the key")
		}
	}
}

// TestLines breaks text where its language may be broken.
func TestLines(t *testing.T) {
	ten := func(s string) (w float64) { // a Latin letter is half as wide
		for _, c := range s {
			if w++; wide(c) {
				w++
			}
		}
		return w
	}
	for text, want := range map[string]string{
		"":                      "",
		"one two three":         "one two|three",
		"longerthanall x":       "longerthanall|x",
		"鍵を消去した。":               "鍵を消去し|た。",
		"鍵を消去し。ます":              "鍵を消去|し。ます",
		"あいう「かきくけこ」":            "あいう「か|きくけこ」",
		"あいうえ「かきくけこ」":           "あいうえ|「かきくけ|こ」",
		"QR コードを読む":             "QR コード|を読む",
		"recover.sh を":          "recover.sh|を",
		"trailing  spaces  go ": "trailing|spaces  go",
		"（chmod 600）、それから終わりました": "（chmod|600）、そ|れから終わ|りました",
	} {
		if got := strings.Join(breakLines(text, 10, ten), "|"); got != want {
			t.Errorf("%q became %q, want %q", text, got, want)
		}
	}
}

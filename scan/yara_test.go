package scan

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"sekisho/assets"
)

var ownWorker = []string{"/proc/self/exe", "scan-worker"}

// writeRules returns a folder with one file of customers' rules.
func writeRules(t testing.TB, text string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "site")
	err := os.Mkdir(dir, 0o755)
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "own.yar"), []byte(text), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func newTestYARA(t testing.TB, workers int, rules ...string) *yaraEngine {
	t.Helper()
	e, err := newYARA(t.Context(), YaraConfig{Rules: rules}, assets.Rules, workers, ownWorker, quiet())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

// names runs a scan that must succeed.
func (e *yaraEngine) names(t *testing.T, b *Blob) []string {
	t.Helper()
	findings, err := e.Scan(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range findings {
		names = append(names, f.Name)
	}
	return names
}

func (e *yaraEngine) peek() *worker {
	w := <-e.slots
	e.slots <- w
	return w
}

// Every module a rule may import works inside the sandbox, the built-in rules
// for executables run on executables only, and customers' rules on everything.
func TestYARARules(t *testing.T) {
	e := newTestYARA(t, 1, writeRules(t, `
		import "pe" import "elf" import "math" import "hash" import "dotnet" import "magic"
		import "time" import "dex" import "macho" import "console"
		rule Everywhere { condition: filename == "" and time.now() > 0 and console.log("x") }
		rule Magic { condition: magic.type() contains "PDF" }
		rule Hash { condition: hash.md5(0, filesize) == "900150983cd24fb0d6963f7d28e17f72" }
		rule Entropy { condition: math.entropy(0, filesize) > 7 }
		rule PE { condition: pe.is_pe }
		rule ELF { condition: elf.type == elf.ET_EXEC or elf.type == elf.ET_DYN }
	`))
	spool := newTestSpool(t, SpoolOptions{})
	program, err := os.ReadFile("/bin/true")
	if err != nil {
		t.Fatal(err)
	}
	shadows := "\nvssadmin delete " + "shadows\nwbadmin delete " + "catalog"
	for _, c := range []struct {
		data []byte
		want []string
	}{
		{nil, []string{"Everywhere"}},
		{[]byte("abc"), []string{"Everywhere", "Hash"}},
		{pdf([]byte("x")), []string{"Everywhere", "Magic"}},
		{windowsProgram(), []string{"Everywhere", "PE"}},
		{program, []string{"Everywhere", "ELF"}},
		{append(program, shadows...), []string{"Everywhere", "ELF", "sekisho:RemovesShadowCopies"}},
		{[]byte("In text it is documentation: " + shadows), []string{"Everywhere"}},
		{randomBytes(4096), []string{"Everywhere", "Entropy"}},
	} {
		var want []string
		for _, name := range c.want {
			if !strings.Contains(name, ":") {
				name = "site/own.yar:" + name
			}
			want = append(want, name)
		}
		if got := e.names(t, blobOf(t, spool, c.data)); !slices.Equal(got, want) {
			t.Errorf("%.20q…: got %q, want %q", c.data, got, want)
		}
	}
	if d := e.Definitions(); d.Demonstration || d.Files[len(d.Files)-1].Name != "site/own.yar" || d.Newest.IsZero() || !strings.HasPrefix(d.Version, "libyara 4.") {
		t.Errorf("%+v", d)
	}
}

// Content on disk comes in windows, and rules must not notice: sizes, offsets
// and counts are of the whole, and what lies in an overlap counts once.
func TestYARAWindows(t *testing.T) {
	const size = 40<<20 + 3
	const step = yaraWindow - yaraOverlap
	e := newTestYARA(t, 1, writeRules(t, fmt.Sprintf(`
		rule Size { condition: filesize == %d }
		rule Header { condition: uint32be(0) == 0x44554d50 and uint8(filesize - 1) == 0x21 }
		rule Middle { strings: $a = "needle-in-the-middle" condition: $a at %d and #a == 1 }
		rule Border { strings: $a = "needle-on-the-border" condition: $a at %d and #a == 1 }
		rule Overlap { strings: $a = "needle-in-the-overlap" condition: @a[1] == %d and #a == 1 }
		rule Last { strings: $a = "needle-at-the-end" condition: $a at %d }
	`, size, 20<<20, 2*step-7, step+100, size-18)))
	data := make([]byte, size)
	copy(data, "DUMP")
	copy(data[20<<20:], "needle-in-the-middle")
	copy(data[2*step-7:], "needle-on-the-border")
	copy(data[step+100:], "needle-in-the-overlap")
	copy(data[size-18:], "needle-at-the-end!")
	spool := newTestSpool(t, SpoolOptions{Memory: 256 << 20, Largest: 1 << 20})
	got := e.names(t, blobOf(t, spool, data))
	want := []string{"Size", "Header", "Middle", "Border", "Overlap", "Last"}
	for i := range want {
		want[i] = "site/own.yar:" + want[i]
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	data[1] = 'X'
	if got := e.names(t, blobOf(t, spool, data)); slices.Contains(got, "site/own.yar:Header") {
		t.Error("the second blob was judged by the first one's header")
	}
}

// What the spool cannot give back is no clean content.
func TestYARAWindowUnreadable(t *testing.T) {
	e := newTestYARA(t, 1)
	b := blobOf(t, newTestSpool(t, SpoolOptions{Memory: 256 << 20, Largest: 1 << 20}), make([]byte, 2<<20))
	if err := b.disk.file.Truncate(1 << 20); err != nil {
		t.Fatal(err)
	}
	if f, err := e.Scan(t.Context(), b); !errors.Is(err, errContent) || f != nil {
		t.Errorf("got %v, %v", f, err)
	}
}

func TestYARAWorkerKilledMidScan(t *testing.T) {
	e := newTestYARA(t, 1)
	spool := newTestSpool(t, SpoolOptions{})
	for _, c := range []struct {
		data []byte
		want []string
	}{{[]byte("harmless"), nil}, {eicar(), []string{"sekisho:EICAR"}}} {
		pid := e.peek().cmd.Process.Pid
		if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil { // so that the scan is under way
			t.Fatal(err)
		}
		time.AfterFunc(50*time.Millisecond, func() { syscall.Kill(pid, syscall.SIGKILL) })
		if got := e.names(t, blobOf(t, spool, c.data)); !slices.Equal(got, c.want) {
			t.Errorf("got %q, want %q", got, c.want)
		}
		if e.peek().cmd.Process.Pid == pid {
			t.Error("it was not replaced")
		}
	}
}

func TestYARAWorkerHangs(t *testing.T) {
	e := newTestYARA(t, 1)
	e.limit, e.grace = time.Second, 0
	if err := syscall.Kill(e.peek().cmd.Process.Pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	if got := e.names(t, blobOf(t, newTestSpool(t, SpoolOptions{}), eicar())); !slices.Equal(got, []string{"sekisho:EICAR"}) {
		t.Errorf("got %q", got)
	}
}

func TestYARAWorkerDiesTwice(t *testing.T) {
	e := newTestYARA(t, 1)
	e.limit, e.grace = time.Second, -time.Second // every worker is late
	b := blobOf(t, newTestSpool(t, SpoolOptions{}), []byte("deadly"))
	f, err := e.Scan(t.Context(), b)
	if err != nil || len(f) != 1 || f[0].Name != "WorkerDied" || f[0].Verdict != Unscannable {
		t.Errorf("got %v, %v", f, err)
	}
	e.limit, e.grace = time.Minute, time.Second
	if got := e.names(t, b); got != nil {
		t.Errorf("afterwards: %q", got)
	}
}

func TestYARATimeLimit(t *testing.T) {
	e := newTestYARA(t, 1, writeRules(t, `rule Slow { condition: filesize == 100 and for all i in (0..9000000000) : (uint8(0) == 0) }`))
	e.limit = time.Second
	f, err := e.Scan(t.Context(), blobOf(t, newTestSpool(t, SpoolOptions{}), make([]byte, 100)))
	if err != nil || len(f) != 1 || f[0].Name != "ScanTimeout" || f[0].Verdict != Unscannable {
		t.Errorf("got %v, %v", f, err)
	}
}

func TestYARAGone(t *testing.T) {
	e := newTestYARA(t, 1)
	e.peek().kill()
	e.command = []string{"/bin/false"}
	for _, data := range [][]byte{[]byte("harmless"), eicar()} {
		if f, err := e.Scan(t.Context(), blobOf(t, newTestSpool(t, SpoolOptions{}), data)); !errors.Is(err, ErrEngine) || f != nil {
			t.Errorf("got %v, %v", f, err)
		}
	}
}

func TestYARACancelled(t *testing.T) {
	e := newTestYARA(t, 1)
	if err := syscall.Kill(e.peek().cmd.Process.Pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if f, err := e.Scan(ctx, blobOf(t, newTestSpool(t, SpoolOptions{}), []byte("x"))); !errors.Is(err, context.DeadlineExceeded) || f != nil {
		t.Errorf("got %v, %v", f, err)
	}
}

func TestYARARefused(t *testing.T) {
	other := filepath.Join(t.TempDir(), "other.yar")
	if err := os.WriteFile(other, []byte("rule X { condition: true }"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		what    string
		rules   string
		command []string
		hint    string
	}{
		{"syntax", writeRules(t, "rule {"), ownWorker, `rules "site/own.yar": line 1`},
		{"include", writeRules(t, fmt.Sprintf("include %q", other)), ownWorker, "site/own.yar"},
		{"no rules", t.TempDir(), ownWorker, "no .yar"},
		{"missing", filepath.Join(t.TempDir(), "x"), ownWorker, "no such file"},
		{"no worker", "", []string{"/bin/false"}, "starting a worker"},
		{"no such program", "", []string{"/nonexistent"}, "starting a worker"},
		{"no sandbox", "", []string{"/proc/self/exe", "scan-escape", "unconfined"}, "not confined"},
	} {
		cfg := YaraConfig{}
		if c.rules != "" {
			cfg.Rules = []string{c.rules}
		}
		e, err := newYARA(t.Context(), cfg, assets.Rules, 2, c.command, quiet())
		if err == nil || e != nil || !strings.Contains(err.Error(), c.hint) {
			t.Errorf("%s: got %v", c.what, err)
		}
	}
}

func TestExecutable(t *testing.T) {
	for head, want := range map[string]bool{
		"MZ\x90": true, "\x7fELF": true, "\xcf\xfa\xed\xfe": true, "\xca\xfe\xba\xbe": true, "dex\n035": true,
		"": false, "M": false, "PK\x03\x04": false, "%PDF-": false, " MZ": false,
	} {
		if got := executable([]byte(head)); got != want {
			t.Errorf("%q: %v", head, got)
		}
	}
}

// The gate is also built without cgo; it must build, and refuse to scan.
func TestBuildsWithoutCgo(t *testing.T) {
	cmd := exec.Command("go", "test", "-count=1", "-run", "^TestWithoutYARA$", "-v", ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: TestWithoutYARA") {
		t.Errorf("%v\n%s", err, out)
	}
}

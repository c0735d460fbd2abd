package manifest

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestID(t *testing.T) {
	jst := time.FixedZone("JST", 9*60*60)
	if got := ID(time.Date(2026, 11, 22, 21, 12, 40, 0, jst), "k3", 42); got != transferID {
		t.Errorf("%q, want %q", got, transferID)
	}
	for s, want := range map[string]bool{
		transferID: true, "20261122T1212Z-a-b-c-000042": true, "20261122T1212Z-k3-1234567": true, "20240229T0000Z-k-000001": true,
		ID(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), strings.Repeat("k", 32), 1<<62): true,

		"": false, "20261122T1212Z": false, "20261122T1212Z-k3": false, "20261122T1212Z--000042": false, "20261122T1212Z-k3-42": false,
		"20261122T1212Z-k3-0000042": false, "20261122T1212Z-k3-000000": false, "20261122T1212Z-k3--00042": false, "20261122T1212Z-k3-+00042": false,
		"20261322T1212Z-k3-000042": false, "20260229T1212Z-k3-000042": false, "20261122T2412Z-k3-000042": false, "20261122T1212-k3-000042": false,
		"2026-11-22T1212Z-k3-000042": false, " " + transferID: false, transferID + "\n": false, transferID + "/": false,
		"20261122T1212Z-../k3-000042": false, "20261122T1212Z-k 3-000042": false, "20261122T1212Z-k3-00004２": false,
		"20261122T1212Z-" + strings.Repeat("k", 33) + "-000042": false, "20261122T1212Z--k-000042": false,
		"20261122T1212Z-k3-9223372036854775808": false,
	} {
		if ValidID(s) != want {
			t.Errorf("%q: valid is %v", s, !want)
		}
	}
}

func TestNames(t *testing.T) {
	for s, want := range map[string]bool{
		"k3": true, "a-b_C9": true, "4711": true, "_": true, strings.Repeat("x", 32): true,
		"": false, "-k": false, "k 3": false, "k.3": false, "k/3": false, "ｋ3": false, "k\n": false, "k\x00": false, strings.Repeat("x", 33): false,
	} {
		if ValidName(s) != want {
			t.Errorf("%q: valid is %v", s, !want)
		}
	}
	if got := PartNames(2); fmt.Sprint(got) != "[data/000001.age data/000002.age]" || PartName(MaxParts) != "data/004096.age" {
		t.Errorf("parts %v, %s", got, PartName(MaxParts))
	}
}

func TestHashText(t *testing.T) {
	h := hashOf("x")
	back, err := ParseHash(h.String())
	if err != nil || back != h || len(h.String()) != 64 {
		t.Errorf("%s became %s, %v", h, back, err)
	}
	for _, bad := range []string{"", h.String()[:63], h.String() + "0", h.String() + "00", strings.ToUpper(h.String()), h.String()[:63] + "g", " " + h.String()[:63], strings.Repeat("\x00", 64)} {
		if got, err := ParseHash(bad); got != (Hash{}) || !errors.Is(err, ErrMalformed) {
			t.Errorf("%q became %s, %v", bad, got, err)
		}
	}
}

func TestSums(t *testing.T) {
	names := []string{"data/000001.age", "data/000002.age"}
	good := string(MarshalSums([]Sum{{names[0], hashOf("a")}, {names[1], hashOf("b")}}))
	got, err := ParseSums([]byte(good), names)
	if err != nil || len(got) != 2 || got[0] != hashOf("a") || got[1] != hashOf("b") {
		t.Fatalf("%v, %v", got, err)
	}
	lines := strings.SplitAfter(good, "\n")
	for name, bad := range map[string]string{
		"empty":           "",
		"a line missing":  lines[0],
		"a line more":     good + lines[1],
		"bytes behind":    good + "#",
		"an empty line":   lines[0] + "\n" + lines[1],
		"swapped":         lines[1] + lines[0],
		"no end":          strings.TrimSuffix(good, "\n"),
		"other line ends": strings.ReplaceAll(good, "\n", "\r\n"),
		"one space":       strings.Replace(good, "  ", " ", 1),
		"three spaces":    strings.Replace(good, "  ", "   ", 1),
		"binary mode":     strings.Replace(good, "  ", " *", 1),
		"a tab":           strings.Replace(good, "  ", "\t", 1),
		"in capitals":     strings.ToUpper(good[:64]) + good[64:],
		"escaped":         `\` + good,
		"another name":    strings.Replace(good, "000002", "000003", 1),
		"dot slash":       strings.Replace(good, "data", "./data", 1),
		"a byte mark":     "\ufeff" + good,
	} {
		if sums, err := ParseSums([]byte(bad), names); sums != nil || !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v, %v", name, sums, err)
		}
	}
}

// A real sha256sum reads the list of the files, whatever their names are.
func TestFileSumForSha256sum(t *testing.T) {
	dir := t.TempDir()
	names := []string{
		"plain", "a b ", " lead", "日本.pdf", "\x8e\xd0.csv", "line\nfeed", "return\r", `back\slash`, `\n`, "\\\n\r\\", "*star", "-rf", `"q"`, "#x", "a\tb", "\x01\x7f",
		strings.Repeat("n", 255), "folder/in\nside",
	}
	var list []byte
	for i, name := range names {
		path := filepath.Join(dir, name)
		content := fmt.Appendf(nil, "content %d", i)
		must(t, os.MkdirAll(filepath.Dir(path), 0o700))
		must(t, os.WriteFile(path, content, 0o600))
		e := fileEntry(name)
		*e.SHA256 = sha256.Sum256(content)
		list = append(list, FileSum(e)...)
	}
	check := func(list []byte) (string, error) {
		cmd := exec.Command("sha256sum", "--strict", "-c", "-")
		cmd.Dir, cmd.Stdin, cmd.Env = dir, bytes.NewReader(list), append(os.Environ(), "LC_ALL=C")
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	if out, err := check(list); err != nil || strings.Count(out, ": OK\n") != len(names) {
		t.Errorf("%v: %d of %d are OK:\n%s", err, strings.Count(out, ": OK\n"), len(names), out)
	}
	// What GNU sha256sum writes is the same list.
	cmd := exec.Command("sha256sum", append([]string{"--"}, prefixed("./", names)...)...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "LC_ALL=C")
	if out, err := cmd.Output(); err != nil || !bytes.Equal(out, list) {
		t.Errorf("%v: sha256sum writes\n%s", err, out)
	}
	must(t, os.WriteFile(filepath.Join(dir, "line\nfeed"), []byte("other"), 0o600))
	if out, err := check(list); err == nil {
		t.Errorf("an altered file is OK:\n%s", out)
	}
}

func prefixed(prefix string, names []string) []string {
	list := make([]string, len(names))
	for i, n := range names {
		list[i] = prefix + n
	}
	return list
}

func TestInfo(t *testing.T) {
	want := "Bag-Software-Agent: Sekisho\nBagging-Date: 2026-11-22\nExternal-Identifier: " + transferID + "\nPayload-Oxum: 74096.2\n"
	if got := string(Info(transferID, evening, 2, 74096)); got != want {
		t.Errorf("%s", got)
	}
}

func TestSizes(t *testing.T) {
	s := validStatement()
	if got := s.Sizes.Total(); got != 561+7*1000+70_000+4096 {
		t.Errorf("%d bytes in all", got)
	}
	if s.Count(Detected) != (Count{Detected, 1, 68}) || s.Count("none") != (Count{Verdict: "none"}) {
		t.Errorf("%v, %v", s.Count(Detected), s.Count("none"))
	}
	if s.Demonstration() {
		t.Error("real engines are called a demonstration")
	}
	s.Engines[1].Demonstration = true
	if !s.Demonstration() {
		t.Error("a demonstration goes unsaid")
	}
}

package hostile

import (
	"archive/zip"
	"bytes"
	"debug/pe"
	"encoding/hex"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func blocks(st fs.FileInfo) int64 { return st.Sys().(*syscall.Stat_t).Blocks }

// tool runs a program of the system and returns its output and exit code; that
// it is missing is a failure.
func tool(t *testing.T, name string, args ...string) (string, int) {
	t.Helper()
	c := exec.Command(name, args...)
	out, err := c.CombinedOutput()
	if c.ProcessState == nil {
		t.Fatalf("running %s: %v", name, err)
	}
	return string(out), c.ProcessState.ExitCode()
}

// TestPatterns has ClamAV look for EICAR: it must find all of them and no other.
func TestPatterns(t *testing.T) {
	dir, listed := set(t)
	signature := filepath.Join(t.TempDir(), "eicar.ndb")
	if err := os.WriteFile(signature, []byte("Test.EICAR:0:*:"+hex.EncodeToString(EICAR())+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	scanned := 0
	for path, c := range listed {
		if c.Verdict == Refused || c.Case == "zip-bomb" { // the bomb takes minutes
			continue
		}
		if c.By != ByPattern && !strings.HasPrefix(path, "types/") && !strings.HasPrefix(path, "archives/") {
			continue
		}
		scanned++
		out, code := tool(t, "clamscan", "-d", signature, "--no-summary", "--alert-encrypted", "--alert-exceeds-max", "--max-recursion=17", "--max-files=10000", filepath.Join(dir, path))
		found := strings.Contains(out, "Test.EICAR.UNOFFICIAL FOUND")
		if found != (c.By == ByPattern) || code > 1 {
			t.Errorf("%q, expected %s by %s: %s", path, c.Verdict, c.By, out)
		}
		if c.Verdict == Clean && code != 0 {
			t.Errorf("%q, expected clean: %s", path, out)
		}
		switch c.Case {
		case "zip-encrypted", "7z-encrypted", "7z-encrypted-headers":
			found = strings.Contains(out, "Heuristics.Encrypted.")
		case "zip-deep", "zip-many":
			found = strings.Contains(out, "Heuristics.Limits.Exceeded.")
		default:
			continue
		}
		if !found {
			t.Errorf("%q, expected %s by %s: %s", path, c.Verdict, c.By, out)
		}
	}
	if scanned < 20 {
		t.Errorf("only %d files scanned", scanned)
	}
}

func TestThisProgramIsNotDetected(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	if len(EICAR()) != 68 || bytes.Contains(b, EICAR()) {
		t.Error("the test file is in the program in one piece")
	}
}

func TestEncryptedArchivesNeedThePassword(t *testing.T) {
	dir, _ := set(t)
	for _, name := range []string{"encrypted.zip", "encrypted.7z", "headers.7z"} {
		path := filepath.Join(dir, "archives", name)
		if out, code := tool(t, "7z", "t", "-pinvented", path); code != 0 || !strings.Contains(out, "Everything is Ok") {
			t.Errorf("%s with its password: %s", name, out)
		}
		if out, code := tool(t, "7z", "t", "-pwrong", path); code == 0 {
			t.Errorf("%s with another password: %s", name, out)
		}
	}
}

func TestArchives(t *testing.T) {
	dir, _ := set(t)
	open := func(name string) *zip.Reader {
		t.Helper()
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		z, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			t.Fatal(err)
		}
		return z
	}
	if n := len(open("archives/many.zip").File); n != 12000 {
		t.Errorf("%d entries, want 12000", n)
	}
	if f := open("malware/cp932.zip").File[0]; f.Name != sjisName || f.Flags&0x800 != 0 {
		t.Errorf("name %q with flags %#x", f.Name, f.Flags)
	}
	for name, want := range map[string]int{"archives/deep.zip": 25, "malware/nested.zip": 5} {
		if got := depth(t, open(name)); got != want {
			t.Errorf("%s: depth %d, want %d", name, got, want)
		}
	}
	if _, err := zip.OpenReader(filepath.Join(dir, "archives/truncated.zip")); err == nil {
		t.Error("the truncated archive opens")
	}
	small, err := os.Stat(filepath.Join(dir, "archives/bomb.zip"))
	if err != nil {
		t.Fatal(err)
	}
	if size := unpacked(t, open("archives/bomb.zip")); size != 64<<30 || small.Size() > 64<<10 {
		t.Errorf("a bomb of %d bytes unpacks to %d", small.Size(), size)
	}
}

func depth(t *testing.T, z *zip.Reader) int {
	if len(z.File) == 1 && strings.HasSuffix(z.File[0].Name, ".zip") {
		return 1 + depth(t, inner(t, z.File[0]))
	}
	return 1
}

// unpacked returns what an archive of equal archives holds, by its first ones.
func unpacked(t *testing.T, z *zip.Reader) int64 {
	f := z.File[0]
	if !strings.HasSuffix(f.Name, ".zip") {
		return int64(f.UncompressedSize64)
	}
	return int64(len(z.File)) * unpacked(t, inner(t, f))
}

func inner(t *testing.T, f *zip.File) *zip.Reader {
	t.Helper()
	r, err := f.Open()
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	z, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	return z
}

func TestPolyglotIsBoth(t *testing.T) {
	dir, _ := set(t)
	path := filepath.Join(dir, "types/IM000001.dcm")
	if out, code := tool(t, "dcmdump", "-q", path); code != 0 || !strings.Contains(out, "=SecondaryCaptureImageStorage") {
		t.Errorf("as DICOM: %s", out)
	}
	for _, name := range []string{"types/IM000001.dcm", "types/viewer.exe"} {
		f, err := pe.Open(filepath.Join(dir, name))
		if err != nil {
			t.Fatalf("%s as a program: %v", name, err)
		}
		if len(f.Sections) != 0 {
			t.Errorf("%s has sections", name)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestKinds has file(1) name what the type policy must recognise.
func TestKinds(t *testing.T) {
	dir, _ := set(t)
	for name, want := range map[string]string{
		"viewer.exe": "PE32 executable", "紹介状.pdf.lnk": "MS Windows shortcut", "encrypted.docx": "CDFV2 Encrypted",
		"autorun.inf": "Microsoft Windows Autorun file", "問診票.docm": "Microsoft Word", "referral.pdf": "PDF document",
	} {
		if out, code := tool(t, "file", "-b", filepath.Join(dir, "types", name)); code != 0 || !strings.HasPrefix(out, want) {
			t.Errorf("%s is %s, want %s", name, out, want)
		}
	}
	if out, code := tool(t, "7z", "l", filepath.Join(dir, "types/encrypted.docx")); code > 1 || !strings.Contains(out, "EncryptedPackage") {
		t.Errorf("streams of the encrypted document: %s", out)
	}
}

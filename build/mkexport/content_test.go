package main

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/japanese"
)

// each calls f for every file below dir, whose path is given relative to it.
func each(t *testing.T, dir string, f func(path string, body []byte)) {
	t.Helper()
	n := 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		n++
		f(rel, b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if n == 0 {
		t.Fatalf("no file in %q", dir)
	}
}

func decode(t *testing.T, path string, e encoding.Encoding, b []byte) string {
	t.Helper()
	s, err := e.NewDecoder().Bytes(b)
	if err != nil || bytes.ContainsRune(s, utf8.RuneError) {
		t.Fatalf("%q cannot be decoded: %v", path, err)
	}
	return string(s)
}

// tool runs a program of the system; that it is missing is a failure.
func tool(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
	return string(out)
}

var standard = regexp.MustCompile(`^(\d{3})/(\d{3})/(\d{7})/(\d{8}|-)/([A-Z]{3}(?:-\d{2})?)/(\d{7})_(\d{8}|-)_([A-Z]{3}(?:-\d{2})?)_(\d{15})_(\d{17})_(\d{2}|-)_([012])$`)

func TestStandardizedStorage(t *testing.T) {
	types := map[string]bool{}
	total, files := 0, 0
	each(t, filepath.Join(smoke(t), "SS-MIX2/STD"), func(path string, b []byte) {
		m := standard.FindStringSubmatch(path)
		if m == nil || m[1]+m[2] != m[3][:6] || m[3] != m[6] || m[4] != m[7] || m[5] != m[8] || m[3] < "9990000" {
			t.Fatalf("path %q", path)
		}
		undated := m[5] == "ADT-00" || m[5] == "ADT-61" || m[5] == "PPR-01"
		if undated != (m[4] == "-") || undated != (m[9] == noOrder) {
			t.Errorf("date and order number of %q", path)
		}
		types[m[5]] = true
		total, files = total+len(b), files+1
		text := decode(t, path, japanese.ISO2022JP, b)
		for _, c := range b {
			if c >= 0x80 || c == '\n' {
				t.Fatalf("%q has byte %#x", path, c)
			}
		}
		if !strings.HasPrefix(text, `MSH|^~\&|`) || !strings.HasSuffix(text, "\r") || strings.Count(text, "|2.5||||||~ISO IR87|") != 1 {
			t.Errorf("%q begins %.90q", path, text)
		}
		if !strings.Contains(text, "\rPID|0001||"+m[3]+"^^^^PI||") {
			t.Errorf("%q has another patient inside", path)
		}
	})
	if len(types) < 25 {
		t.Errorf("only %d types: %v", len(types), types)
	}
	if mean := total / files; mean < 800 || mean > 1600 {
		t.Errorf("messages of %d bytes on average", mean)
	}
}

func TestExtendedStorage(t *testing.T) {
	xml, hl7, longest := 0, 0, 0
	dir := smoke(t)
	each(t, filepath.Join(dir, "SS-MIX2/EXT"), func(path string, b []byte) {
		parts := strings.Split(path, "/")
		longest = max(longest, utf8.RuneCountInString(parts[4]))
		if n := utf8.RuneCountInString("SS-MIX2/EXT/" + path); n > 260 {
			t.Errorf("%q has %d characters", path, n)
		}
		switch {
		case parts[len(parts)-1] == "main_document.xml":
			xml++
			if !strings.HasPrefix(parts[5], parts[2]+"_"+parts[3]+"_"+parts[4]+"_") || !utf8.Valid(b) || !bytes.Contains(b, []byte(`extension="`+parts[2]+`"`)) {
				t.Errorf("document %q", path)
			}
		default:
			hl7++
			if !strings.Contains(decode(t, path, japanese.ISO2022JP, b), "||"+parts[2]+"^^^^PI||") {
				t.Errorf("%q has another patient inside", path)
			}
		}
	})
	if xml == 0 || hl7 == 0 || longest != 180 {
		t.Errorf("%d documents, %d messages, longest type %d characters", xml, hl7, longest)
	}
	each(t, filepath.Join(dir, "SS-MIX2/TR"), func(path string, b []byte) {
		if !regexp.MustCompile(`^2026/TR_20260406\d{9}_00001\.DAT$`).MatchString(path) || strings.Count(decode(t, path, japanese.ISO2022JP, b), "MSH|") < 10 {
			t.Errorf("transactions %q", path)
		}
	})
}

func TestScannedDocuments(t *testing.T) {
	dir := filepath.Join(smoke(t), "スキャン文書")
	each(t, dir, func(path string, b []byte) {
		tool(t, "qpdf", "--check", filepath.Join(dir, path))
		pid := filepath.Base(path)[:7]
		if !bytes.Contains(b, []byte("(ID "+pid+" ")) || !bytes.Contains(b, []byte("/DCTDecode")) {
			t.Errorf("%q lacks its number or its scan", path)
		}
	})
}

func TestDICOM(t *testing.T) {
	dir := smoke(t)
	sizes := map[int]int{}
	each(t, filepath.Join(dir, "PACS"), func(path string, b []byte) {
		sizes[len(b)>>19]++
		if string(b[128:132]) != "DICM" {
			t.Errorf("%q has no magic", path)
		}
	})
	if sizes[1] != 18 { // 512 KiB and a header
		t.Errorf("sizes of slices in 512 KiB: %v", sizes)
	}
	one := tool(t, "find", filepath.Join(dir, "PACS"), "-name", "*.dcm")
	one, _, _ = strings.Cut(one, "\n")
	if out := tool(t, "dcmdump", "-q", one); !strings.Contains(out, "=CTImageStorage") || !strings.Contains(out, "# 524288, 1 PixelData") || !strings.Contains(out, "["+strings.TrimSuffix(filepath.Base(one), ".dcm")+"]") {
		t.Errorf("dcmdump says %s", out)
	}
	listing := tool(t, "dcmdump", "-q", filepath.Join(dir, "PDI/DICOMDIR"))
	refs := regexp.MustCompile(`refFileID="([^"]+)"`).FindAllStringSubmatch(listing, -1)
	if len(refs) != 2 {
		t.Fatalf("DICOMDIR refers to %d files: %s", len(refs), listing)
	}
	radiographs := 0
	for _, ref := range refs {
		for c := range strings.SplitSeq(ref[1], `\`) {
			if !regexp.MustCompile(`^[A-Z0-9_]{1,8}$`).MatchString(c) {
				t.Errorf("component %q", c)
			}
		}
		file := filepath.Join(dir, "PDI", strings.ReplaceAll(ref[1], `\`, "/"))
		if out := tool(t, "dcmdump", "-q", file); strings.Contains(out, "# 7532800, 1 PixelData") {
			radiographs++
		}
	}
	if radiographs != 1 {
		t.Errorf("%d radiographs, want 1", radiographs)
	}
}

func TestReceipts(t *testing.T) {
	dir := filepath.Join(smoke(t), "RECEIPT")
	each(t, dir, func(path string, b []byte) {
		text := decode(t, path, japanese.ShiftJIS, b)
		kinds := map[string]bool{}
		for line := range strings.SplitSeq(strings.TrimSuffix(text, "\r\n"), "\r\n") {
			if strings.ContainsAny(line, "\r\n") {
				t.Fatalf("%q: line %q", path, line)
			}
			kinds[line[:2]] = true
		}
		for _, k := range strings.Fields("IR RE HO KO SY SI IY TO CO GO") {
			if !kinds[k] {
				t.Errorf("%q has no record %s", path, k)
			}
		}
	})
}

func TestBundles(t *testing.T) {
	each(t, filepath.Join(smoke(t), "FHIR"), func(path string, b []byte) {
		var bundle struct {
			ResourceType string
			Entry        []struct {
				Resource struct {
					ResourceType string
					Identifier   []struct{ Value string }
				}
			}
		}
		if err := json.Unmarshal(b, &bundle); err != nil {
			t.Fatal(err)
		}
		if bundle.ResourceType != "Bundle" || len(bundle.Entry) < 5 || bundle.Entry[0].Resource.Identifier[0].Value != filepath.Dir(path) {
			t.Errorf("%q: %+v", path, bundle)
		}
	})
}

func TestLogSaysTheEnd(t *testing.T) {
	b, err := os.ReadFile(filepath.Join(smoke(t), logName))
	if err != nil {
		t.Fatal(err)
	}
	if text := decode(t, logName, japanese.ShiftJIS, b); !strings.HasSuffix(text, "正常終了\r\n") || !strings.Contains(text, "データ時点 2026/04/06 21:00\r\n") {
		t.Errorf("log: %s", text)
	}
}

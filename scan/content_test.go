package scan

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// zipOf, tgzOf and pdfWith wrap content as an export might hold it.
func zipOf(t testing.TB, files ...[]byte) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := zip.NewWriter(&buf)
	for i, data := range files {
		method := zip.Deflate
		if len(data) < 16 {
			method = zip.Store // ten thousand compressors take their time
		}
		f, err := w.CreateHeader(&zip.FileHeader{Name: fmt.Sprintf("%d.bin", i), Method: method})
		if err == nil {
			_, err = f.Write(data)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func tgzOf(t testing.TB, data []byte) []byte {
	t.Helper()
	var buf bytes.Buffer
	z := gzip.NewWriter(&buf)
	w := tar.NewWriter(z)
	err := w.WriteHeader(&tar.Header{Name: "x.com", Size: int64(len(data)), Mode: 0o644})
	if err == nil {
		_, err = w.Write(data)
	}
	if err == nil {
		err = w.Close()
	}
	if err == nil {
		err = z.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func pdf(stream []byte) []byte {
	var z bytes.Buffer
	w := zlib.NewWriter(&z)
	w.Write(stream)
	w.Close()
	return fmt.Appendf(nil, "%%PDF-1.4\n1 0 obj\n<< /Length %d /Filter /FlateDecode >>\nstream\n%s\nendstream\nendobj\ntrailer\n<< /Root 1 0 R >>\n%%%%EOF\n", z.Len(), z.Bytes())
}

func utf16(s string) []byte {
	out := []byte{0xff, 0xfe}
	for _, r := range s {
		out = append(out, byte(r), byte(r>>8))
	}
	return out
}

func dicom(preamble, pixels []byte) []byte {
	b := make([]byte, 128)
	copy(b, preamble)
	return slices.Concat(b, []byte("DICM\x02\x00\x00\x00UL\x04\x00\xbe\x00\x00\x00"), pixels)
}

func sjis(t testing.TB, s string) []byte {
	t.Helper()
	// The few characters the test needs, so that it needs no library.
	table := map[rune]string{'暗': "\x88\xc3", '号': "\x8d\x86", '化': "\x89\xbb", 'さ': "\x82\xb3", 'れ': "\x82\xea", 'ま': "\x82\xdc", 'し': "\x82\xb5", 'た': "\x82\xbd",
		'身': "\x90\x67", '代': "\x91\xe3", '金': "\x8b\xe0", '復': "\x95\x9c", '貴': "\x8b\x4d", '院': "\x89\x40", 'の': "\x82\xcc"}
	var out []byte
	for _, r := range s {
		if r < 0x80 {
			out = append(out, byte(r))
		} else if b, ok := table[r]; ok {
			out = append(out, b...)
		} else {
			t.Fatalf("no Shift_JIS for %q", r)
		}
	}
	return out
}

var lnkHeader = []byte{0x4c, 0, 0, 0, 1, 0x14, 2, 0, 0, 0, 0, 0, 0xc0, 0, 0, 0, 0, 0, 0, 0x46}

// Each thing the built-in set is for, in the ways it may come.
func TestDetects(t *testing.T) {
	s, spool := newTestScanner(t, nil), newTestSpool(t, SpoolOptions{})
	nested := eicar()
	for range 5 {
		nested = zipOf(t, nested)
	}
	program, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	shadows := []byte("vssadmin.exe delete " + "shadows /all /quiet & wbadmin delete " + "catalog -quiet")
	for name, c := range map[string]struct {
		data []byte
		rule string // of YARA; empty: clamd looks inside, YARA does not
	}{
		"eicar":              {eicar(), "sekisho:EICAR"},
		"eicar in zip":       {zipOf(t, []byte("harmless"), eicar()), ""},
		"eicar five deep":    {nested, ""},
		"eicar in tar.gz":    {tgzOf(t, eicar()), ""},
		"eicar behind pdf":   {append(pdf([]byte("text")), eicar()...), "sekisho:EICAR"},
		"eicar within pdf":   {pdf(append([]byte("stream "), eicar()...)), ""},
		"autorun":            {[]byte("[AutoRun]\r\nopen=setup.exe\r\nicon=x.ico\r\n"), "sekisho:Autorun"},
		"autorun in UTF-16":  {utf16("[autorun]\r\nShellExecute=a.exe\r\n"), "sekisho:Autorun"},
		"shortcut":           {slices.Concat(lnkHeader, make([]byte, 60), utf16(`C:\Windows\System32\cmd.exe /c x`)), "sekisho:ShortcutWithCommand"},
		"note":               {[]byte("All of your files have been encrypted!\nTo decrypt them pay 2 Bitcoin.\n"), "sekisho:RansomNote"},
		"note in Japanese":   {[]byte("貴院のデータは暗号化されました。身代金を支払えば復号します。"), "sekisho:RansomNote"},
		"note in Shift_JIS":  {sjis(t, "貴院の 暗号化されました 身代金 復号"), "sekisho:RansomNote"},
		"note in UTF-16":     {utf16("貴院のデータは暗号化されました。ビットコインで支払"), "sekisho:RansomNote"},
		"program as DICOM":   {dicom([]byte("MZ\x90\x00"), []byte("pixels")), "sekisho:ProgramInDICOM"},
		"ELF as DICOM":       {dicom([]byte("\x7fELF\x02\x01"), []byte("pixels")), "sekisho:ProgramInDICOM"},
		"script as DICOM":    {dicom([]byte("#!/bin/sh\n"), []byte("pixels")), "sekisho:ProgramInDICOM"},
		"program as PDF":     {append([]byte("MZ\x90\x00padding"), pdf([]byte("x"))...), "sekisho:ProgramInPDF"},
		"program behind PDF": {append(pdf([]byte("x")), windowsProgram()...), "sekisho:ProgramBehindPicture"},
		"removes backups":    {append(program[:4096:4096], shadows...), "sekisho:RemovesShadowCopies"},
	} {
		r, err := s.Scan(t.Context(), blobOf(t, spool, c.data))
		if err != nil || r.Verdict != Detected {
			t.Errorf("%s: %v, %v", name, r, err)
		}
		byRule := slices.ContainsFunc(r.Findings, func(f Finding) bool { return f.Engine == yaraName && f.Name == c.rule })
		if c.rule != "" && !byRule {
			t.Errorf("%s: want %s among %v", name, c.rule, r.Findings)
		}
	}
}

// windowsProgram is the least that a loader would look at.
func windowsProgram() []byte {
	b := make([]byte, 1024)
	copy(b, "MZ\x90\x00\x03\x00\x00\x00")
	b[0x3c] = 0x80
	copy(b[0x4e:], "This program cannot be run in DOS mode.\r\r\n$")
	copy(b[0x80:], "PE\x00\x00\x64\x86\x01\x00")
	copy(b[0x94:], "\xf0\x00\x22\x00\x0b\x02") // size of the optional header, flags, its magic
	return b
}

// What a hospital exports every night must pass without a word.
func TestPassesOrdinaryContent(t *testing.T) {
	s, spool := newTestScanner(t, nil), newTestSpool(t, SpoolOptions{})
	for name, data := range map[string][]byte{
		"empty":                    nil,
		"HL7":                      []byte("MSH|^~\\&|HIS|H|GW|G|20260301||ADT^A08^ADT_A01|1|P|2.5||||||~ISO IR87||ISO 2022-1994\rPID|0001||9999013^^^^PI||\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B\r"),
		"UKE":                      []byte("IR,1,13,1,9999999,,\x83e\x83X\x83g\x95a\x89@,50803,00,\r\nRE,1,1112,50803,\x8eR\x93c \x91\xbe\x98Y,1,3010101,,,,,,,9999013\r\nSI,12,1,112007410,,73,1\r\n"),
		"DICOM":                    dicom(nil, randomBytes(20_000)),
		"TIFF-like":                dicom([]byte("II*\x00\x08\x00\x00\x00"), randomBytes(500)),
		"PDF":                      pdf([]byte("BT /F1 12 Tf (report) Tj ET")),
		"FHIR":                     []byte(`{"resourceType":"Bundle","type":"document","entry":[{"resource":{"resourceType":"Patient"}}]}`),
		"zip":                      zipOf(t, []byte("a"), []byte("b")),
		"random":                   randomBytes(50_000),
		"news":                     []byte("ランサムウェアの被害: 他院のデータが暗号化された。身代金の支払には応じない。バックアップから復元する。"),
		"guideline":                []byte("Staff must know that ransomware encrypts files and asks for a ransom. Do not pay. Call IT."),
		"autorun in prose":         []byte("Remember: [autorun] sections are ignored by policy; open= lines too."),
		"shortcut without command": slices.Concat(lnkHeader, make([]byte, 60), utf16(`\\server\share\manual.pdf`)),
	} {
		r, err := s.Scan(t.Context(), blobOf(t, spool, data))
		if err != nil || r.Verdict != Clean || len(r.Findings) != 0 {
			t.Errorf("%s: %v, %v", name, r, err)
		}
	}
}

// Debian's samples, each the same program in another wrapping. None may be clean.
func TestClamAVTestFiles(t *testing.T) {
	files, err := filepath.Glob("/usr/share/clamav-testfiles/*")
	if err != nil || len(files) < 40 {
		t.Fatalf("clamav-testfiles is missing: %d files, %v", len(files), err)
	}
	s, spool := newTestScanner(t, nil), newTestSpool(t, SpoolOptions{})
	counts := map[Verdict]int{}
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		r, err := s.Scan(t.Context(), blobOf(t, spool, data))
		if err != nil || r.Verdict == Clean || len(r.Findings) == 0 {
			t.Errorf("%s: %v, %v", filepath.Base(name), r, err)
		}
		counts[r.Verdict]++
	}
	t.Logf("%d files: %v", len(files), counts)
}

// What nobody can look into is unscannable, not clean and not malware.
func TestUnscannable(t *testing.T) {
	// A smaller limit only so that the bomb takes a second instead of a minute.
	s, spool := newTestScanner(t, func(c *Config) { c.Clamd.Unpack = 64 << 20 }), newTestSpool(t, SpoolOptions{})
	encrypted, err := encryptedZip()
	if err != nil {
		t.Fatal(err)
	}
	deep, err := nestedZip(25, []byte("deep"))
	if err != nil {
		t.Fatal(err)
	}
	many := make([][]byte, 10_500)
	for i := range many {
		many[i] = []byte{byte(i), byte(i >> 8)}
	}
	for name, data := range map[string][]byte{
		"encrypted zip":        encrypted,
		"encrypted zip in zip": zipOf(t, encrypted),
		"25 deep":              deep,
		"10500 entries":        zipOf(t, many...),
		"broken executable":    append(windowsProgram(), make([]byte, 2000)...),
		"bomb":                 bomb(t),
	} {
		r, err := s.Scan(t.Context(), blobOf(t, spool, data))
		if err != nil || r.Verdict != Unscannable || len(r.Findings) == 0 {
			t.Errorf("%s: %v, %v", name, r, err)
		}
	}
}

// bomb unpacks to 100 × 8 MiB of zeros, in a few kilobytes.
func bomb(t testing.TB) []byte {
	one := zipOf(t, make([]byte, 8<<20))
	all := make([][]byte, 100)
	for i := range all {
		all[i] = one
	}
	return zipOf(t, all...)
}

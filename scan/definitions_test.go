package scan

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"sekisho/assets"
)

func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestInstallSignatures(t *testing.T) {
	folder := t.TempDir()
	cvd := "ClamAV-VDB:22 Nov 2025 04-20 -0500:27000:2000000:90:md5:sig:builder:1763803200"
	write(t, folder, "daily.cvd", cvd+strings.Repeat(" ", cvdHeader-len(cvd))+"data")
	write(t, folder, "freshclam.dat", "a note, not definitions")
	single := write(t, t.TempDir(), "own.ndb", "Own:0:*:00112233\n")
	old := time.Date(2025, 1, 2, 3, 4, 5, 0, time.UTC)
	if err := os.Chtimes(single, old, old); err != nil {
		t.Fatal(err)
	}
	db := t.TempDir()
	d, err := installSignatures(db, assets.Rules, []string{folder, single})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range d.Files {
		names = append(names, f.Name)
		data, err := os.ReadFile(filepath.Join(db, f.Name))
		if err != nil || int64(len(data)) != f.Size {
			t.Errorf("%s: %d bytes, %v", f.Name, len(data), err)
		}
	}
	if got := strings.Join(names, " "); got != "daily.cvd own.ndb sekisho-demo.hdb sekisho-demo.ndb" {
		t.Errorf("installed %s", got)
	}
	if want := time.Date(2025, 11, 22, 9, 20, 0, 0, time.UTC); !d.Newest.Equal(want) || d.Newest.Location() != time.UTC || !d.Files[1].Time.Equal(old) {
		t.Errorf("newest %v, %v", d.Newest, d.Files[1].Time)
	}
	if d.Demonstration {
		t.Error("customers' definitions are a demonstration")
	}
	demo, err := installSignatures(t.TempDir(), assets.Rules, nil)
	if err != nil || !demo.Demonstration || !demo.Newest.IsZero() || demo.Digest == d.Digest {
		t.Errorf("%+v, %v", demo, err)
	}
	again, err := installSignatures(t.TempDir(), assets.Rules, []string{single, folder})
	if err != nil || again.Digest != d.Digest {
		t.Errorf("the digest depends on the order: %v", err)
	}
}

func TestInstallSignaturesRefuses(t *testing.T) {
	twice := write(t, t.TempDir(), "sekisho-demo.ndb", "Own:0:*:00112233\n")
	for what, path := range map[string]string{
		"a missing path":               filepath.Join(t.TempDir(), "x"),
		"a folder without definitions": t.TempDir(),
		"a file of another kind":       write(t, t.TempDir(), "readme.txt", "x"),
		"a name that is taken":         twice,
		"a device":                     "/dev/null",
	} {
		if d, err := installSignatures(t.TempDir(), assets.Rules, []string{path}); err == nil {
			t.Errorf("%s was accepted: %+v", what, d)
		}
	}
	if _, err := installSignatures(t.TempDir(), fstest.MapFS{}, nil); err == nil {
		t.Error("no definitions at all were accepted")
	}
}

func TestDefinitionsJSON(t *testing.T) {
	_, d, err := loadRules(assets.Rules, nil)
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(d)
	if err != nil || !strings.Contains(string(b), `"digest":"`+d.Digest.String()+`"`) || strings.Contains(string(b), "0001-01-01") {
		t.Errorf("%s, %v", b, err)
	}
	var back Definitions
	if err := json.Unmarshal(b, &back); err != nil || back.Digest != d.Digest || len(back.Files) != len(d.Files) {
		t.Errorf("%+v, %v", back, err)
	}
}

func FuzzSum(f *testing.F) {
	f.Add(Sum{1, 2, 3}.String())
	f.Fuzz(func(t *testing.T, text string) {
		s := Sum{1}
		if err := s.UnmarshalText([]byte(text)); err != nil {
			if s != (Sum{}) {
				t.Fatal("refused, but left something")
			}
		} else if s.String() != text {
			t.Fatalf("%q became %q", text, s)
		}
	})
}

func FuzzCVDTime(f *testing.F) {
	f.Add([]byte("ClamAV-VDB:22 Nov 2025 04-20 -0500:27000:"))
	f.Add([]byte("ClamAV-VDB:"))
	f.Fuzz(func(t *testing.T, head []byte) {
		if made, ok := cvdTime(head); !ok && !made.IsZero() {
			t.Fatal("refused, but left something")
		}
	})
}

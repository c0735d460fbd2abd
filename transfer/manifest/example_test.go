package manifest_test

import (
	"bytes"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"sekisho/transfer/manifest"
	"sekisho/transfer/seal"
)

// The example of FORMAT.md, one invented transfer, as it lies in testdata:
//
//	drive/      what is on the drive
//	plain/      the same documents outside their encryption and envelopes
//	keys.json   the gate's key set
//	gate.key    the keys that open the parts; they are of this example and
//	recovery.key    of nothing else
const (
	exampleDir = "testdata/example"
	transfer   = "20261122T1212Z-k3-000042"
	exampleBag = "drive/" + manifest.Transfers + "/" + transfer + "/"
)

var (
	updating = func() bool { return flag.Lookup("update").Value.String() == "true" }
	evening  = time.Date(2026, 11, 22, 12, 12, 40, 0, time.UTC)
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestExample makes the example again and compares it with what is in testdata,
// and what FORMAT.md quotes of it.
func TestExample(t *testing.T) {
	made := makeExample(t)
	if updating() {
		must(t, os.RemoveAll(exampleDir))
		for name, data := range made {
			path := filepath.Join(exampleDir, name)
			must(t, os.MkdirAll(filepath.Dir(path), 0o755))
			must(t, os.WriteFile(path, data, 0o644))
		}
	}
	found := 0
	must(t, fs.WalkDir(os.DirFS(exampleDir), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		found++
		data, err := os.ReadFile(filepath.Join(exampleDir, name))
		if err != nil {
			return err
		}
		if want, ok := made[name]; !ok || !bytes.Equal(want, data) {
			t.Errorf("%s is not what is made now; go test -update renews it when that is meant", name)
		}
		return nil
	}))
	if found != len(made) {
		t.Errorf("%d files in %s, %d are made", found, exampleDir, len(made))
	}
}

// quoted is the block after a line "`name`:" in FORMAT.md.
var quoted = regexp.MustCompile("(?m)^`([^`\n]+)`:\n\n```\n((?s:.*?))```\n")

var recipient = regexp.MustCompile(`(age1pq1[a-z0-9]{12})[a-z0-9]{100,}([a-z0-9]{8})`)

func TestFormatQuotesExample(t *testing.T) {
	doc, err := os.ReadFile("FORMAT.md")
	must(t, err)
	want := func(name string) string {
		if name == "SEKISHO" {
			return listing(t)
		}
		for _, dir := range []string{"", "plain/", exampleBag, "drive/" + manifest.Root + "/"} {
			if data, err := os.ReadFile(filepath.Join(exampleDir, dir+name)); err == nil {
				return recipient.ReplaceAllString(strings.ToValidUTF8(string(data), "\ufffd"), "$1…$2")
			}
		}
		t.Fatalf("FORMAT.md quotes %q, which the example does not have", name)
		return ""
	}
	if updating() {
		doc = quoted.ReplaceAllFunc(doc, func(block []byte) []byte {
			name := string(quoted.FindSubmatch(block)[1])
			return []byte("`" + name + "`:\n\n```\n" + want(name) + "```\n")
		})
		must(t, os.WriteFile("FORMAT.md", doc, 0o644))
	}
	seen := make(map[string]bool)
	for _, m := range quoted.FindAllStringSubmatch(string(doc), -1) {
		seen[m[1]] = true
		if m[2] != want(m[1]) {
			t.Errorf("FORMAT.md's %s is not the example's; go test -update renews it", m[1])
		}
	}
	for _, name := range []string{"SEKISHO", "bagit.txt", "bag-info.txt", "manifest-sha256.txt", "tagmanifest-sha256.txt", "index.jsonl", "details.jsonl",
		"files.sha256", "statement.json", "receipt.json", "keys.json", "drive.json"} {
		if !seen[name] {
			t.Errorf("FORMAT.md does not quote %s", name)
		}
	}
	for _, limit := range []int{manifest.MaxParts, manifest.MaxPartSize, manifest.MaxTagFile, manifest.MaxPath, manifest.MaxName, manifest.MaxFindings,
		manifest.MaxLine, manifest.MaxText, manifest.MaxRule, manifest.MaxStatement, manifest.MaxGaps, seal.MaxEnvelope, seal.MaxEvidence} {
		if !strings.Contains(string(doc), fmt.Sprintf("%d", limit)) {
			t.Errorf("FORMAT.md does not state the limit %d", limit)
		}
	}
}

// listing names what is on the example's drive, with sizes.
func listing(t *testing.T) string {
	var b strings.Builder
	must(t, fs.WalkDir(os.DirFS(exampleDir+"/drive"), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			fmt.Fprintf(&b, "%6d  %s\n", info.Size(), name)
		}
		return err
	}))
	return b.String()
}

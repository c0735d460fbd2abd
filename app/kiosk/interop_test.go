package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/secure-systems-lab/go-securesystemslib/dsse"
	"golang.org/x/sys/unix"

	"sekisho/app/config"
	"sekisho/app/internal/script"
	"sekisho/transfer/manifest"
	"sekisho/transfer/manifest/bagit"
	"sekisho/transfer/seal"
)

// Programs that are not ours read a drive: this carries a night with the real
// programs, and hands the drive to sha256sum, age, tar, openssl and tpm2-tools.
func TestOtherToolsReadADrive(t *testing.T) {
	n := carry(t)
	t.Run("sha256sum", n.sha256sum)
	t.Run("BagIt", n.bagIt)
	t.Run("recover.sh", n.recover)
	t.Run("recover.sh refuses", n.recoverRefuses)
	t.Run("openssl and tpm2-tools", n.signatures)
}

// carried is a night on its drive, and where the programs are.
type carried struct {
	dir string // of everything
	bag string
	age string
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// execute runs a command that has to succeed.
func execute(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	out, err := command(dir, name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
	return string(out)
}

func command(dir, name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "LC_ALL=C", "TZ=UTC")
	return cmd
}

func carry(t *testing.T) *carried {
	n := &carried{dir: t.TempDir()}
	must(t, os.Chmod(n.dir, 0o755)) // clamd runs as somebody else
	build := func(name, pkg string, flags ...string) string {
		path := filepath.Join(n.dir, "bin", name)
		execute(t, ".", "go", append(append([]string{"build", "-o", path}, flags...), pkg)...)
		return path
	}
	script.Build(t, "gate")
	mkexport := build("mkexport", "../../build/mkexport")
	n.age = build("age", "filippo.io/age/cmd/age", "-modfile=../../build/tools.mod")

	execute(t, n.dir, mkexport, "-profile", "smoke", "-night", "1", "-seed", "1", "export")
	hostile(t, filepath.Join(n.dir, "export"))
	must(t, script.Configure(n.dir))
	small := regexp.MustCompile(`(?m)^part_mib = .*`).ReplaceAll(config.KioskExample, []byte("part_mib = 4"))
	must(t, os.WriteFile(filepath.Join(n.dir, "kiosk.toml"), small, 0o644))
	must(t, os.Mkdir(filepath.Join(n.dir, "drive"), 0o755))
	script.Enrol(t, n.dir)
	execute(t, n.dir, "kiosk", "send", "-config", "kiosk.toml", "-workflow", "export", "-drive", "drive")
	execute(t, n.dir, "gate", "import", "-config", "gate.toml", "drive")
	bags, err := filepath.Glob(filepath.Join(n.dir, "drive", manifest.Transfers, "*"))
	if err != nil || len(bags) != 1 {
		t.Fatalf("bags %v, %v", bags, err)
	}
	n.bag = bags[0]
	if parts, _ := filepath.Glob(filepath.Join(n.bag, "data", "*.age")); len(parts) < 3 {
		t.Fatalf("only %d parts", len(parts))
	}
	return n
}

// hostile adds what tools and filesystems stumble over, all of it clean.
func hostile(t *testing.T, export string) {
	evening := time.Date(2026, 11, 22, 12, 12, 40, 123456789, time.UTC)
	for name, modified := range map[string]time.Time{
		"line\nfeed": evening, "return\rhere": evening, `back\slash\n`: evening, " lead and trail ": evening, "-rf": evening, "*": evening,
		"\x8e\xd0\x95\xf1.csv": evening, "\xff\xfe": evening, "か\u3099.pdf": evening, "が.pdf": evening, strings.Repeat("長", 85): evening,
		strings.Repeat("d", 90) + "/" + strings.Repeat("e", 90) + "/" + strings.Repeat("f", 90) + "/deep": evening,
		"before 1970": time.Unix(-2, 250_000_000), "after 2242": time.Date(2300, 1, 1, 0, 0, 0, 5, time.UTC), "whole second": time.Unix(1, 0),
		"none": evening, ".hidden/.recover.x": evening,
	} {
		path := filepath.Join(export, "hostile", name)
		must(t, os.MkdirAll(filepath.Dir(path), 0o755))
		content := "content of " + name
		if name == "none" {
			content = ""
		}
		must(t, os.WriteFile(path, []byte(content), 0o600))
		must(t, os.Chtimes(path, modified, modified))
	}
	larger := bytes.Repeat([]byte("a row of a table that is larger than a part\n"), 200_000) // 8.8 MB
	must(t, os.WriteFile(filepath.Join(export, "hostile", "larger than a part"), larger, 0o644))
	for _, folder := range []string{"empty", "empty \x8e\xd0/inner\nempty"} {
		must(t, os.MkdirAll(filepath.Join(export, "hostile", folder), 0o755))
		must(t, os.Chtimes(filepath.Join(export, "hostile", folder), evening, evening.Add(-time.Hour)))
	}
}

func (n *carried) sha256sum(t *testing.T) {
	for _, list := range []string{manifest.TagManifest, manifest.Manifest} {
		out := execute(t, n.bag, "sha256sum", "--strict", "-c", list)
		text, err := os.ReadFile(filepath.Join(n.bag, list))
		must(t, err)
		if want := bytes.Count(text, []byte("\n")); want == 0 || strings.Count(out, ": OK\n") != want {
			t.Errorf("%s: %d lines:\n%s", list, want, out)
		}
	}
}

func (n *carried) bagIt(t *testing.T) {
	if err := bagit.Check(os.DirFS(n.bag)); err != nil {
		t.Error(err)
	}
	copied := n.copy(t)
	flip(t, filepath.Join(copied, manifest.PartName(2)))
	if err := bagit.Check(os.DirFS(copied)); !errors.Is(err, bagit.ErrInvalid) {
		t.Errorf("a flipped byte: %v", err)
	}
}

// rescue runs the drive's own recover.sh as a hospital would.
func (n *carried) rescue(bag, age, key, out string) (string, error) {
	cmd := command(filepath.Dir(out), "sh", filepath.Join(bag, manifest.Script), key, out)
	cmd.Env = append(cmd.Env, "AGE="+age)
	text, err := cmd.CombinedOutput()
	return string(text), err
}

func (n *carried) recover(t *testing.T) {
	key := filepath.Join(n.dir, "recovery.key")
	out := filepath.Join(t.TempDir(), "new folder")
	text, err := n.rescue(n.bag, n.age, key, out)
	if err != nil || !strings.Contains(text, "\nrecovered ") {
		t.Fatalf("%v: %s", err, text)
	}
	same(t, filepath.Join(n.dir, "export"), out)

	// As words are typed: relative names, from the folder above.
	t.Chdir(n.dir)
	bag, err := filepath.Rel(n.dir, n.bag)
	must(t, err)
	cmd := exec.Command("sh", filepath.Join(bag, manifest.Script), "recovery.key", "recovered here")
	cmd.Env = append(os.Environ(), "AGE=bin/age")
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, text)
	}
	same(t, "export", "recovered here")
}

func (n *carried) recoverRefuses(t *testing.T) {
	key := filepath.Join(n.dir, "recovery.key")
	refused := func(name, want, bag, age, key, out string) {
		t.Helper()
		text, err := n.rescue(bag, age, key, out)
		if failed := new(exec.ExitError); !errors.As(err, &failed) || strings.Contains(text, "\nrecovered ") || !strings.Contains(text, want) {
			t.Errorf("%s: %v, without %q:\n%s", name, err, want, text)
		}
	}
	out := func() string { return filepath.Join(t.TempDir(), "out") }
	for name, want := range map[string]string{
		manifest.PartName(1): "a part was altered", manifest.PartName(3): "a part was altered",
		manifest.Index: "a file of the bag was altered", manifest.DetailsFile: "a file of the bag was altered", manifest.FileSums: "a file of the bag was altered",
		manifest.BagInfo: "a file of the bag was altered", manifest.BagIt: "a file of the bag was altered", manifest.Manifest: "a file of the bag was altered",
		manifest.Script: "", manifest.TagManifest: "a file of the bag was altered",
	} {
		bag := n.copy(t)
		flip(t, filepath.Join(bag, name))
		refused(name, want, bag, n.age, key, out())
	}
	// Somebody who can flip a byte can make the lists fit again. age does not.
	for _, name := range []string{manifest.PartName(2), manifest.FileSums} {
		bag := n.copy(t)
		flip(t, filepath.Join(bag, name))
		relist(t, bag)
		refused(name+" with lists made anew", "", bag, n.age, key, out())
	}
	bag := n.copy(t)
	must(t, os.Remove(filepath.Join(bag, manifest.PartName(2))))
	refused("a part missing", "a part was altered or is missing", bag, n.age, key, out())

	other, err := age.GenerateHybridIdentity()
	must(t, err)
	wrong := filepath.Join(t.TempDir(), "wrong.key")
	must(t, os.WriteFile(wrong, []byte(other.String()+"\n"), 0o600))
	refused("another key", "this key does not open this backup", n.bag, n.age, wrong, out())
	refused("no key", "cannot read the key", n.bag, n.age, filepath.Join(n.dir, "nothing"), out())
	refused("no key in it", "holds no recovery key", n.bag, n.age, filepath.Join(n.dir, "keys.json"), out())
	refused("a folder that is not empty", "is not empty", n.bag, n.age, key, filepath.Join(n.dir, "export"))
	old, err := exec.LookPath("age")
	must(t, err)
	if v := execute(t, n.dir, old, "--version"); !strings.HasPrefix(v, "1.1.") && !strings.HasPrefix(v, "1.2.") {
		t.Fatalf("the age of this system is %s: this test wants one before 1.3", v)
	}
	refused("an old age", "is older than 1.3 (it says 1.", n.bag, old, key, out())
	refused("no age", "is missing", n.bag, filepath.Join(n.dir, "none"), key, out())
}

func (n *carried) signatures(t *testing.T) {
	record, err := os.ReadFile(filepath.Join(n.dir, "gate", "kiosks", "kiosk1.json"))
	must(t, err)
	kiosk, err := seal.ParseKiosk(record)
	must(t, err)
	sealing, err := kiosk.PublicKey()
	must(t, err)
	var keys manifest.KeySet
	data, err := os.ReadFile(filepath.Join(n.dir, "keys.json"))
	must(t, err)
	must(t, json.Unmarshal(data, &keys))
	receipts, err := filepath.Glob(filepath.Join(n.dir, "drive", manifest.Receipts, "*"))
	must(t, err)
	if len(receipts) != 1 {
		t.Fatalf("%d receipts", len(receipts))
	}
	statement := unpack(t, filepath.Join(n.bag, manifest.SealDir, manifest.Envelope), sealing.Marshal())
	receipt := unpack(t, receipts[0], []byte(keys.Receipts))
	for name, dir := range map[string]string{"statement": statement, "receipt": receipt} {
		verify := []string{"dgst", "-sha256", "-verify", "key.pem", "-signature", "sig", "pae"}
		if out := execute(t, dir, "openssl", verify...); !strings.Contains(out, "Verified OK") {
			t.Errorf("%s: %s", name, out)
		}
		flip(t, filepath.Join(dir, "sig"))
		if out, err := command(dir, "openssl", verify...).CombinedOutput(); err == nil {
			t.Errorf("%s: a flipped signature is accepted: %s", name, out)
		}
	}
	must(t, os.CopyFS(statement, os.DirFS(filepath.Join(n.bag, manifest.SealDir))))
	if out := execute(t, statement, "sh", "-e", "-c", documented(t)); !strings.Contains(out, "Verified OK") || !strings.Contains(out, "pcrs:") {
		t.Errorf("the commands of package seal: %s", out)
	}
	flip(t, filepath.Join(statement, "pae"))
	if out, err := command(statement, "sh", "-e", "-c", documented(t)).CombinedOutput(); err == nil {
		t.Errorf("the quote is accepted for another statement: %s", out)
	}
}

// unpack lays an envelope's parts out for openssl.
func unpack(t *testing.T, path string, key []byte) string {
	data, err := os.ReadFile(path)
	must(t, err)
	var e dsse.Envelope
	must(t, json.Unmarshal(data, &e))
	payload, err := e.DecodeB64Payload()
	must(t, err)
	var sig struct{ Signatures []struct{ Sig []byte } }
	must(t, json.Unmarshal(data, &sig))
	dir := t.TempDir()
	for name, data := range map[string][]byte{"key.pem": key, "sig": sig.Signatures[0].Sig, "pae": dsse.PAE(e.PayloadType, payload)} {
		must(t, os.WriteFile(filepath.Join(dir, name), data, 0o600))
	}
	return dir
}

// documented returns the shell commands in package seal's comment, as written.
func documented(t *testing.T) string {
	doc, err := os.ReadFile("../../transfer/seal/doc.go")
	must(t, err)
	_, text, _ := strings.Cut(string(doc), "// Other tools read the evidence.")
	text, _, _ = strings.Cut(text, "// # ")
	var script strings.Builder
	for _, m := range regexp.MustCompile(`(?m)^//\t(.*)$`).FindAllStringSubmatch(text, -1) {
		script.WriteString(m[1] + "\n")
	}
	if !strings.Contains(script.String(), "tpm2_checkquote") {
		t.Fatal("package seal documents no tpm2_checkquote")
	}
	return script.String()
}

// copy gives a bag to alter. Its files are the same until they are replaced.
func (n *carried) copy(t *testing.T) string {
	dir := filepath.Join(t.TempDir(), "bag")
	execute(t, n.dir, "cp", "--archive", "--link", n.bag, dir)
	return dir
}

// flip changes one bit in the middle of a file, in a copy of its own.
func flip(t *testing.T, path string) {
	data, err := os.ReadFile(path)
	must(t, err)
	data[len(data)/2] ^= 1
	must(t, os.Remove(path))
	must(t, os.WriteFile(path, data, 0o600))
}

// relist makes both checksum lists of a bag anew.
func relist(t *testing.T, bag string) {
	execute(t, bag, "sh", "-c", "rm *manifest-*; sha256sum data/*.age >manifest-sha256.txt; sha256sum *.age bag*.txt manifest-sha256.txt recover.sh >tagmanifest-sha256.txt")
}

// same compares two trees: names as bytes, contents, times of files and folders.
func same(t *testing.T, want, got string) {
	t.Helper()
	a, b := tree(t, want), tree(t, got)
	var differ []string
	for name, w := range a {
		if g, ok := b[name]; !ok || g != w {
			differ = append(differ, fmt.Sprintf("%q", name))
		}
	}
	if len(a) != len(b) || len(a) < 2000 || len(differ) > 0 {
		t.Errorf("%s: %d entries became %d, %d differ: %.600s", got, len(a), len(b), len(differ), differ)
	}
}

type node struct {
	folder  bool
	content string
	time    int64 // nanoseconds
}

func tree(t *testing.T, dir string) map[string]node {
	nodes := make(map[string]node)
	must(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		var st unix.Stat_t
		if err := unix.Lstat(path, &st); err != nil {
			return err
		}
		n := node{folder: d.IsDir(), time: st.Mtim.Nano()}
		if !n.folder {
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			n.content = string(data)
		}
		name, err := filepath.Rel(dir, path)
		nodes[name] = n
		return err
	}))
	return nodes
}

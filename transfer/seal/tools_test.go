package seal

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/secure-systems-lab/go-securesystemslib/dsse"
)

// openssl returns a step that writes what an openssl command makes to a path.
func openssl(args ...string) func(path string) error {
	return func(path string) error {
		if err := exec.Command("openssl", append(args, "-out", path)...).Run(); err != nil {
			return err
		}
		return os.Chmod(path, 0o600)
	}
}

// documented returns the shell commands of the package comment, as written.
func documented(t *testing.T) string {
	t.Helper()
	doc, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(doc), "// Other tools read the evidence.")
	text, _, _ = strings.Cut(text, "// # ")
	var script strings.Builder
	for _, m := range regexp.MustCompile(`(?m)^//\t(.*)$`).FindAllStringSubmatch(text, -1) {
		script.WriteString(m[1] + "\n")
	}
	if n := strings.Count(script.String(), "\n"); n < 4 {
		t.Fatalf("the package comment has %d lines of commands", n)
	}
	return script.String()
}

// The package comment's commands accept a seal, and refuse an altered one.
func TestOtherToolsVerify(t *testing.T) {
	script := documented(t)
	k := newKey(t, openIn(t, newFolder(t)))
	if err := k.tpm.Measure(someList(3)); err != nil {
		t.Fatal(err)
	}
	s := newSeal(t, k, firstPayload)
	run := func(name, content string) (string, error) {
		dir := t.TempDir()
		files := s.Evidence.Files()
		files["statement.dsse.json"] = s.Envelope
		files["key.pem"] = k.Public().Marshal()
		files["pae"] = pae(testType, []byte(firstPayload))
		if name != "" {
			files[name] = []byte(content)
		}
		for name, data := range files {
			if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		cmd := exec.Command("sh", "-e", "-c", script)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	if out, err := run("", ""); err != nil || !strings.Contains(out, "Verified OK") || !strings.Contains(out, "pcrs:") {
		t.Fatalf("%v: %s", err, out)
	}
	otherPCRs := bytes.Clone(s.Evidence.PCRs)
	otherPCRs[valueAt(10)] ^= 1
	for name, content := range map[string]string{
		"pae":            string(pae(testType, []byte(secondPayload))),
		"quote.pcrs":     string(otherPCRs),
		"quote.sig":      string(s.Evidence.CounterSig),
		"counter.attest": string(s.Evidence.Quote),
		"events.json":    string(noEvents(t)),
	} {
		if out, err := run(name, content); err == nil {
			t.Errorf("accepted with another %s: %s", name, out)
		}
	}
}

func TestOpenSSLVerifiesFileKey(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "made by openssl.key")
	if err := openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256")(path); err != nil {
		t.Fatal(err)
	}
	p, err := LoadPrivateKey(path)
	if err != nil {
		t.Fatal(err)
	}
	envelope, err := p.Sign(testType, []byte(firstPayload))
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{
		"pae": pae(testType, []byte(firstPayload)), "sig": mustParse(t, envelope).Signatures[0].Sig, "key.pem": p.Public().Marshal(),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command("openssl", "dgst", "-sha256", "-verify", "key.pem", "-signature", "sig", "pae")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

func TestPAE(t *testing.T) {
	for _, payload := range []string{"", "x", firstPayload, strings.Repeat("受", 5000)} {
		if got, want := pae(testType, []byte(payload)), dsse.PAE(testType, []byte(payload)); !bytes.Equal(got, want) {
			t.Errorf("got %.60q, want %.60q", got, want)
		}
	}
}

// Opening needs no cgo, no TPM and no tools: this builds and runs the test of
// recorded seals without them.
func TestOpensWithoutCgoOrTPM(t *testing.T) {
	tool, err := exec.LookPath("go")
	if err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(t.TempDir(), "seal.test")
	build := exec.Command(tool, "test", "-c", "-o", binary, "sekisho/transfer/seal")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building: %v: %s", err, out)
	}
	run := exec.Command(binary, "-test.run=^TestRecorded", "-test.v")
	run.Env = []string{"PATH=" + t.TempDir(), "TMPDIR=" + t.TempDir()}
	if out, err := run.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS: TestRecordedSealOpens") {
		t.Errorf("running: %v: %s", err, out)
	}
}

// A verifier is this package and what it imports: nothing of ours but the list
// of events, and no C.
func TestImports(t *testing.T) {
	list := func(args ...string) []string {
		t.Helper()
		out, err := exec.Command("go", append([]string{"list", "-f"}, args...)...).Output()
		if err != nil {
			t.Fatal(err)
		}
		return strings.Fields(string(out))
	}
	for _, p := range list(`{{join .Imports "\n"}}`, "sekisho/transfer/seal") {
		if strings.HasPrefix(p, "sekisho/") && p != "sekisho/transfer/canonical" && p != "sekisho/transfer/measure" {
			t.Errorf("imports %s", p)
		}
	}
	all := list(`{{if not .Standard}}{{.ImportPath}}:{{len .CgoFiles}}{{end}}`, "-deps", "sekisho/transfer/seal")
	if len(all) < 3 {
		t.Fatalf("imports only %q", all)
	}
	for _, p := range all {
		if !strings.HasSuffix(p, ":0") {
			t.Errorf("%s has files in C", p)
		}
	}
}

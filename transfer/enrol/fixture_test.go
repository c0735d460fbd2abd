package enrol

import (
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"sekisho/transfer/manifest"
	"sekisho/transfer/seal"
)

// Two software TPMs are manufactured, once; each test has copies of its own.
var (
	made     string // the folder of all
	firstTPM = sync.OnceValues(func() (string, error) { return manufacture("first") })
	otherTPM = sync.OnceValues(func() (string, error) { return manufacture("other") })
)

func TestMain(m *testing.M) {
	var err error
	if made, err = os.MkdirTemp("", "enrol"); err != nil {
		panic(err)
	}
	code := m.Run()
	if err := os.RemoveAll(made); err != nil {
		panic(err)
	}
	os.Exit(code)
}

func manufacture(name string) (string, error) {
	dir := filepath.Join(made, name)
	tpm, err := seal.OpenSoftware(context.Background(), dir)
	if err != nil {
		return "", err
	}
	return dir, tpm.Close()
}

// machine is a kiosk.
type machine struct {
	dir  string // of its software TPM
	tpm  *seal.TPM
	key  *seal.Key
	form seal.Form
	ek   seal.Endorsement
}

func newMachine(t *testing.T, template func() (string, error), form seal.Form) *machine {
	t.Helper()
	from, err := template()
	if err != nil {
		t.Fatal(err)
	}
	m := &machine{dir: filepath.Join(t.TempDir(), "tpm"), form: form}
	if out, err := exec.Command("cp", "-a", from, m.dir).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if m.tpm, err = seal.OpenSoftware(t.Context(), m.dir); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.tpm.Close(); err != nil {
			t.Error(err)
		}
	})
	if m.key, err = m.tpm.CreateKey(form); err != nil {
		t.Fatal(err)
	}
	if m.ek, err = m.tpm.Endorsement(t.Context()); err != nil {
		t.Fatal(err)
	}
	return m
}

// request is carried to the gate, as all documents here are.
func (m *machine) request(t *testing.T, change func(*Request)) *Request {
	t.Helper()
	var state []byte
	if m.form.Approvals != nil {
		state = []byte("claimed")
	}
	r, err := NewRequest("ward-2", m.ek, m.key, m.form, state, someDay)
	if err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(r)
	}
	return carry(t, r, ParseRequest)
}

// approve has IT approve the machine's present state.
func (m *machine) approve(t *testing.T, it *seal.PrivateKey) {
	t.Helper()
	registers, err := m.tpm.Registers()
	if err != nil {
		t.Fatal(err)
	}
	a, err := seal.Authorize(it, map[int][32]byte{7: registers[7], 13: registers[13]})
	if err != nil {
		t.Fatal(err)
	}
	m.key.Authorized([]seal.Authorization{a})
}

func carry[T interface{ Marshal() ([]byte, error) }](t *testing.T, document T, parse func([]byte) (T, error)) T {
	t.Helper()
	data, err := document.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	carried, err := parse(data)
	if err != nil {
		t.Fatal(err)
	}
	return carried
}

// gate has keys, IT's approvals key, and the roots of software TPMs.
type gate struct {
	keys  *manifest.KeySet
	it    *seal.PrivateKey
	roots Roots
}

func newGate(t *testing.T, name string, machines ...*machine) *gate {
	t.Helper()
	dir := t.TempDir()
	key := func(name string) *seal.PrivateKey {
		key, err := seal.CreatePrivateKey(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	text := func(k *seal.PrivateKey) string { return string(k.Public().Marshal()) }
	g := &gate{it: key("approvals")}
	g.keys = &manifest.KeySet{
		Gate: name, Encryption: recipient(name + " encryption"), Recovery: recipient(name + " recovery"),
		Receipts: text(key("receipts")), Ledger: text(key("ledger")), Approvals: text(g.it),
		Definitions: text(key("definitions")), Reports: text(key("reports")),
	}
	for _, m := range machines {
		g.trust(t, m)
	}
	return g
}

// recipient is a text that no one can decrypt for, in the form of one of age's.
func recipient(of string) string { return fmt.Sprintf("age1pq1%x", sha256.Sum256([]byte(of))) }

// trust configures the machine's software root.
func (g *gate) trust(t *testing.T, m *machine) {
	t.Helper()
	bundle, err := SoftwareRoots(m.dir)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "software.pem")
	if err := os.WriteFile(path, bundle, 0o600); err != nil {
		t.Fatal(err)
	}
	g.roots = append(g.roots, mustLoad(t, true, path)...)
}

// challenge is carried to the kiosk; pending is kept.
func (g *gate) challenge(t *testing.T, r *Request) (*Challenge, *Pending) {
	t.Helper()
	var approvals [][]byte
	if r.Bound() {
		approvals = [][]byte{[]byte("an envelope")}
	}
	c, p, err := NewChallenge(r, g.keys, g.roots, approvals)
	if err != nil {
		t.Fatal(err)
	}
	return carry(t, c, ParseChallenge), carry(t, p, ParsePending)
}

func (m *machine) respond(t *testing.T, r *Request, c *Challenge) *Answer {
	t.Helper()
	a, err := Respond(t.Context(), m.key, r, c)
	if err != nil {
		t.Fatal(err)
	}
	return carry(t, a, ParseAnswer)
}

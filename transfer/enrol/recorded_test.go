package enrol

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"sekisho/transfer/seal"
)

var record = flag.Bool("record", false, "record testdata anew, by a new software TPM")

// recorded returns a document that a real software TPM and its gate wrote.
func recorded(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil || len(data) == 0 {
		t.Fatalf("%s: %d bytes, %v", name, len(data), err)
	}
	return data
}

func makeRecord(t *testing.T) {
	g := newGate(t, "g1")
	m, bound := newMachine(t, firstTPM, seal.Form{}), newMachine(t, otherTPM, seal.Form{Approvals: g.it.Public()})
	g.trust(t, m)
	r := m.request(t, nil)
	c, p := g.challenge(t, r)
	a := m.respond(t, r, c)
	p.secret = [32]byte{} // no secret goes into the repository, not even a spent one
	roots, err := SoftwareRoots(m.dir)
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{
		"request.json": must(r.Marshal()), "bound.json": must(bound.request(t, nil).Marshal()),
		"challenge.json": must(c.Marshal()), "answer.json": must(a.Marshal()), "pending.json": must(p.Marshal()), "roots.pem": roots,
	} {
		if err := os.WriteFile(filepath.Join("testdata", name), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func must(data []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return data
}

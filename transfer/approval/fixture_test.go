package approval

import (
	"bytes"
	"crypto/sha256"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sekisho/transfer/measure"
	"sekisho/transfer/seal"
)

// noon is when everything begins; dates are the same in every zone that we ship to.
var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// newKey is a key of IT's, as of a file, without the second that scrypt takes.
func newKey(t testing.TB) *seal.PrivateKey {
	t.Helper()
	key, err := seal.NewPrivateKey()
	must(t, err)
	return key
}

// list is what register 13 is extended with: each file, named with its content.
func list(files ...string) *measure.List {
	l := &measure.List{Register: 13}
	for _, f := range files {
		name, content, _ := strings.Cut(f, "=")
		l.Events = append(l.Events, measure.Event{Name: name, SHA256: sha256.Sum256([]byte(content))})
	}
	return l
}

// newState is the state of an invented kiosk k3.
func newState() State {
	s := State{
		Kiosk: "k3", Software: 13, Registers: make(Registers), Firmware: 1 << 56, Time: noon,
		Events: list("/usr/bin/kiosk=1.0", "/etc/sekisho/kiosk.toml=a", "/usr/lib/systemd/system/kiosk.service=b"),
	}
	for _, i := range []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 14} {
		s.Registers[i] = sha256.Sum256([]byte{byte(i)})
	}
	s.Registers[13] = s.Events.Replay()
	return s
}

// changed is the state with other values in some registers.
func changed(s State, registers ...int) State {
	s.Registers = maps.Clone(s.Registers)
	for _, i := range registers {
		s.Registers[i] = sha256.Sum256([]byte("another"))
		if i == s.Software {
			s.Events = &measure.List{Register: i}
		}
	}
	return s
}

func terms() Terms { return Terms{From: noon, By: "1234", Reason: "firmware 2.1, ticket 77"} }

func approve(t testing.TB, key *seal.PrivateKey, s State, terms Terms) *Approval {
	t.Helper()
	_, a, err := Sign(key, s, terms)
	must(t, err)
	return a
}

// tree is what a folder holds, by path; a folder that is not there holds nothing.
func tree(t testing.TB, dir string) map[string]string {
	t.Helper()
	all := make(map[string]string)
	if _, err := os.Stat(dir); os.IsNotExist(err) {
		return all
	}
	must(t, filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		rel, _ := filepath.Rel(dir, path)
		all[rel] = string(data)
		return err
	}))
	return all
}

// unchanged fails unless what was accepted marshals to the same bytes.
func unchanged(t testing.TB, data, again []byte, err error) {
	t.Helper()
	if err != nil || !bytes.Equal(data, again) {
		t.Errorf("accepted %q, which marshals to %q (%v)", data, again, err)
	}
}

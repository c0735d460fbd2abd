package transfer_test

import (
	"reflect"
	"strings"
	"testing"

	"filippo.io/age"

	"sekisho/transfer"
)

func TestIdentityFile(t *testing.T) {
	key, err := age.GenerateHybridIdentity()
	must(t, err)
	other, err := age.GenerateHybridIdentity()
	must(t, err)
	weak, err := age.GenerateX25519Identity()
	must(t, err)
	text := key.String()
	for name, file := range map[string]string{
		"the key alone":        text,
		"with a line end":      text + "\n",
		"with comments":        "# created: 2026-11-22\n# public key: age1pq1…\n\n" + text + "\n# end\n",
		"with Windows' ends":   "# key\r\n" + text + "\r\n",
		"with space around it": "  " + text + "\t\n",
	} {
		id, err := transfer.NewIdentity(file)
		if err != nil || id.Recipient() != key.Recipient().String() {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, file := range map[string]string{
		"nothing":          "",
		"comments only":    "# nothing\n",
		"two keys":         text + "\n" + other.String(),
		"the key twice":    text + "\n" + text,
		"a classical key":  weak.String(),
		"one of each":      text + "\n" + weak.String(),
		"cut short":        text[:len(text)-1],
		"a letter changed": text[:30] + swapCase(text[30]) + text[31:],
		"a public key":     key.Recipient().String(),
		"two on a line":    text + " " + text,
	} {
		id, err := transfer.NewIdentity(file)
		if err == nil {
			t.Errorf("%s was accepted", name)
			continue
		}
		if !reflect.DeepEqual(id, transfer.Identity{}) {
			t.Errorf("%s: an identity beside the error", name)
		}
		for _, secret := range []string{text, other.String(), weak.String(), text[20:40]} {
			if strings.Contains(err.Error(), secret) {
				t.Errorf("%s: the error holds the key: %v", name, err)
			}
		}
	}
}

// swapCase gives another letter of the alphabet that keys are written in.
func swapCase(c byte) string {
	if c == 'Q' {
		return "P"
	}
	return "Q"
}

package console

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A passphrase comes from the first line of a file that is its owner's alone; no
// error holds it. What is typed is tested with the gate's script.
func TestPassphraseFile(t *testing.T) {
	dir := t.TempDir()
	c := New(io.Discard, io.Discard, "en")
	for name, f := range map[string]struct {
		text string
		mode os.FileMode
		want string // "" for none
		says string
	}{
		"line":     {"an invented passphrase\n", 0o600, "an invented passphrase", ""},
		"no end":   {"an invented passphrase", 0o400, "an invented passphrase", ""},
		"windows":  {"an invented passphrase\r\nmore\r\n", 0o600, "an invented passphrase", ""},
		"spaces":   {"  an invented passphrase \n", 0o600, "  an invented passphrase ", ""},
		"japanese": {"考えた合い言葉です\n", 0o600, "考えた合い言葉です", ""},
		"readable": {"an invented passphrase\n", 0o640, "", "can be read by others (-rw-r-----): chmod 600"},
		"empty":    {"", 0o600, "", "is empty"},
		"second":   {"\nan invented passphrase\n", 0o600, "", "is empty"},
		"long":     {strings.Repeat("x", maxPassphrase+1), 0o600, "", "is larger than it may be"},
	} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(f.text), f.mode); err != nil {
			t.Fatal(err)
		}
		got, err := c.Passphrase(path, "the key", true)
		if got != f.want || (err == nil) != (f.want != "") {
			t.Errorf("%s: %d characters, %v", name, len(got), err)
		}
		if err != nil && (!errors.As(err, new(*UsageError)) || !strings.Contains(err.Error(), f.says) || strings.Contains(err.Error(), "invented")) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, path := range map[string]string{"none": filepath.Join(dir, "none"), "a folder": dir} {
		if got, err := c.Passphrase(path, "the key", false); got != "" || !errors.As(err, new(*UsageError)) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

// Commands for machines without configuration take no -config; others demand it.
func TestFlagsOfOtherCommands(t *testing.T) {
	c := New(io.Discard, io.Discard, "en")
	offline := NewOfflineFlags("gate", "try", "A B", "")
	if rest, err := offline.Parse(c, []string{"a", "-lang", "ja", "b"}, 2); err != nil || len(rest) != 2 || c.Lang != "ja" {
		t.Errorf("%q, %v", rest, err)
	}
	if _, err := NewOfflineFlags("gate", "try", "A B", "").Parse(c, []string{"-config", "x", "a", "b"}, 2); err == nil {
		t.Error("it takes -config")
	}
	for _, args := range [][]string{{"-config", "x", "a"}, {"a", "b", "-config", "x", "c"}} {
		if rest, err := NewFlags("gate", "rotate", "P...", "").ParseSome(c, args); err != nil || len(rest) != len(args)-2 {
			t.Errorf("%q: %q, %v", args, rest, err)
		}
	}
	for _, args := range [][]string{{"-config", "x"}, {"a"}, {"-what", "a"}, nil} {
		if rest, err := NewFlags("gate", "rotate", "P...", "").ParseSome(c, args); rest != nil || !errors.As(err, new(*UsageError)) {
			t.Errorf("%q: %q, %v", args, rest, err)
		}
	}
}

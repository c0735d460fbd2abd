package console

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestReadFile(t *testing.T) {
	dir := t.TempDir()
	good, pipe := filepath.Join(dir, "good"), filepath.Join(dir, "pipe")
	if err := os.WriteFile(good, []byte("12345"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	hold, err := os.OpenFile(pipe, os.O_RDWR, 0) // or opening it would wait
	if err != nil {
		t.Fatal(err)
	}
	defer hold.Close()
	if data, err := ReadFile(good, 5); err != nil || string(data) != "12345" {
		t.Errorf("%q, %v", data, err)
	}
	for path, want := range map[string]string{
		good: "larger than it may be", dir: "is not a file", pipe: "is not a file", filepath.Join(dir, "none"): "no such file",
	} {
		data, err := ReadFile(path, 4)
		if data != nil || ExitCode(err) != ExitUsage || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %q, %v", path, data, err)
		}
	}
}

func TestWriteNew(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "new")
	if err := WriteNew(path, []byte("first"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{path, filepath.Join(dir, "none", "new")} {
		if err := WriteNew(p, []byte("second"), 0o600); ExitCode(err) != ExitUsage || !strings.Contains(err.Error(), p) {
			t.Errorf("%s: %v", p, err)
		}
	}
	if data, err := os.ReadFile(path); err != nil || !bytes.Equal(data, []byte("first")) {
		t.Errorf("%q, %v", data, err)
	}
}

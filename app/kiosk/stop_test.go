package main

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"sekisho/app/config"
	"sekisho/app/internal/script"
)

// night prepares a kiosk that is enrolled, with a source of several parts.
func night(t *testing.T) (dir string) {
	t.Helper()
	script.Build(t, "gate")
	dir = t.TempDir()
	cfg := bytes.Replace(config.KioskExample, []byte("part_mib = 128"), []byte("part_mib = 1"), 1)
	noise := rand.NewChaCha8([32]byte{})
	for _, err := range []error{
		script.Configure(dir), os.WriteFile(filepath.Join(dir, "kiosk.toml"), cfg, 0o600),
		os.Mkdir(filepath.Join(dir, "drive"), 0o700), os.Mkdir(filepath.Join(dir, "export"), 0o700),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for i := range 48 {
		data := make([]byte, 512<<10)
		_, _ = noise.Read(data) // never fails
		if err := os.WriteFile(filepath.Join(dir, "export", string(rune('A'+i))), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	script.Enrol(t, dir)
	return dir
}

// program makes a command in a process group of its own, as a shell does.
func program(dir, args string) *exec.Cmd {
	words := strings.Fields(args)
	c := exec.Command(words[0], words[1:]...)
	c.Dir, c.SysProcAttr = dir, &syscall.SysProcAttr{Setpgid: true}
	return c
}

const send = "kiosk send -config kiosk.toml -workflow export -drive drive"

// Ctrl-C reaches every process in the foreground, the engines and the software
// TPM too; a service manager's signal the program alone.
func TestStoppedSendGoesOn(t *testing.T) {
	dir := night(t)
	parts := filepath.Join(dir, "kiosk/outbox/bags/*/bag/data/000001.age")
	seen := func(pattern string) []string {
		names, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			t.Fatal(err)
		}
		return names
	}
	var first os.FileInfo
	for _, s := range []struct {
		when   string // more of these appear on the way
		signal syscall.Signal
		group  bool
	}{
		{"kiosk/outbox/bags/*/journal/*.age", syscall.SIGINT, true},
		{"kiosk/outbox/bags/*/journal/*.age", syscall.SIGTERM, false},
		{"drive/SEKISHO/transfers/*/data/*", syscall.SIGINT, true},
		{"drive/SEKISHO/transfers/*/data/*", syscall.SIGTERM, false},
	} {
		before := len(seen(s.when))
		var said bytes.Buffer
		c := program(dir, send)
		c.Stdout, c.Stderr = &said, &said
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		for deadline := time.Now().Add(time.Minute); len(seen(s.when)) <= before; time.Sleep(2 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("no more %s appeared:\n%s", s.when, &said)
			}
		}
		to := c.Process.Pid
		if s.group {
			to = -to
		}
		if err := syscall.Kill(to, s.signal); err != nil {
			t.Fatal(err)
		}
		err := c.Wait()
		if exit := new(exec.ExitError); !errors.As(err, &exit) || exit.ExitCode() != 1 {
			t.Fatalf("at %s: %v\n%s", s.when, err, &said)
		}
		if want := "The work was stopped before its end. Nothing was lost.\n  Start it again; it goes on where it stopped.\n  [Stopped]\n"; !strings.HasSuffix(said.String(), want) {
			t.Errorf("at %s:\n%s", s.when, &said)
		}
		if strings.Contains(said.String(), "level=") {
			t.Errorf("at %s, stopping looks like a fault:\n%s", s.when, &said)
		}
		if len(seen("drive/SEKISHO/transfers/*/seal/*")) != 0 {
			t.Errorf("at %s: the drive is sealed", s.when)
		}
		names := seen(strings.TrimPrefix(parts, dir+"/"))
		if len(names) != 1 {
			t.Fatalf("at %s: %q", s.when, names)
		}
		info, err := os.Stat(names[0])
		if err != nil {
			t.Fatal(err)
		}
		if first != nil && !os.SameFile(first, info) {
			t.Errorf("at %s: the work began anew", s.when)
		}
		first = info
	}
	for _, args := range []string{send, "gate import -config gate.toml drive", "gate restore -config gate.toml latest out",
		"kiosk log verify -config kiosk.toml", "gate log verify -config gate.toml", "diff -r export out"} {
		if out, err := program(dir, args).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", args, err, out)
		}
	}
	if left := append(seen("kiosk/spool/*"), seen("drive/SEKISHO/transfers/*/data/*.part")...); len(left) != 0 {
		t.Errorf("left behind: %q", left)
	}
}

// Package script runs what the two programs are promised to do, as a user would
// see it: the testdata/*.txtar beside each program, on real engines and a
// software TPM. It is for their tests only.
//
// Beside the commands of testscript a script has those of commands.go. It starts
// in an empty folder; night gives it a kiosk and a gate that know each other.
package script

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"sync"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// Main is the TestMain of a program: the test binary is that program too, and
// the worker that the program starts itself as.
func Main(m *testing.M, program string, main func()) {
	if len(os.Args) > 1 && os.Args[1] == "scan-worker" {
		main()
	}
	testscript.Main(m, map[string]func(){program: main})
}

// Run runs the scripts in testdata, which use the other program as well.
func Run(t *testing.T, other string) {
	Build(t, other)
	nights := &nights{dir: t.TempDir()}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireUniqueNames:  true,
		RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("TMPDIR", os.TempDir()) // clamd, which is another user, must reach it
			e.Setenv("GORACE", "atexit_sleep_ms=0")
			return nil
		},
		Cmds: commands(nights),
	})
}

// Build puts another program of app into the PATH, built as this test is.
func Build(t *testing.T, program string) {
	bin := t.TempDir()
	args := []string{"build", "-o", bin}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "-race" && s.Value == "true" {
				args = append(args, "-race")
			}
		}
	}
	if out, err := exec.Command("go", append(args, "sekisho/app/"+program)...).CombinedOutput(); err != nil {
		t.Fatalf("building %s: %v\n%s", program, err, out)
	}
	t.Setenv("PATH", bin+string(filepath.ListSeparator)+os.Getenv("PATH"))
	t.Setenv("GORACE", "atexit_sleep_ms=0")
}

// nights are prepared states that scripts begin with, each made once.
type nights struct {
	dir string
	mu  sync.Mutex
}

// The states, each made from the one before it.
var states = []struct {
	name     string
	commands [][]string
}{
	{"keys", [][]string{create}},
	{"enrolled", [][]string{enrolment("kiosk.toml", "gate.toml")}},
	{"sealed", [][]string{{"kiosk", "send", "-config", "kiosk.toml", "-workflow", "export", "-drive", "drive"}}},
	{"accepted", [][]string{{"gate", "import", "-config", "gate.toml", "drive"}}},
}

// night makes the state called name in an empty folder.
func (n *nights) night(name, dir string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	for i, s := range states {
		here := filepath.Join(n.dir, s.name)
		if _, err := os.Stat(here); err != nil {
			if i == 0 {
				err = first(here)
			} else {
				err = run("", "cp", "-a", filepath.Join(n.dir, states[i-1].name), here)
			}
			for _, c := range s.commands {
				if err == nil {
					err = run(here, c...)
				}
			}
			if err == nil && i == 0 {
				err = hasten(here)
			}
			if err != nil {
				return fmt.Errorf("making the state %s: %w", s.name, err)
			}
		}
		if s.name == name {
			return run("", "cp", "-a", here+"/.", dir)
		}
	}
	return fmt.Errorf("there is no state %q", name)
}

// first is what both programs find before they have run.
func first(dir string) error {
	for name, text := range export {
		path := filepath.Join(dir, "export", name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			return err
		}
	}
	for _, d := range []string{"drive", "export/empty folder"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o755); err != nil {
			return err
		}
	}
	return Configure(dir)
}

func run(dir string, args ...string) error {
	c := exec.Command(args[0], args[1:]...)
	c.Dir = dir
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("%q: %w\n%s", args, err, out)
	}
	return nil
}

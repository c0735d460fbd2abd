package script

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"

	"sekisho/app/config"
	"sekisho/app/console"
	"sekisho/transfer/durable"
)

// export is what the workflow of the example configuration finds.
var export = map[string]string{
	"001/0000001/ADT-00":         "MSH|^~\\&|an invented message\r",
	"001/0000001/OML-11":         "MSH|^~\\&|another\r",
	"scans/同意書　山田.pdf":           "%PDF-1.4 invented",
	"scans/empty":                "",
	"EXPORT.LOG":                 "normal end",
	"002/0000002/20261121/ADT12": "MSH|^~\\&|a third\r",
}

// Configure writes the example configurations, as the set-up of a demonstration
// does: with the root of a software TPM, on purpose. Beside them lies the
// passphrase of the keys that are IT's.
func Configure(dir string) error {
	gate := bytes.Replace(config.GateExample, []byte("# software_tpm_roots"), []byte("software_tpm_roots"), 1)
	return errors.Join(
		os.WriteFile(filepath.Join(dir, "kiosk.toml"), config.KioskExample, 0o644),
		os.WriteFile(filepath.Join(dir, "gate.toml"), gate, 0o644),
		os.WriteFile(filepath.Join(dir, "offline.passphrase"), []byte(passphrase+"\n"), 0o600))
}

type command = func(ts *testscript.TestScript, neg bool, args []string)

// commands are those that scripts have beside testscript's own.
func commands(n *nights) map[string]command {
	return map[string]command{
		// night STATE: begin with a gate that has its keys, with a kiosk and a gate
		// that are enrolled, with a drive that is sealed, or with one that the gate
		// has accepted.
		"night": want(1, func(ts *testscript.TestScript, args []string) { ts.Check(n.night(args[0], ts.MkAbs("."))) }),
		// examples: begin with the example configurations alone.
		"examples": want(0, func(ts *testscript.TestScript, _ []string) { ts.Check(Configure(ts.MkAbs("."))) }),
		// enrol KIOSK GATE: the kiosk and the gate of these configurations come to
		// trust each other; the gate has its keys.
		"enrol": want(2, people(enrolment)),
		// approve KIOSK GATE: IT approves the state that the kiosk is in.
		"approve": want(2, people(approval)),
		// shown NAME FILE: set the variable to what FILE shows for two people to
		// compare.
		"shown": want(2, shown),
		// chip NAME [restart|fill|mute|off]: a TPM that is a device.
		"chip": newChips().command,
		// exit CODE PROGRAM ARG...: run it and demand that exit code.
		"exit": exit,
		// contract KIND: standard output holds nothing but lines of that kind.
		"contract": want(1, contract),
		// newest NAME FOLDER: set the variable to the last name in a folder.
		"newest": want(2, newest),
		// sick FILE: the EICAR test file.
		"sick": want(1, func(ts *testscript.TestScript, args []string) {
			half := `X5O!P%@AP[4\PZX54(P^)7CC)7}$`
			ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(half+`EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*`), 0o644))
		}),
		// names FOLDER: files whose names a terminal must not get.
		"names": want(1, names),
		// flip FILE: change one bit in its middle.
		"flip": want(1, func(ts *testscript.TestScript, args []string) {
			data, err := os.ReadFile(ts.MkAbs(args[0]))
			ts.Check(err)
			data[len(data)/2] ^= 1
			ts.Check(os.WriteFile(ts.MkAbs(args[0]), data, 0o644))
		}),
		// tmpfs FOLDER SIZE: mount a small medium there.
		"tmpfs": want(2, func(ts *testscript.TestScript, args []string) {
			ts.Check(os.MkdirAll(ts.MkAbs(args[0]), 0o755))
			ts.Check(unix.Mount("tmpfs", ts.MkAbs(args[0]), "tmpfs", 0, "size="+args[1]))
			ts.Defer(func() { _ = unix.Unmount(ts.MkAbs(args[0]), unix.MNT_DETACH) })
		}),
		// protect FOLDER: make a mounted medium read-only.
		"protect": want(1, func(ts *testscript.TestScript, args []string) {
			ts.Check(unix.Mount("", ts.MkAbs(args[0]), "", unix.MS_REMOUNT|unix.MS_RDONLY, ""))
		}),
		// hold FOLDER: own a state folder, as another program at work does.
		"hold": want(1, func(ts *testscript.TestScript, args []string) {
			lock, err := durable.Acquire(ts.MkAbs(args[0]))
			ts.Check(err)
			ts.Defer(func() { _ = lock.Release() })
			ts.Setenv("HOLDER", strconv.Itoa(os.Getpid()))
		}),
		// same TREE TREE: names, contents, times and empty folders.
		"same": want(2, func(ts *testscript.TestScript, args []string) {
			a, b := tree(ts, args[0]), tree(ts, args[1])
			if a != b {
				ts.Fatalf("%s:\n%s\n%s:\n%s", args[0], a, args[1], b)
			}
		}),
		// secrets FILE...: no file below here but these holds a private key, a
		// passphrase or the secret of an enrolment, and these are their owner's.
		"secrets": secrets,
	}
}

// want checks the form of a command.
func want(n int, cmd func(*testscript.TestScript, []string)) command {
	return func(ts *testscript.TestScript, neg bool, args []string) {
		if neg || len(args) != n {
			ts.Fatalf("wrong use of the command: %q", args)
		}
		cmd(ts, args)
	}
}

// exit also demands of everything that is said that a terminal can bear it and
// that no secret is in it.
func exit(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exit CODE PROGRAM ARG...")
	}
	err := ts.Exec(args[1], args[2:]...)
	code := 0
	if failed := new(exec.ExitError); errors.As(err, &failed) {
		code = failed.ExitCode()
	} else {
		ts.Check(err)
	}
	if strconv.Itoa(code) != args[0] {
		ts.Fatalf("exit code %d, want %s", code, args[0])
	}
	for _, name := range []string{"stdout", "stderr"} {
		said := ts.ReadFile(name)
		if said != console.Visible(said) && !strings.HasPrefix(said, "usage: ") { // package flag indents by tabs
			ts.Fatalf("%s holds what must not reach a terminal: %q", name, said)
		}
		if s := secret([]byte(said)); s != "" {
			ts.Fatalf("%s holds a secret: %q", name, s)
		}
	}
}

func newest(ts *testscript.TestScript, args []string) {
	entries, err := os.ReadDir(ts.MkAbs(args[1]))
	ts.Check(err)
	if len(entries) == 0 {
		ts.Fatalf("%s is empty", args[1])
	}
	ts.Setenv(args[0], entries[len(entries)-1].Name())
}

func names(ts *testscript.TestScript, args []string) {
	dir := ts.MkAbs(args[0])
	ts.Check(os.MkdirAll(dir, 0o755))
	for _, name := range []string{"\x83J\x83\x8b\x83e", "two\nlines", "exe.\u202etxt", "\x1b[2Jcleared", "c1\u009b31m", "zero\u200bwidth", "カルテ"} {
		ts.Check(os.WriteFile(filepath.Join(dir, name), []byte(name), 0o644))
	}
}

// tree writes down all that a restore gives back.
func tree(ts *testscript.TestScript, dir string) string {
	var b bytes.Buffer
	root := ts.MkAbs(dir)
	ts.Check(filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil || path == root {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		var content []byte
		if info.Mode().IsRegular() {
			if content, err = os.ReadFile(path); err != nil {
				return err
			}
		}
		name, err := filepath.Rel(root, path)
		b.WriteString(strconv.Quote(name) + " " + info.Mode().Type().String() + " " + info.ModTime().UTC().String() + " " + strconv.Quote(string(content)) + "\n")
		return err
	}))
	return b.String()
}

const passphrase = "an invented passphrase"

// challenged is the secret of an enrolment that waits for its answer.
var challenged = regexp.MustCompile(`"secret":"([A-Za-z0-9+/]{43}=)"`)

var private = regexp.MustCompile(`(?i)AGE-SECRET-KEY-[A-Z-]*1[A-Z0-9]{8}|BEGIN [A-Z ]*PRIVATE KEY|` + passphrase + `|` + challenged.String())

// secret returns what only a key file may hold.
func secret(data []byte) string {
	return string(private.Find(data))
}

func secrets(ts *testscript.TestScript, neg bool, args []string) {
	files := contents(ts)
	var holding []string
	for name, data := range files {
		if secret(data) == "" {
			continue
		}
		holding = append(holding, name)
		if !owners(ts, name) {
			ts.Fatalf("%s can be read by others", name)
		}
		for _, m := range challenged.FindAllSubmatch(data, -1) {
			raw, err := base64.StdEncoding.DecodeString(string(m[1]))
			ts.Check(err)
			for other, data := range files {
				if other != name && (bytes.Contains(data, m[1]) || bytes.Contains(data, raw) || bytes.Contains(data, []byte(hex.EncodeToString(raw)))) {
					ts.Fatalf("%s holds the secret of %s", other, name)
				}
			}
		}
	}
	slices.Sort(holding)
	slices.Sort(args)
	if neg || !slices.Equal(holding, args) {
		ts.Fatalf("secrets are in %q, expected in %q", holding, args)
	}
}

// contents reads all files below here.
func contents(ts *testscript.TestScript) map[string][]byte {
	files := make(map[string][]byte)
	root := ts.MkAbs(".")
	ts.Check(filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		files[name], err = os.ReadFile(path)
		return err
	}))
	return files
}

// owners says whether a file, or a folder it lies in, is its owner's alone.
func owners(ts *testscript.TestScript, name string) bool {
	root := ts.MkAbs(".")
	for p := ts.MkAbs(name); p != root; p = filepath.Dir(p) {
		info, err := os.Stat(p)
		ts.Check(err)
		if info.Mode().Perm()&0o077 == 0 {
			return true
		}
	}
	return false
}

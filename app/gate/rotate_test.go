package main

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"sekisho/app/config"
	"sekisho/app/console"
	"sekisho/app/state"
	"sekisho/transfer/ledger"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestKeys is one test for several, which share a gate: a passphrase costs
// seconds, on purpose.
func TestKeys(t *testing.T) {
	made := t.TempDir()
	makeGate(t, made)
	for name, test := range map[string]func(*testing.T, string){
		"interrupted": rotationInterrupted, "killed": rotationKilled, "leaves nothing": rotationLeavesNothing,
		"history": historyRefuses, "ledger": keysInLedger,
	} {
		t.Run(name, func(t *testing.T) { test(t, copied(t, made)) })
	}
}

// copied copies the gate in a folder and returns the path of its configuration.
func copied(t *testing.T, dir string) string {
	t.Helper()
	to := t.TempDir()
	must(t, exec.Command("cp", "-a", dir+"/.", to).Run())
	return filepath.Join(to, "gate.toml")
}

func makeGate(t *testing.T, dir string) {
	t.Helper()
	path := filepath.Join(dir, "gate.toml")
	must(t, os.WriteFile(path, config.GateExample, 0o644))
	must(t, os.WriteFile(filepath.Join(dir, "passphrase"), []byte("an invented passphrase\n"), 0o600))
	says(t, 0, "keys", "create", "-config", path, "-recovery", filepath.Join(dir, "recovery.key"), "-passphrase", filepath.Join(dir, "passphrase"))
}

// says runs a command in this process and returns what it said.
func says(t *testing.T, want int, args ...string) string {
	t.Helper()
	var out, note bytes.Buffer
	if code := run(t.Context(), args, &out, &note); code != want {
		t.Fatalf("%q: exit code %d, want %d\n%s%s", args, code, want, &out, &note)
	}
	return out.String() + note.String()
}

// at opens the gate's state without completing anything.
func at(t *testing.T, path string) *machine {
	t.Helper()
	cfg, err := config.ReadGate(path)
	must(t, err)
	return &machine{Gate: cfg, Folder: state.At(cfg.State)}
}

var local = []string{"encryption", "receipts", "ledger", "reports"}

// prepared has the gate prepare new keys for every purpose that it holds itself.
func prepared(t *testing.T, path string) (*machine, rotation) {
	t.Helper()
	m := at(t, path)
	o := &offline{}
	which, err := o.fits(local)
	must(t, err)
	maker := &keyMaker{gate: m.Name, state: m.Path(nextDir + ".part"), offline: o, made: time.Now()}
	_, err = m.prepareRotation(maker, which, "", "it-01")
	must(t, err)
	var r rotation
	must(t, readNote(m.Path(nextDir, rotationFile), &r))
	return m, r
}

// whole demands a gate whose rotation is over, exactly once, with everything in
// its place.
func whole(t *testing.T, path string, sets int) {
	t.Helper()
	m := at(t, path)
	keys, earlier, err := m.history()
	must(t, err)
	if len(earlier) != sets-1 || m.rotating() {
		t.Errorf("%d earlier sets, want %d; rotating: %v", len(earlier), sets-1, m.rotating())
	}
	id, err := m.identities()
	must(t, err)
	want := []string{keys.Encryption}
	for _, s := range earlier {
		if s.keys.Encryption != want[len(want)-1] {
			want = append(want, s.keys.Encryption)
		}
	}
	if !slices.Equal(id.Recipients(), want) {
		t.Errorf("%d identities, want %d", len(id.Recipients()), len(want))
	}
	for _, name := range []string{receiptsKey, ledgerKey, reportsKey} {
		key, err := m.key(name)
		must(t, err)
		p, _ := purposeOf(strings.TrimSuffix(name, ".key"))
		if string(key.Public().Marshal()) != *p.of(keys) {
			t.Errorf("%s is not the key of the set", name)
		}
	}
	must(t, filepath.WalkDir(m.Path(), func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		info, err := e.Info()
		if strings.HasSuffix(path, ".key") && info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		if strings.Contains(path, ".part") {
			t.Errorf("%s was left", path)
		}
		return err
	}))
	says(t, 0, "log", "verify", "-config", path)
}

// rotationInterrupted stops the steps of a rotation after each of them, and
// looks at it and completes it as the next command does.
func rotationInterrupted(t *testing.T, original string) {
	rename := func(name string) func(*testing.T, *machine, rotation) {
		return func(t *testing.T, m *machine, _ rotation) { must(t, os.Rename(m.Path(nextDir, name), m.Path(name))) }
	}
	steps := []func(*testing.T, *machine, rotation){
		func(t *testing.T, m *machine, r rotation) {
			next, err := m.nextSet()
			must(t, err)
			must(t, m.keepOld(r, mustDigest(next)))
		},
		func(t *testing.T, m *machine, r rotation) {
			next, err := m.nextSet()
			must(t, err)
			log, err := m.handOver(r, next)
			must(t, err)
			must(t, log.Close())
		},
		rename(identityFile), rename(receiptsKey), rename(ledgerKey), rename(reportsKey),
		func(t *testing.T, m *machine, _ rotation) {
			data, err := os.ReadFile(m.Path(nextDir, keysFile))
			must(t, err)
			must(t, os.WriteFile(m.Path(keysFile), data, 0o644))
		},
		func(t *testing.T, m *machine, r rotation) {
			next, err := m.nextSet()
			must(t, err)
			log, err := m.handOver(r, next)
			must(t, err)
			_, err = log.Append(r.record("rotated", next))
			must(t, errors.Join(err, log.Close()))
		},
		func(t *testing.T, m *machine, _ rotation) {
			must(t, os.Rename(m.Path(nextDir), m.Path(nextDir+".part")))
		},
	}
	for stop := range len(steps) + 1 {
		path := copied(t, filepath.Dir(original))
		m, r := prepared(t, path)
		for _, step := range steps[:stop] {
			step(t, m, r)
		}
		// Meanwhile nobody is told that something is wrong.
		says(t, 0, "log", "verify", "-config", path)
		says(t, 0, "keys", "show", "-config", path)
		said := says(t, 2, "keys", "retire", "-config", path, strings.Repeat("0", 16))
		if done := stop == len(steps); strings.Contains(said, "it is completed now") == done {
			t.Errorf("after %d steps: %s", stop, said)
		}
		// The next rotation clears away what the last one left.
		says(t, 0, "keys", "rotate", "-config", path, "receipts")
		whole(t, path, 3)
	}
}

// rotationKilled kills the program at any moment.
func rotationKilled(t *testing.T, path string) {
	program, err := os.Executable()
	must(t, err)
	gate := filepath.Join(t.TempDir(), "gate") // the test binary is the gate under this name
	must(t, os.Symlink(program, gate))
	interrupted := 0
	for i := range 20 {
		c := exec.Command(gate, append([]string{"keys", "rotate", "-config", path}, local...)...)
		must(t, c.Start())
		time.Sleep(time.Duration(i) * 7 * time.Millisecond)
		_ = c.Process.Kill() // it may be over
		_ = c.Wait()
		if at(t, path).rotating() {
			interrupted++
		}
		says(t, 0, "log", "verify", "-config", path)
		says(t, 0, "keys", "rotate", "-config", path, "reports")
		_, earlier, err := at(t, path).history()
		must(t, err)
		whole(t, path, len(earlier)+1)
	}
	t.Logf("%d interrupted on their way", interrupted)
}

// rotationLeavesNothing: what fails before it happens leaves no file.
func rotationLeavesNothing(t *testing.T, path string) {
	dir := filepath.Dir(path)
	in := func(name string) string { return filepath.Join(dir, name) }
	before := says(t, 0, "keys", "show", "-config", path)
	says(t, 2, "keys", "rotate", "-config", path, "-recovery", in("r2.key"), "-sheet", in("none/sheet.pdf"), "recovery", "ledger")
	says(t, 2, "keys", "rotate", "-config", path, "-recovery", in("r2.key"), "-keys", in("none/keys.json"), "recovery")
	if after := says(t, 0, "keys", "show", "-config", path); after != before {
		t.Errorf("%s became %s", before, after)
	}
	for _, name := range []string{"r2.key", "gate/" + nextDir, "gate/" + nextDir + ".part", "gate/" + oldDir} {
		if _, err := os.Lstat(in(name)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s was left", name)
		}
	}
}

// historyRefuses: earlier sets that do not hang together end every command.
func historyRefuses(t *testing.T, original string) {
	says(t, 0, "keys", "rotate", "-config", original, "ledger")
	says(t, 0, "keys", "rotate", "-config", original, "encryption", "ledger")
	whole(t, original, 3)
	_, earlier, err := at(t, original).history()
	must(t, err)
	newer, older := "gate/"+oldDir+"/"+earlier[0].digest.String(), "gate/"+oldDir+"/"+earlier[1].digest.String()
	for name, c := range map[string]struct {
		change func(t *testing.T, dir string)
		want   string
	}{
		"the link is gone": {func(t *testing.T, dir string) { must(t, os.RemoveAll(filepath.Join(dir, newer))) }, "a folder beside it is missing"},
		"no note":          {func(t *testing.T, dir string) { must(t, os.Remove(filepath.Join(dir, older, replacedFile))) }, "replaced.json"},
		"no set":           {func(t *testing.T, dir string) { must(t, os.Remove(filepath.Join(dir, older, keysFile))) }, "gate.keys.json"},
		"another's name": {func(t *testing.T, dir string) {
			must(t, os.Rename(filepath.Join(dir, older), filepath.Join(dir, filepath.Dir(older), strings.Repeat("0", 64))))
		}, "the name of another set"},
		"a note of more": {func(t *testing.T, dir string) {
			must(t, os.WriteFile(filepath.Join(dir, older, replacedFile), []byte(`{"By":"","More":1}`), 0o600))
		}, "replaced.json"},
		"the first set's folder is gone": {func(t *testing.T, dir string) { must(t, os.RemoveAll(filepath.Join(dir, older))) }, "forged"},
	} {
		path := copied(t, filepath.Dir(original))
		c.change(t, filepath.Dir(path))
		var out, note bytes.Buffer
		if code := run(t.Context(), []string{"log", "verify", "-config", path}, &out, &note); code == 0 || code == 2 || !strings.Contains(note.String(), c.want) {
			t.Errorf("%s: exit code %d, %s", name, code, &note)
		}
		if code := run(t.Context(), []string{"keys", "rotate", "-config", path, "receipts"}, &out, &note); code == 0 {
			t.Errorf("%s: rotated", name)
		}
	}
}

// keysInLedger: the records tell the story, without a secret.
func keysInLedger(t *testing.T, path string) {
	dir := filepath.Dir(path)
	says(t, 0, "keys", "rotate", "-config", path, "-staff", "it-01", "ledger", "receipts")
	says(t, 0, "keys", "rotate", "-config", path, "-recovery", filepath.Join(dir, "r2"), "-sheet", filepath.Join(dir, "r2.pdf"), "recovery")
	_, earlier, err := at(t, path).history()
	must(t, err)
	says(t, 0, "keys", "retire", "-config", path, "-staff", "it-02", console.Grouped(earlier[1].digest))
	says(t, 2, "keys", "retire", "-config", path, earlier[1].digest.String())
	var story []string
	must(t, ledger.List(filepath.Join(dir, "gate", state.LedgerDir), 0, func(r ledger.Record) error {
		story = append(story, string(r.Event)+" "+r.Result+" "+r.By+" "+r.Facts["purposes"])
		return nil
	}))
	if got, want := strings.Join(story, "; "), "trust created  ; trust handed-over it-01 ledger receipts; trust rotated it-01 ledger receipts; trust rotated  recovery; trust retired it-02 "; got != want {
		t.Errorf("%s", got)
	}
	secret := regexp.MustCompile(`AGE-SECRET-KEY|PRIVATE KEY|an invented passphrase`)
	for _, name := range []string{"records.jsonl", "checkpoints"} {
		data, err := os.ReadFile(filepath.Join(dir, "gate", state.LedgerDir, name))
		must(t, err)
		if secret.Match(data) {
			t.Errorf("%s holds a secret", name)
		}
	}
	if got := accepted(earlier); len(got) != 2 {
		t.Errorf("%d", len(got)) // as they were read, before one was retired
	}
	_, earlier, err = at(t, path).history()
	must(t, err)
	if got := accepted(earlier); len(got) != 1 || got[0] != earlier[0].digest {
		t.Errorf("accepted are %v", got)
	}
}

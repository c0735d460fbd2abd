package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

func splitSets(s string) []string { return strings.Split(s, ",") }

func (b *bench) mkexport() string { return filepath.Join(b.bin, "mkexport") }

// definitions writes what both sides search for beside Sekisho's own set: hash
// and byte patterns that nothing matches, and rules of a few kinds.
func (b *bench) definitions(signatures, rules int) error {
	rng := rand.New(rand.NewPCG(1, 2))
	b.signatures = filepath.Join(b.dir, "signatures")
	if err := os.MkdirAll(b.signatures, 0o755); err != nil {
		return err
	}
	var hdb, ndb strings.Builder
	for i := range signatures * 9 / 10 {
		fmt.Fprintf(&hdb, "%016x%016x:%d:Bench.Hash-%d\n", rng.Uint64(), rng.Uint64(), 1000+rng.IntN(1<<20), i)
	}
	for i := range signatures / 10 {
		fmt.Fprintf(&ndb, "Bench.Body-%d:0:*:%016x%016x\n", i, rng.Uint64(), rng.Uint64())
	}
	var yar strings.Builder
	for i := range rules {
		switch i % 3 {
		case 0:
			fmt.Fprintf(&yar, "rule bench_%d { strings: $a = \"bench-%016x\" $b = \"%016x-bench\" wide condition: all of them }\n", i, rng.Uint64(), rng.Uint64())
		case 1:
			fmt.Fprintf(&yar, "rule bench_%d { strings: $a = { %s ?? %s } condition: $a }\n", i, hexBytes(rng, 6), hexBytes(rng, 6))
		default:
			fmt.Fprintf(&yar, "rule bench_%d { strings: $a = /bench%d[a-f0-9]{4,12}end/ condition: $a and filesize < 10MB }\n", i, i)
		}
	}
	b.rules = filepath.Join(b.dir, "bench.yar")
	own, err := filepath.Glob("assets/yara/*/*.yar")
	if err != nil || len(own) == 0 {
		return fmt.Errorf("the project's rules are not below this folder: %w", err)
	}
	b.allRules = append(own, b.rules)
	clam, err := filepath.Glob("assets/clamav/*")
	if err != nil {
		return err
	}
	for _, f := range clam {
		data, err := os.ReadFile(f)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(b.dir, "own-"+filepath.Base(f)), data, 0o644); err != nil {
			return err
		}
	}
	for path, text := range map[string]string{
		filepath.Join(b.signatures, "bench.hdb"): hdb.String(),
		filepath.Join(b.signatures, "bench.ndb"): ndb.String(),
		b.rules:                                  yar.String(),
	} {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

func hexBytes(rng *rand.Rand, n int) string {
	parts := make([]string, n)
	for i := range parts {
		parts[i] = fmt.Sprintf("%02x", rng.IntN(256))
	}
	return strings.Join(parts, " ")
}

// night carries the data with our own programs.
func (b *bench) night(name, data string) (s side, verify, sums time.Duration, err error) {
	dir := filepath.Join(b.dir, "night-"+name)
	defer os.RemoveAll(dir)
	if err := b.setUp(dir); err != nil {
		return s, 0, 0, err
	}
	kiosk, gate := filepath.Join(b.bin, "kiosk"), filepath.Join(b.bin, "gate")
	kioskConf, gateConf, drive := filepath.Join(dir, "kiosk.toml"), filepath.Join(dir, "gate.toml"), filepath.Join(dir, "drive")
	flush()
	s.steps = make(map[string]time.Duration)
	for _, step := range []struct {
		name string
		args []string
	}{
		{"prepare", []string{kiosk, "prepare", "-config", kioskConf, "-source", data}},
		{"write", []string{kiosk, "write", "-config", kioskConf, "-drive", drive}},
	} {
		p := b.command(step.name, step.args...)
		if err := p.run(); err != nil {
			return s, 0, 0, err
		}
		s.steps[step.name] = p.took
		s.wall += p.took
		s.engines += p.engines
		s.memory = max(s.memory, p.peak)
	}
	p := b.command("verify", gate, "verify", "-config", gateConf, "-no-scan", drive)
	if err := p.run(); err != nil {
		return s, 0, 0, err
	}
	parts, err := filepath.Glob(filepath.Join(drive, "SEKISHO/transfers/*/data/*"))
	if err != nil {
		return s, 0, 0, err
	}
	q := b.command("sha256sum", append([]string{"sha256sum"}, parts...)...)
	if err := q.run(); err != nil {
		return s, 0, 0, err
	}
	return s, p.took, q.took, nil
}

// script carries the data as a user would without us.
func (b *bench) script(data string) (s side, err error) {
	dir := filepath.Join(b.dir, "script")
	defer os.RemoveAll(dir)
	if err := os.MkdirAll(filepath.Join(dir, "copy"), 0o755); err != nil {
		return s, err
	}
	stop, conf, err := b.clamd(dir)
	if err != nil {
		return s, err
	}
	defer stop()
	flush()
	s.steps = make(map[string]time.Duration)
	yara := append([]string{"yara", "-r", "-w"}, b.allRules...)
	for _, step := range []struct {
		name string
		args []string
		good []int
	}{
		// Over 2 GiB clamdscan ends with an error; the script goes on, as scripts do.
		{"clamdscan", []string{"clamdscan", "--config-file=" + conf, "--multiscan", "--fdpass", "--quiet", "--no-summary", data}, []int{1, 2}},
		{"yara", append(yara, data), nil},
		{"sha256sum", []string{"sh", "-c", `find "$1" -type f -print0 | xargs -0 sha256sum >"$2"`, "sh", data, filepath.Join(dir, "sums")}, nil},
		{"rsync", []string{"rsync", "-a", "--fsync", data, filepath.Join(dir, "copy")}, nil},
	} {
		p := b.command(step.name, step.args...)
		if err := p.run(step.good...); err != nil {
			return s, err
		}
		s.steps[step.name] = p.took
		s.wall += p.took
	}
	return s, nil
}

// clamd starts one daemon as the script's user would have it, with our limits.
func (b *bench) clamd(dir string) (stop func(), conf string, err error) {
	run, err := os.MkdirTemp("", "nightbench-clamd-")
	if err != nil {
		return nil, "", err
	}
	if err := os.Chmod(run, 0o755); err != nil {
		return nil, "", err
	}
	db := filepath.Join(run, "db")
	if err := os.Mkdir(db, 0o755); err != nil {
		return nil, "", err
	}
	for _, pattern := range []string{filepath.Join(b.signatures, "*"), filepath.Join(b.dir, "own-*")} {
		files, _ := filepath.Glob(pattern)
		if err := exec.Command("cp", append(files, db)...).Run(); err != nil {
			return nil, "", fmt.Errorf("copying signatures: %w", err)
		}
	}
	conf = filepath.Join(run, "clamd.conf")
	socket := filepath.Join(run, "socket")
	text := fmt.Sprintf(`Foreground yes
LocalSocket %s
DatabaseDirectory %s
MaxThreads %d
DisableCache yes
StreamMaxLength 4000M
MaxScanSize 4000M
MaxFileSize 2000M
MaxRecursion 17
MaxFiles 10000
AlertExceedsMax yes
AlertEncrypted yes
`, socket, db, max(b.cores, 2))
	if err := os.WriteFile(conf, []byte(text), 0o644); err != nil {
		return nil, "", err
	}
	cmd := exec.CommandContext(b.ctx, "clamd", "-c", conf)
	if err := cmd.Start(); err != nil {
		return nil, "", err
	}
	stop = func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		_ = os.RemoveAll(run)
	}
	for range 600 {
		if exec.Command("clamdscan", "--config-file="+conf, "--ping", "1").Run() == nil {
			return stop, conf, nil
		}
		time.Sleep(100 * time.Millisecond)
	}
	stop()
	return nil, "", fmt.Errorf("clamd did not start")
}

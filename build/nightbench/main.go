// Nightbench measures a night against the script a user would otherwise write,
// side by side in one run, on generated data:
//
//	ours:    kiosk prepare + kiosk write
//	script:  clamdscan --multiscan --fdpass; yara -r; sha256sum; rsync; sync
//
// Both use the same signatures and rules, and both put the copy on disk. It
// prints times, their ratio, the share of the engines' floor (their own CPU time,
// over the cores) that ours reaches, the peak memory of our own process, and
// gate verify without scanning against sha256sum of the same parts.
//
// Machines are noisy: read the ratios, not the seconds.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	bin := flag.String("bin", "build/bin", "`folder` of kiosk and gate")
	dir := flag.String("dir", "", "work in this `folder`; default a temporary one")
	sets := flag.String("sets", "small,medium,large", "which sets, of small, medium, large")
	rules := flag.Int("rules", 1200, "YARA rules to generate")
	signatures := flag.Int("signatures", 100_000, "ClamAV signatures to generate")
	runs := flag.Int("runs", 1, "how often each side runs, in turn; the quickest counts")
	flag.Parse()
	if err := run(ctx, *bin, *dir, *sets, *rules, *signatures, *runs); err != nil {
		fmt.Fprintln(os.Stderr, "nightbench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, bin, dir, sets string, rules, signatures, runs int) error {
	if dir == "" {
		tmp, err := os.MkdirTemp("", "nightbench-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(tmp)
		dir = tmp
	}
	bin, err := filepath.Abs(bin)
	if err != nil {
		return err
	}
	b := &bench{ctx: ctx, bin: bin, dir: dir, cores: runtime.NumCPU()}
	fmt.Printf("%d cores; %d ClamAV signatures and %d YARA rules beside our own; both sides flush to disk\n", b.cores, signatures, rules)
	fmt.Printf("ours: %d workers and %d clamd processes; script: clamd with %d threads\n", 3*b.cores, 2*b.cores, max(b.cores, 2))
	if err := b.definitions(signatures, rules); err != nil {
		return err
	}
	for _, set := range splitSets(sets) {
		if err := b.set(set, runs); err != nil {
			return fmt.Errorf("%s: %w", set, err)
		}
	}
	return nil
}

// set measures one set of data.
func (b *bench) set(name string, runs int) error {
	data := filepath.Join(b.dir, "data-"+name)
	if err := b.command("mkexport", b.mkexport(), "-profile", name, "-night", "1", "-seed", "1", data).run(); err != nil {
		return err
	}
	defer os.RemoveAll(data)
	files, bytes, err := count(data)
	if err != nil {
		return err
	}
	fmt.Printf("\n%s: %d files, %d MiB\n", name, files, bytes>>20)
	var ours, script side
	var verify, sums time.Duration
	for range runs {
		// The page cache is as warm for the one as for the other.
		if err := warm(data); err != nil {
			return err
		}
		s, err := b.script(data)
		if err != nil {
			return err
		}
		script = s.quicker(script)
		o, v, h, err := b.night(name, data)
		if err != nil {
			return err
		}
		ours = o.quicker(ours)
		verify, sums = quicker(verify, v), quicker(sums, h)
	}
	ours.print("ours  ", bytes)
	script.print("script", bytes)
	floor := ours.engines.Seconds() / float64(b.cores)
	fmt.Printf("  script ÷ ours              %.2f\n", script.wall.Seconds()/ours.wall.Seconds())
	fmt.Printf("  engines' floor             %.1f s; prepare takes %.1f s: %.0f %% of the floor's speed\n",
		floor, ours.steps["prepare"].Seconds(), 100*floor/ours.steps["prepare"].Seconds())
	fmt.Printf("  peak memory, own process   %d MiB\n", ours.memory>>20)
	fmt.Printf("  gate verify, no scan       %.1f s; sha256sum of the parts %.1f s: %.0f %% of its speed\n",
		verify.Seconds(), sums.Seconds(), 100*sums.Seconds()/verify.Seconds())
	return nil
}

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// bench is one run of all sets.
type bench struct {
	ctx   context.Context
	bin   string // folder of our programs
	dir   string
	cores int

	signatures string // folder for clamd
	rules      string // file for yara, ours only the generated ones
	allRules   []string
}

// side is what one side took.
type side struct {
	wall    time.Duration
	steps   map[string]time.Duration
	engines time.Duration // CPU of the engines' processes
	memory  int64         // peak resident bytes of our own process
}

func (s side) quicker(t side) side {
	if t.wall != 0 && t.wall < s.wall {
		return t
	}
	return s
}

func quicker(a, b time.Duration) time.Duration {
	if a != 0 && a < b {
		return a
	}
	return b
}

func (s side) print(name string, bytes int64) {
	var steps []string
	for step, took := range s.steps {
		steps = append(steps, fmt.Sprintf("%s %.1f", step, took.Seconds()))
	}
	sort.Strings(steps)
	fmt.Printf("  %s  %6.1f s  %6.1f MiB/s   (%s)\n", name, s.wall.Seconds(), float64(bytes)/(1<<20)/s.wall.Seconds(), strings.Join(steps, ", "))
}

// process is a command with what it cost.
type process struct {
	*exec.Cmd
	out     bytes.Buffer
	took    time.Duration
	peak    int64         // resident bytes of the process itself
	engines time.Duration // CPU of clamd and workers below it
}

func (b *bench) command(name string, args ...string) *process {
	p := &process{Cmd: exec.CommandContext(b.ctx, args[0], args[1:]...)}
	p.Stdout, p.Stderr = &p.out, &p.out
	_ = name
	return p
}

// run runs it; the exit codes listed count as success.
func (p *process) run(good ...int) error {
	start := time.Now()
	if err := p.Start(); err != nil {
		return err
	}
	stop := make(chan struct{})
	watched := make(chan struct{})
	go func() { p.watch(stop); close(watched) }()
	err := p.Wait()
	p.took = time.Since(start)
	close(stop)
	<-watched
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		for _, code := range good {
			if exit.ExitCode() == code {
				return nil
			}
		}
		return fmt.Errorf("%v: %w: %s", p.Args, err, p.out.String())
	}
	return err
}

// watch reads, while the process runs, its own peak memory and the CPU time of
// the engines that are its children.
func (p *process) watch(stop <-chan struct{}) {
	cpu := make(map[int]time.Duration)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			for _, t := range cpu {
				p.engines += t
			}
			return
		case <-tick.C:
		}
		p.peak = max(p.peak, peakOf(p.Process.Pid))
		for _, child := range childrenOf(p.Process.Pid) {
			cpu[child] = max(cpu[child], cpuOf(child))
		}
	}
}

func peakOf(pid int) int64 {
	data, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid)) // gone is no peak
	for line := range strings.Lines(string(data)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kb, _ := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			return kb << 10
		}
	}
	return 0
}

func childrenOf(pid int) (children []int) {
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, t := range tasks {
		data, _ := os.ReadFile(t)
		for _, f := range strings.Fields(string(data)) {
			if n, err := strconv.Atoi(f); err == nil {
				children = append(children, n)
			}
		}
	}
	return children
}

// cpuOf is user and system time of a process, in ticks of 10 ms.
func cpuOf(pid int) time.Duration {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(data[bytes.LastIndexByte(data, ')')+1:]))
	if len(fields) < 13 {
		return 0
	}
	user, _ := strconv.ParseInt(fields[11], 10, 64)
	sys, _ := strconv.ParseInt(fields[12], 10, 64)
	return time.Duration(user+sys) * 10 * time.Millisecond
}

func count(dir string) (files, size int64, err error) {
	err = filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		info, err := e.Info()
		files, size = files+1, size+info.Size()
		return err
	})
	return files, size, err
}

// warm reads everything once, as the generator just wrote it.
func warm(dir string) error {
	return filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = io.Copy(io.Discard, f)
		return err
	})
}

// flush puts a folder's filesystem on disk.
func flush() { syscall.Sync() }

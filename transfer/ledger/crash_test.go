package ledger

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestMain lets the test binary be started again as a writer to be killed.
func TestMain(m *testing.M) {
	if dir := os.Getenv("LEDGER_TEST_APPEND"); dir != "" {
		appendForEver(dir)
	}
	os.Exit(m.Run())
}

func appendForEver(dir string) {
	l, err := Open(dir, origin, testKey("k3"))
	for err == nil {
		var n int64
		if n, err = l.Append(record(0)); err == nil {
			fmt.Println(n)
		}
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// TestCrash puts a ledger into every state a crash between or within the steps
// of one append can leave, and opens it again.
func TestCrash(t *testing.T) {
	original := filepath.Join(t.TempDir(), "ledger")
	begin(t, original, 5)
	before := load(t, original)
	begin2, err := Open(original, origin, testKey("k3"))
	must(t, err)
	_, err = begin2.Append(record(5))
	must(t, err)
	must(t, begin2.Close())
	after := load(t, original)
	line, block := after.records[5], after.blocks[6]
	next := append(bytes.Clone(line), block...)

	type disk struct {
		name           string
		part, next     []byte
		records, block []byte // beyond the five records and their checkpoints
		size           int64  // after Open
	}
	states := []disk{{name: "nothing happened", size: 5}, {name: "all happened", records: line, block: block, size: 6}}
	for _, n := range []int{0, 1, len(next) / 2, len(next)} {
		states = append(states, disk{name: fmt.Sprintf("next.part %d", n), part: next[:n], size: 5})
	}
	for _, n := range []int{0, 1, len(line) / 2, len(line) - 1, len(line)} {
		states = append(states, disk{name: fmt.Sprintf("record %d", n), next: next, records: line[:n], size: 6})
	}
	states = append(states, disk{name: "record zeros", next: next, records: make([]byte, len(line)), size: 6})
	for _, n := range []int{1, len(block) / 2, len(block) - 1, len(block)} {
		states = append(states, disk{name: fmt.Sprintf("checkpoint %d", n), next: next, records: line, block: block[:n], size: 6})
	}
	states = append(states, disk{name: "checkpoint zeros", next: next, records: line, block: make([]byte, len(block)), size: 6})

	for _, s := range states {
		t.Run(s.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "ledger")
			(&folder{
				records: append(before.records[:5:5], s.records),
				blocks:  append(before.blocks[:6:6], s.block),
				next:    s.next,
			}).store(t, dir)
			if s.part != nil {
				must(t, os.WriteFile(filepath.Join(dir, nextName+".part"), s.part, 0o600))
			}
			report, err := verify(t, dir, before.blocks[5])
			if err != nil {
				t.Fatal(err)
			}
			if inPlace := report.Head.Size == s.size; report.Interrupted == inPlace {
				t.Errorf("%+v", report)
			}
			for range 2 { // opening is repeatable
				l, err := Open(dir, origin, testKey("k3"))
				must(t, err)
				if l.Size() != s.size {
					t.Errorf("%d records, want %d", l.Size(), s.size)
				}
				must(t, l.Close())
			}
			if _, err := os.Stat(filepath.Join(dir, nextName)); !errors.Is(err, os.ErrNotExist) {
				t.Error("next is still there")
			}
			l, err := Open(dir, origin, testKey("k3"))
			must(t, err)
			_, err = l.Append(record(s.size))
			must(t, err)
			must(t, l.Close())
			if report, err := verify(t, dir, before.blocks[5]); err != nil || report.Head.Size != s.size+1 {
				t.Errorf("%+v, %v", report, err)
			}
		})
	}

	t.Run("begun", func(t *testing.T) {
		dir := t.TempDir()
		must(t, os.WriteFile(filepath.Join(dir, recordsName), nil, 0o600))
		begin(t, dir, 2)
		if _, err := verify(t, dir); err != nil {
			t.Error(err)
		}
	})
}

// TestKill kills a writer at work: what it said was written is there.
func TestKill(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "ledger")
	said := int64(-1)
	for range 6 {
		c := exec.Command("/proc/self/exe")
		c.Env = append(os.Environ(), "LEDGER_TEST_APPEND="+dir)
		c.Stderr = os.Stderr
		out, err := c.StdoutPipe()
		must(t, err)
		must(t, c.Start())
		lines := bufio.NewScanner(out)
		lines.Scan() // it is at work
		fmt.Sscan(lines.Text(), &said)
		timer := time.AfterFunc(time.Duration(rand.IntN(20_000))*time.Microsecond, func() { c.Process.Kill() })
		for lines.Scan() {
			fmt.Sscan(lines.Text(), &said)
		}
		timer.Stop()
		if c.Wait(); c.ProcessState.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
			t.Fatal(c.ProcessState)
		}
		report, err := verify(t, dir)
		if err != nil || report.Head.Size < said+1 {
			t.Fatalf("said %d: %+v, %v", said, report, err)
		}
	}
	l, err := Open(dir, origin, testKey("k3"))
	must(t, err)
	t.Logf("%d said, %d there", said+1, l.Size())
	if l.Size() < said+1 || l.Size() > said+2 {
		t.Error("records lost or made up")
	}
	must(t, l.Close())
}

// TestFull runs ledgers into a full filesystem, at every page of what they
// write, and out of it again.
func TestFull(t *testing.T) {
	root := t.TempDir()
	if err := unix.Mount("none", root, "tmpfs", 0, "size=64k"); err != nil {
		t.Fatalf("mounting (this test needs root): %v", err)
	}
	t.Cleanup(func() { must(t, unix.Unmount(root, unix.MNT_DETACH)) })
	ballast := filepath.Join(root, "ballast")
	r := record(0)
	r.Facts["pad"] = strings.Repeat("x", 500)
	interrupted := 0
	for pages := range 14 {
		dir := filepath.Join(root, "ledger")
		must(t, os.WriteFile(ballast, make([]byte, pages*4<<10), 0o600))
		l, err := Open(dir, origin, testKey("k3"))
		must(t, err)
		confirmed := int64(0)
		for {
			if _, err = l.Append(r); err != nil {
				break
			}
			confirmed++
		}
		if !errors.Is(err, unix.ENOSPC) {
			t.Fatal(err)
		}
		must(t, os.Remove(ballast))
		must(t, os.WriteFile(ballast, nil, 0o600))
		if _, err := l.Append(r); err == nil || l.Size() != confirmed {
			t.Errorf("%d records after a failure, %v", l.Size(), err)
		}
		must(t, l.Close())
		report, err := verify(t, dir)
		if err != nil || report.Head.Size < confirmed {
			t.Errorf("%d confirmed: %+v, %v", confirmed, report, err)
		} else if report.Interrupted {
			interrupted++
		}
		if pages > 0 { // there is room again
			l, err = Open(dir, origin, testKey("k3"))
			must(t, err)
			if l.Size() != confirmed && l.Size() != confirmed+1 {
				t.Errorf("%d records, %d confirmed", l.Size(), confirmed)
			}
			must(t, l.Close())
		}
		must(t, os.RemoveAll(dir))
	}
	if interrupted == 0 {
		t.Error("no append was interrupted after it was signed")
	}
}

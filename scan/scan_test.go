package scan

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/fstest"

	"sekisho/assets"
)

func TestScanner(t *testing.T) {
	s := newTestScanner(t, nil)
	d := s.Definitions()
	if len(d) != 2 || d[0].Engine != clamdName || d[1].Engine != yaraName || !s.Demonstration() {
		t.Errorf("%+v", d)
	}
	spool := newTestSpool(t, SpoolOptions{Memory: 256 << 20, Largest: 1 << 20})
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			data, want := bytes.Repeat([]byte{byte(i), 'x'}, 10+i*40_000), Clean // the last are on disk
			if i%3 == 0 {
				data, want = append(data, eicar()...), Detected
			}
			b := blobOf(t, spool, data)
			defer b.Close()
			r, err := s.Scan(t.Context(), b)
			if err != nil || r.Verdict != want {
				t.Errorf("%d: got %v, %v, want %s", i, r, err, want)
			}
		})
	}
	wg.Wait()
}

// When one engine cannot be had there is no verdict, even if the other is sure.
func TestScannerWithoutEngine(t *testing.T) {
	s := newTestScanner(t, func(c *Config) { c.Workers = 1 })
	e := s.engines[1].(*yaraEngine)
	e.peek().kill()
	e.command = []string{"/bin/false"}
	for _, data := range [][]byte{[]byte("harmless"), eicar()} {
		r, err := s.Scan(t.Context(), blobOf(t, newTestSpool(t, SpoolOptions{}), data))
		if !errors.Is(err, ErrEngine) || r.Verdict != Unscannable || r.Findings != nil {
			t.Errorf("got %v, %v", r, err)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	private := ClamdConfig{Private: true, Daemons: 1}
	for what, cfg := range map[string]Config{
		"nothing":          {},
		"no built-in set":  {Clamd: private},
		"an empty set":     {Clamd: private, Builtin: fstest.MapFS{}},
		"negative workers": {Clamd: private, Builtin: assets.Rules, Workers: -1},
		"no clamd":         {Builtin: assets.Rules, Workers: 1},
		"no EICAR signature": {Clamd: private, Workers: 1, Builtin: fstest.MapFS{
			"clamav/x.ndb":   {Data: []byte("X:0:*:0123456789abcdef\n")},
			"yara/any/x.yar": {Data: []byte("rule X { condition: false }")},
		}},
	} {
		cfg.Log = quiet()
		if s, err := New(t.Context(), cfg); err == nil || s != nil {
			t.Errorf("%s was accepted", what)
		}
	}
}

// Nothing outlives a Scanner: no process, no folder.
func TestCloseLeavesNothing(t *testing.T) {
	s, err := New(t.Context(), Config{Clamd: ClamdConfig{Private: true, Daemons: 1}, Workers: 1, Builtin: assets.Rules, Log: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	c, e := s.engines[0].(*clamav), s.engines[1].(*yaraEngine)
	pids := []int{c.peek().daemon.cmd.Process.Pid, e.peek().cmd.Process.Pid}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for _, pid := range pids {
		if err := syscall.Kill(pid, 0); err != syscall.ESRCH {
			t.Errorf("process %d: %v", pid, err)
		}
	}
	for _, dir := range []string{c.dir.path, c.tmp.path} {
		if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: %v", dir, err)
		}
	}
}

// go-clamd and go-yara stay in one file each.
func TestLibrariesStayInTheirFiles(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil || len(files) == 0 {
		t.Fatal(err)
	}
	users := map[string][]string{}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, lib := range []string{"github.com/dutchcoders/" + "go-clamd", "github.com/hillu/" + "go-yara", "github.com/elastic/" + "go-seccomp-bpf"} {
			if strings.Contains(string(text), `"`+lib) {
				users[lib] = append(users[lib], name)
			}
		}
	}
	if len(users) != 3 {
		t.Errorf("%v", users)
	}
	for lib, names := range users {
		if len(names) != 1 {
			t.Errorf("%s is used in %q", lib, names)
		}
	}
}

// BenchmarkScan measures whole scans, both engines, as many at a time as the
// default has workers.
func BenchmarkScan(b *testing.B) {
	for _, size := range []int{2 << 10, 16 << 10, 64 << 10, 10 << 20} {
		b.Run(fmt.Sprintf("%dKiB", size>>10), func(b *testing.B) {
			s := newTestScanner(b, func(c *Config) { c.Workers = 4 })
			spool := newTestSpool(b, SpoolOptions{})
			data := randomBytes(size)
			b.SetBytes(int64(size))
			b.SetParallelism(2)
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					room, err := spool.Reserve(b.Context(), int64(size))
					if err != nil {
						b.Fatal(err)
					}
					blob, err := room.Fill(bytes.NewReader(data))
					if err != nil {
						b.Fatal(err)
					}
					if r, err := s.Scan(b.Context(), blob); err != nil || r.Verdict != Clean {
						b.Fatal(r, err)
					}
					blob.Close()
				}
			})
		})
	}
}

package scan

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"sekisho/assets"
)

func newTestClamAV(t testing.TB, daemons int) *clamav {
	t.Helper()
	c, err := newClamAV(t.Context(), ClamdConfig{Private: true, Daemons: daemons}, assets.Rules, 4, quiet())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// peek returns a server without taking it away.
func (c *clamav) peek() *server {
	s := <-c.servers
	c.servers <- s
	return s
}

// checkBoth scans something clean and something not, and wants the truth.
func checkBoth(t *testing.T, c *clamav) {
	t.Helper()
	spool := newTestSpool(t, SpoolOptions{})
	if f, err := c.Scan(t.Context(), blobOf(t, spool, []byte("harmless"))); err != nil || len(f) != 0 {
		t.Errorf("harmless: %v, %v", f, err)
	}
	if f, err := c.Scan(t.Context(), blobOf(t, spool, eicar())); err != nil || len(f) != 1 || f[0].Verdict != Detected {
		t.Errorf("EICAR: %v, %v", f, err)
	}
}

func TestClamdRunsWithoutRights(t *testing.T) {
	c := newTestClamAV(t, 1)
	d := c.peek().daemon
	info, err := os.Stat(fmt.Sprintf("/proc/%d", d.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() == 0 && info.Sys().(*syscall.Stat_t).Uid == 0 {
		t.Error("clamd runs as root")
	}
	if info, err := os.Stat(c.dir.path); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("its folder: %v, %v", info.Mode(), err)
	}
}

// A daemon that dies while it scans: another scans the same content.
func TestClamdKilledMidScan(t *testing.T) {
	c := newTestClamAV(t, 1)
	s := c.peek()
	pid := s.daemon.cmd.Process.Pid
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil { // so that the scan is under way
		t.Fatal(err)
	}
	time.AfterFunc(100*time.Millisecond, func() { syscall.Kill(pid, syscall.SIGKILL) })
	checkBoth(t, c)
	if s.daemon.cmd.Process.Pid == pid {
		t.Error("it was not replaced")
	}
}

func TestClamdHangs(t *testing.T) {
	c := newTestClamAV(t, 1)
	c.limit = 500 * time.Millisecond
	if err := syscall.Kill(c.peek().daemon.cmd.Process.Pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	checkBoth(t, c)
}

// A daemon that cannot be had again is an error, whatever the content.
func TestClamdGone(t *testing.T) {
	c := newTestClamAV(t, 2)
	spool := newTestSpool(t, SpoolOptions{})
	for range 2 {
		s := <-c.servers
		s.daemon.program = "/bin/false"
		s.drop()
		c.servers <- s
	}
	for _, data := range [][]byte{[]byte("harmless"), eicar()} {
		if f, err := c.Scan(t.Context(), blobOf(t, spool, data)); !errors.Is(err, ErrEngine) || f != nil {
			t.Errorf("got %v, %v", f, err)
		}
	}
}

func TestClamdCancelled(t *testing.T) {
	c := newTestClamAV(t, 1)
	spool := newTestSpool(t, SpoolOptions{})
	if err := syscall.Kill(c.peek().daemon.cmd.Process.Pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if f, err := c.Scan(ctx, blobOf(t, spool, []byte("x"))); !errors.Is(err, context.DeadlineExceeded) || f != nil {
		t.Errorf("got %v, %v", f, err)
	}
	checkBoth(t, c)
}

// Large content is streamed whole: what is in an archive is found.
func TestClamdStream(t *testing.T) {
	c := newTestClamAV(t, 2)
	spool := newTestSpool(t, SpoolOptions{Memory: 1 << 30, Largest: 1 << 20})
	noise := randomBytes(3 << 20)
	if f, err := c.Scan(t.Context(), blobOf(t, spool, noise)); err != nil || len(f) != 0 {
		t.Errorf("noise: %v, %v", f, err)
	}
	b := blobOf(t, spool, zipOf(t, noise, eicar()))
	if _, memory := b.Memory(); memory {
		t.Fatal("the blob is in memory")
	}
	if f, err := c.Scan(t.Context(), b); err != nil || len(f) != 1 || f[0].Verdict != Detected {
		t.Errorf("zip: %v, %v", f, err)
	}
	// A blob that cannot be read to its end is no clean blob.
	if err := b.disk.file.Truncate(2 << 20); err != nil {
		t.Fatal(err)
	}
	if f, err := c.Scan(t.Context(), b); !errors.Is(err, ErrEngine) || f != nil {
		t.Errorf("cut blob: %v, %v", f, err)
	}
}

// Beyond clamd's limit patterns are found, also across a border, and nothing
// is called clean.
func TestClamdWindows(t *testing.T) {
	c := newTestClamAV(t, 1)
	c.largest, c.window = 4<<20, 2<<20
	spool := newTestSpool(t, SpoolOptions{Memory: 1 << 30, Largest: 1 << 20})
	data := randomBytes(9 << 20)
	f, err := c.Scan(t.Context(), blobOf(t, spool, data))
	if err != nil || len(f) != 1 || f[0].Name != "SearchedInWindows" || f[0].Verdict != Unscannable {
		t.Errorf("noise: %v, %v", f, err)
	}
	for _, at := range []int{0, 2<<20 - 30, 3<<20 - 30, 9<<20 - 68} {
		with := bytes.Clone(data)
		copy(with[at:], eicar())
		f, err := c.Scan(t.Context(), blobOf(t, spool, with))
		if err != nil || len(f) != 1 || f[0].Verdict != Detected || !strings.HasPrefix(f[0].Where, "bytes ") {
			t.Errorf("at %d: %v, %v", at, f, err)
		}
	}
}

// A full temporary folder makes clamd call a PDF clean; so without room there
// is no asking, and no believing.
func TestClamdNeedsRoom(t *testing.T) {
	if _, err := newClamAV(t.Context(), ClamdConfig{Private: true, Daemons: 1 << 20}, assets.Rules, 1, quiet()); err == nil || !strings.Contains(err.Error(), "no room to unpack") {
		t.Errorf("got %v", err)
	}
	c := newTestClamAV(t, 1)
	spool := newTestSpool(t, SpoolOptions{})
	c.limit = 50 * time.Millisecond
	c.margin = 1 << 60
	if f, err := c.Scan(t.Context(), blobOf(t, spool, []byte("x"))); !errors.Is(err, ErrEngine) || f != nil {
		t.Errorf("too little after: %v, %v", f, err)
	}
	c.need, c.margin = 1<<60, 0
	if f, err := c.Scan(t.Context(), blobOf(t, spool, []byte("x"))); !errors.Is(err, ErrEngine) || f != nil {
		t.Errorf("too little before: %v, %v", f, err)
	}
}

// startOther runs a daemon as an operator might have configured it.
func startOther(t *testing.T, signature string, change ...string) string {
	t.Helper()
	owner, err := unprivileged("")
	if err != nil {
		t.Fatal(err)
	}
	dir, err := newPrivateDir(os.TempDir(), owner)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dir.remove() })
	db, err := dir.sub("db", 0o755, nil)
	if err == nil {
		err = os.WriteFile(filepath.Join(db, "one.ndb"), []byte(signature), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	program, err := findClamd()
	if err != nil {
		t.Fatal(err)
	}
	d := &daemon{program: program, owner: owner, socket: dir.path + "/s", conf: dir.path + "/conf"}
	if d.tmp, err = dir.sub("tmp", 0o700, owner); err != nil {
		t.Fatal(err)
	}
	conf := strings.NewReplacer(change...).Replace(clamdConf(d.socket, db, d.tmp, clamdUnpack, time.Minute))
	if err := os.WriteFile(d.conf, []byte(conf), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := d.start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.kill)
	return d.socket
}

func eicarSignature(t *testing.T) string {
	b, err := assets.Rules.ReadFile("clamav/sekisho-demo.ndb")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestOtherClamd(t *testing.T) {
	socket := startOther(t, eicarSignature(t), "DisableCache yes\n", "", "LocalSocketMode 600", "ExtendedDetectionInfo yes")
	c, err := newClamAV(t.Context(), ClamdConfig{Sockets: []string{socket}}, assets.Rules, 2, quiet())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	checkBoth(t, c)
	f, err := c.Scan(t.Context(), blobOf(t, newTestSpool(t, SpoolOptions{}), eicar()))
	if err != nil || f[0].Name != "Sekisho.Test.EICAR.UNOFFICIAL" {
		t.Errorf("%v, %v", f, err)
	}
	d := c.Definitions()
	if d.Demonstration || !strings.HasPrefix(d.Version, "ClamAV ") || d.Digest == (Sum{}) {
		t.Errorf("%+v", d)
	}
}

// Each of these daemons would call something clean that it did not look at.
func TestOtherClamdRefused(t *testing.T) {
	for hint, socket := range map[string]string{
		"AlertEncrypted":  startOther(t, eicarSignature(t), "AlertEncrypted yes", "AlertEncrypted no"),
		"AlertExceedsMax": startOther(t, eicarSignature(t), "AlertExceedsMax yes", "AlertExceedsMax no"),
		"definitions":     startOther(t, "Some.Thing:0:*:0123456789abcdef0123456789abcdef\n"),
		"reaching clamd":  filepath.Join(t.TempDir(), "nobody"),
		"probing clamd":   closingServer(t),
	} {
		c, err := newClamAV(t.Context(), ClamdConfig{Sockets: []string{socket}}, assets.Rules, 1, quiet())
		if err == nil || !strings.Contains(err.Error(), hint) || c != nil {
			t.Errorf("%s: got %v", hint, err)
		}
	}
}

// closingServer takes connections and drops them, as a daemon that is ending.
func closingServer(t *testing.T) string {
	socket := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.Close()
		}
	}()
	return socket
}

// go-clamd panics or keeps silent when a daemon goes away; both must be errors.
func TestControlOfClosingDaemon(t *testing.T) {
	socket := closingServer(t)
	if err := clamdPing(socket); err == nil {
		t.Error("ping succeeded")
	}
	if v, err := clamdVersion(socket); err == nil {
		t.Errorf("version is %q", v)
	}
}

func TestClamdConfigRefused(t *testing.T) {
	for _, cfg := range []ClamdConfig{
		{},
		{Private: true, Sockets: []string{"/x"}},
		{Sockets: []string{"/x"}, Definitions: []string{"/y"}},
		{Private: true, Daemons: -1},
		{Private: true, Unpack: 1},
		{Private: true, User: "nobody-of-this-name"},
		{Private: true, Definitions: []string{t.TempDir()}},
	} {
		if cfg.User != "" && os.Geteuid() != 0 {
			continue // then nobody's user matters
		}
		if c, err := newClamAV(t.Context(), cfg, assets.Rules, 1, quiet()); err == nil || c != nil {
			t.Errorf("%+v was accepted", cfg)
		}
	}
}

// Definitions that clamd does not load must show at the start, with its words.
func TestBrokenSignatures(t *testing.T) {
	bad := filepath.Join(t.TempDir(), "bad.ndb")
	if err := os.WriteFile(bad, []byte("this is no signature\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	_, err := newClamAV(t.Context(), ClamdConfig{Private: true, Daemons: 1, Definitions: []string{bad}}, assets.Rules, 1, quiet())
	if err == nil || !strings.Contains(err.Error(), "it ended") {
		t.Errorf("got %v", err)
	}
}

// Folders of a run that was killed go at the next start, those in use stay.
func TestSweep(t *testing.T) {
	parent := t.TempDir()
	held, err := newPrivateDir(parent, nil)
	if err != nil {
		t.Fatal(err)
	}
	left, err := newPrivateDir(parent, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(left.path, "plain"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	left.lock.Close() // as the kernel does for the dead
	next, err := newPrivateDir(parent, nil)
	if err != nil {
		t.Fatal(err)
	}
	for dir, want := range map[*privateDir]bool{held: true, left: false, next: true} {
		if _, err := os.Stat(dir.path); (err == nil) != want {
			t.Errorf("%s: want it there: %v; %v", dir.path, want, err)
		}
	}
	if err := errors.Join(held.remove(), next.remove()); err != nil {
		t.Error(err)
	}
	if names, err := os.ReadDir(parent); err != nil || len(names) != 0 {
		t.Errorf("left behind: %v %v", names, err)
	}
}

// abandonMain starts a daemon and a worker, says where they are, and is killed.
func abandonMain() {
	s, err := New(context.Background(), Config{Clamd: ClamdConfig{Private: true, Daemons: 1}, Workers: 1, Builtin: assets.Rules})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	c := s.engines[0].(*clamav)
	fmt.Println(c.peek().daemon.cmd.Process.Pid, s.engines[1].(*yaraEngine).peek().cmd.Process.Pid, c.dir.path, c.tmp.path)
	syscall.Kill(os.Getpid(), syscall.SIGKILL)
}

// A program that is killed takes its daemons and workers with it, and the next
// one clears up after it.
func TestKilledProgramLeavesNothing(t *testing.T) {
	out, err := exec.Command("/proc/self/exe", "scan-abandon").Output()
	var clamd, worker int
	var dir, tmp string
	if n, serr := fmt.Sscan(string(out), &clamd, &worker, &dir, &tmp); n != 4 {
		t.Fatalf("%q, %v, %v", out, serr, err)
	}
	for _, pid := range []int{clamd, worker} {
		for range 100 {
			if err = syscall.Kill(pid, 0); err == syscall.ESRCH {
				break
			}
			time.Sleep(20 * time.Millisecond)
		}
		if err != syscall.ESRCH {
			t.Errorf("process %d lives on: %v", pid, err)
		}
	}
	newTestClamAV(t, 1)
	for _, path := range []string{dir, tmp} {
		if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

package scan

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// escapes are what a worker taken over by its content would try.
var escapes = map[string]func() error{
	"open":    func() error { _, err := unix.Open("/etc/hostname", unix.O_RDONLY, 0); return err },
	"create":  func() error { _, err := unix.MemfdCreate("x", 0); return err },
	"socket":  func() error { _, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0); return err },
	"connect": func() error { return unix.Connect(0, &unix.SockaddrUnix{Name: "/run/x"}) },
	"exec":    func() error { return unix.Exec("/bin/true", nil, nil) },
	"fork":    func() error { _, _, e := unix.RawSyscall(unix.SYS_CLONE, uintptr(unix.SIGCHLD), 0, 0); return e },
	"kill":    func() error { return unix.Kill(1, 0) },
	"ptrace":  func() error { return unix.PtraceAttach(1) },
	"wx": func() error {
		_, err := unix.Mmap(-1, 0, 4096, unix.PROT_READ|unix.PROT_WRITE|unix.PROT_EXEC, unix.MAP_ANON|unix.MAP_PRIVATE)
		return err
	},
}

func escapeMain(how string) int {
	if how == "unconfined" { // says that it is ready, but for the sandbox
		w := workerEnd(workerFD)
		w.receive()
		w.send(answer{Kind: kindReady, Text: "trust me"})
		w.receive()
		return 0
	}
	if err := confine(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 3
	}
	if how != "none" {
		escapes[how]()
	}
	return 0
}

func TestConfine(t *testing.T) {
	run := func(how string) *exec.Cmd {
		cmd := exec.Command("/proc/self/exe", "scan-escape", how)
		cmd.Run()
		return cmd
	}
	if s := run("none").ProcessState; !s.Success() {
		t.Fatalf("confined process does not run: %v", s)
	}
	for how := range escapes {
		status := run(how).ProcessState.Sys().(syscall.WaitStatus)
		if !status.Signaled() || status.Signal() != syscall.SIGSYS {
			t.Errorf("%s: want death by SIGSYS, got %v", how, status)
		}
	}
}

func TestConfinedLooksAtThreads(t *testing.T) {
	if err := confined(os.Getpid()); err == nil {
		t.Error("this test's process passes for confined")
	}
	if err := confined(1 << 22); err == nil {
		t.Error("a process that does not exist passes for confined")
	}
}

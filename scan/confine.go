package scan

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	seccomp "github.com/elastic/go-seccomp-bpf"
	"golang.org/x/sys/unix"
)

// confine takes from this process, for good, everything but computing on
// memory and talking over descriptors it already holds: no file can be opened
// or created, no socket made, no program started, no memory made executable,
// no other process touched. A system call outside the list kills the process.
//
// The kernel reports a thread it could not confine in a way the library does
// not look at, so the parent checks every thread with confined before it sends
// content.
func confine() error {
	for what, limit := range map[int]uint64{
		unix.RLIMIT_FSIZE:  0,
		unix.RLIMIT_CORE:   0, // a core file would hold patients' data
		unix.RLIMIT_NOFILE: 32,
	} {
		if err := unix.Setrlimit(what, &unix.Rlimit{Cur: limit, Max: limit}); err != nil {
			return fmt.Errorf("limiting the worker: %w", err)
		}
	}
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("limiting the worker: %w", err)
	}
	// The runtime opens its poller at the first timer of all, which may be its
	// own, minutes from now: this is it.
	time.Sleep(time.Nanosecond)
	// no_new_privs belongs to a thread until the filter is spread to all.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	noExec := func(name string) seccomp.NameWithConditions {
		return seccomp.NameWithConditions{Name: name, Conditions: seccomp.ArgumentConditions{
			{Argument: 2, Operation: seccomp.BitsNotSet, Value: unix.PROT_EXEC},
		}}
	}
	err := seccomp.LoadFilter(seccomp.Filter{
		NoNewPrivs: true,
		Flag:       seccomp.FilterFlagTSync,
		Policy: seccomp.Policy{
			DefaultAction: seccomp.ActionKillProcess,
			Syscalls: []seccomp.SyscallGroup{
				{
					Action: seccomp.ActionAllow,
					Names: []string{
						"read", "write", "pread64", "close", "fstat", "recvmsg", "sendmsg",
						"munmap", "madvise", "mremap", "brk",
						"futex", "sched_yield", "sched_getaffinity", "nanosleep", "clock_nanosleep", "clock_gettime", "gettimeofday",
						"rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "sigaltstack", "tgkill",
						"getpid", "gettid", "getrandom", "set_robust_list", "rseq",
						"epoll_pwait", "restart_syscall", "exit", "exit_group",
					},
					NamesWithCondtions: []seccomp.NameWithConditions{
						noExec("mmap"), noExec("mprotect"),
						{Name: "clone", Conditions: seccomp.ArgumentConditions{ // threads, not processes
							{Argument: 0, Operation: seccomp.BitsSet, Value: unix.CLONE_THREAD},
						}},
					},
				},
				{
					// clone3's flags lie in memory, out of a filter's sight: libc
					// falls back to clone. prctl only names memory areas here.
					Action: seccomp.ActionErrno | seccomp.Action(unix.ENOSYS),
					Names:  []string{"clone3", "prctl"},
				},
			},
		},
	})
	if err != nil {
		return fmt.Errorf("confining the worker: %w", err)
	}
	return nil
}

// confined reports, from outside, whether every thread of pid is under a
// system call filter and without new privileges. Threads born later inherit both.
func confined(pid int) error {
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
	if err != nil || len(threads) == 0 {
		return errors.New("looking at a worker's threads: none found")
	}
	for _, path := range threads {
		status, err := os.ReadFile(path)
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ESRCH) {
			continue // ended meanwhile
		}
		if err != nil {
			return fmt.Errorf("looking at a worker's threads: %w", err)
		}
		if s := string(status); !strings.Contains(s, "\nSeccomp:\t2\n") || !strings.Contains(s, "\nNoNewPrivs:\t1\n") {
			return errors.New("a thread of the worker is not confined")
		}
	}
	return nil
}

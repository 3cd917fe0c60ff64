package firewall

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Confine leaves this process nothing but CAP_NET_ADMIN: started by root it becomes the user with that name, by starting the
// program again, and does not return; started with the capability alone, as by the systemd unit, it goes on. No program can be
// started from then on, and most of what a firewall never asks the kernel for is refused.
func Confine(name string) error {
	if os.Geteuid() == 0 {
		return become(name)
	}
	held, err := capabilities()
	if err != nil {
		return err
	}
	if held != 1<<unix.CAP_NET_ADMIN {
		return fmt.Errorf("the capabilities are %#x, and have to be CAP_NET_ADMIN alone (%#x): use the systemd unit, or start it as root",
			held, uint64(1)<<unix.CAP_NET_ADMIN)
	}
	return confineCalls()
}

// capabilities are those that the process may use.
func capabilities() (uint64, error) {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, fmt.Errorf("read the process's capabilities: %w", err)
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, "CapPrm:"); ok {
			n, err := strconv.ParseUint(strings.TrimSpace(value), 16, 64)
			if err != nil {
				return 0, fmt.Errorf("read the process's capabilities: %w", err)
			}
			return n, nil
		}
	}
	return 0, errors.New("read the process's capabilities: the kernel does not tell them")
}

// become gives root's rights away, on one thread, and starts the program again there: the kernel's rights are those of a thread, and
// so all threads of the new program have what this one has.
func become(name string) error {
	u, err := user.Lookup(name)
	if err != nil {
		return fmt.Errorf("find the user of doorward enforce: %w", err)
	}
	uid, err1 := strconv.Atoi(u.Uid)
	gid, err2 := strconv.Atoi(u.Gid)
	if err := errors.Join(err1, err2); err != nil {
		return fmt.Errorf("find the user of doorward enforce: %w", err)
	}
	if uid == 0 {
		return fmt.Errorf("the user of doorward enforce is root; give it one of its own")
	}
	program, err := os.Executable()
	if err != nil {
		return fmt.Errorf("start as %s: %w", name, err)
	}
	runtime.LockOSThread() // for good: the thread is replaced
	if err := lower(uid, gid); err != nil {
		return fmt.Errorf("become %s: %w", name, err)
	}
	return fmt.Errorf("start as %s: %w", name, syscall.Exec(program, os.Args, os.Environ()))
}

// lower changes the user of this thread and leaves it CAP_NET_ADMIN, also over an exec.
func lower(uid, gid int) error {
	for c := 0; c <= unix.CAP_LAST_CAP; c++ {
		if c == unix.CAP_NET_ADMIN {
			continue
		}
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, uintptr(c), 0, 0, 0); err != nil && !errors.Is(err, unix.EINVAL) { // a capability that this kernel does not have
			return fmt.Errorf("drop capability %d: %w", c, err)
		}
	}
	if err := unix.Prctl(unix.PR_SET_KEEPCAPS, 1, 0, 0, 0); err != nil {
		return err
	}
	// Not the functions of package syscall, which change all threads.
	for _, call := range [][4]uintptr{{unix.SYS_SETGROUPS, 0, 0, 0}, {unix.SYS_SETRESGID, uintptr(gid), uintptr(gid), uintptr(gid)},
		{unix.SYS_SETRESUID, uintptr(uid), uintptr(uid), uintptr(uid)}} {
		if _, _, errno := unix.RawSyscall(call[0], call[1], call[2], call[3]); errno != 0 {
			return errno
		}
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	const one = 1 << unix.CAP_NET_ADMIN
	data := [2]unix.CapUserData{{Effective: one, Permitted: one, Inheritable: one}}
	if err := unix.Capset(&header, &data[0]); err != nil {
		return fmt.Errorf("keep CAP_NET_ADMIN alone: %w", err)
	}
	if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_RAISE, unix.CAP_NET_ADMIN, 0, 0); err != nil {
		return fmt.Errorf("keep CAP_NET_ADMIN over the start: %w", err)
	}
	return unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
}

// confineCalls refuses system calls that a firewall has no use for, to all threads: a hole in the parser of requests then does not
// give away a shell or another process. On machines whose calls are not known here it does nothing.
func confineCalls() error {
	machines := map[string]uint32{"amd64": unix.AUDIT_ARCH_X86_64, "arm64": unix.AUDIT_ARCH_AARCH64}
	machine, known := machines[runtime.GOARCH]
	if !known {
		return nil
	}
	refused := []uint32{
		unix.SYS_EXECVE, unix.SYS_EXECVEAT, unix.SYS_PTRACE, unix.SYS_PROCESS_VM_READV, unix.SYS_PROCESS_VM_WRITEV, unix.SYS_KCMP,
		unix.SYS_MOUNT, unix.SYS_UMOUNT2, unix.SYS_PIVOT_ROOT, unix.SYS_CHROOT, unix.SYS_UNSHARE, unix.SYS_SETNS, unix.SYS_BPF,
		unix.SYS_PERF_EVENT_OPEN, unix.SYS_INIT_MODULE, unix.SYS_FINIT_MODULE, unix.SYS_DELETE_MODULE, unix.SYS_KEXEC_LOAD,
		unix.SYS_KEYCTL, unix.SYS_ADD_KEY, unix.SYS_REQUEST_KEY, unix.SYS_USERFAULTFD, unix.SYS_IO_URING_SETUP, unix.SYS_MOVE_MOUNT,
		unix.SYS_OPEN_TREE, unix.SYS_FSOPEN, unix.SYS_MEMFD_CREATE, unix.SYS_PIDFD_GETFD, unix.SYS_SETUID, unix.SYS_SETRESUID,
		unix.SYS_CAPSET, unix.SYS_REBOOT, unix.SYS_SWAPON, unix.SYS_ACCT, unix.SYS_SETTIMEOFDAY, unix.SYS_CLOCK_SETTIME,
	}
	return installFilter(filterOf(machine, refused))
}

// filterOf is a program of seccomp(2): calls of another machine's numbering end the process, refused ones give EPERM.
func filterOf(machine uint32, refused []uint32) []unix.SockFilter {
	const load, equal, atLeast, answer = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K,
		unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K, unix.BPF_RET | unix.BPF_K
	const number, arch, x32 = 0, 4, 0x40000000
	refuse := unix.SockFilter{Code: answer, K: unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)}
	program := []unix.SockFilter{
		{Code: load, K: arch}, {Code: equal, K: machine, Jt: 1}, {Code: answer, K: unix.SECCOMP_RET_KILL_PROCESS},
		{Code: load, K: number}, {Code: atLeast, K: x32, Jf: 1}, refuse,
	}
	slices.Sort(refused)
	for _, n := range slices.Compact(refused) {
		program = append(program, unix.SockFilter{Code: equal, K: n, Jf: 1}, refuse)
	}
	return append(program, unix.SockFilter{Code: answer, K: unix.SECCOMP_RET_ALLOW})
}

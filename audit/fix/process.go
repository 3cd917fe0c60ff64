package fix

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// masters lists the first processes of a server: those that run program, under the same root as we do, and whose parent does
// not. A copy of the host in a container or chroot is another server.
func masters(program string) []int {
	if full, err := filepath.EvalSymlinks(program); err == nil {
		program = full
	}
	ours, err := os.Stat("/proc/self/root/")
	if err != nil {
		return nil
	}
	found := map[int]int{} // and their parents
	names, _ := filepath.Glob("/proc/[0-9]*")
	for _, name := range names {
		pid, err := strconv.Atoi(filepath.Base(name))
		if err != nil {
			continue
		}
		exe, err := os.Readlink(name + "/exe")
		if err != nil || strings.TrimSuffix(exe, " (deleted)") != program {
			continue
		}
		if root, err := os.Stat(name + "/root/"); err != nil || !os.SameFile(root, ours) {
			continue
		}
		if s, ok := processOf(pid); ok && s.state != "Z" {
			found[pid] = s.parent
		}
	}
	var all []int
	for pid, parent := range found {
		if _, child := found[parent]; !child && len(sockets(pid)) > 0 {
			all = append(all, pid)
		}
	}
	slices.Sort(all)
	return all
}

// process is a line of /proc/PID/stat.
type process struct {
	state  string
	parent int
	begin  time.Duration // after the boot
}

// ticks is how many of the kernel's clock ticks a second has for user space, on every architecture of Linux.
const ticks = 100

func processOf(pid int) (process, bool) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return process{}, false
	}
	_, rest, _ := strings.Cut(string(text[max(0, strings.LastIndexByte(string(text), ')')):]), " ") // a name may have brackets
	fields := strings.Fields(rest)
	if len(fields) < 20 {
		return process{}, false
	}
	parent, err1 := strconv.Atoi(fields[1])
	begin, err2 := strconv.ParseInt(fields[19], 10, 64)
	return process{fields[0], parent, time.Duration(begin) * (time.Second / ticks)}, err1 == nil && err2 == nil
}

// sockets lists the inodes of the sockets that a process has open.
func sockets(pid int) map[string]bool {
	all := map[string]bool{}
	names, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	for _, name := range names {
		target, err := os.Readlink(name)
		if inode, ok := strings.CutPrefix(target, "socket:["); err == nil && ok {
			all[strings.TrimSuffix(inode, "]")] = true
		}
	}
	return all
}

// listening lists where processes listen: ADDRESS:PORT, or the path of a socket. Those in another network than ours cannot
// be asked, and are left out.
func listening(pids []int) []string {
	var all []string
	ours, _ := os.Readlink("/proc/self/ns/net")
	for _, pid := range pids {
		if theirs, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/net", pid)); err != nil || theirs != ours {
			continue
		}
		open := sockets(pid)
		for _, table := range []string{"tcp", "tcp6"} {
			for fields := range tableLines(pid, table) {
				if len(fields) > 9 && fields[3] == "0A" && open[fields[9]] {
					all = append(all, socketAddress(fields[1]))
				}
			}
		}
		for fields := range tableLines(pid, "unix") {
			if len(fields) > 7 && fields[5] == "01" && open[fields[6]] && strings.HasPrefix(fields[7], "/") {
				all = append(all, fields[7])
			}
		}
	}
	slices.Sort(all)
	return slices.DeleteFunc(slices.Compact(all), func(s string) bool { return s == "" })
}

func tableLines(pid int, table string) func(func([]string) bool) {
	return func(yield func([]string) bool) {
		f, err := os.Open(fmt.Sprintf("/proc/%d/net/%s", pid, table))
		if err != nil {
			return
		}
		defer f.Close()
		for lines := bufio.NewScanner(f); lines.Scan(); {
			if !yield(strings.Fields(lines.Text())) {
				return
			}
		}
	}
}

// socketAddress reads 0100007F:0016. The wildcard is asked at loopback.
func socketAddress(text string) string {
	host, port, _ := strings.Cut(text, ":")
	raw, err1 := hex.DecodeString(host)
	number, err2 := strconv.ParseUint(port, 16, 16)
	if err1 != nil || err2 != nil || len(raw) != 4 && len(raw) != 16 {
		return ""
	}
	for i := 0; i < len(raw); i += 4 { // the kernel writes 32-bit words in its own order
		slices.Reverse(raw[i : i+4])
	}
	a, _ := netip.AddrFromSlice(raw)
	switch a = a.Unmap(); {
	case a.IsUnspecified() && len(raw) == 4:
		a = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	case a.IsUnspecified():
		a = netip.IPv6Loopback()
	}
	return netip.AddrPortFrom(a, uint16(number)).String()
}

// ask tells what answers at an address: the first line of a greeting, or the status of an HTTP request.
func ask(address, probe string) string {
	network := "tcp"
	if strings.HasPrefix(address, "/") {
		network = "unix"
	}
	c, err := net.DialTimeout(network, address, 3*time.Second)
	if err != nil {
		return "no answer: " + err.Error()
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return "no answer: " + err.Error()
	}
	if probe == "" {
		return "a connection"
	}
	if probe == "mariadb" || probe == "postgresql" {
		return askDatabase(c, probe)
	}
	if probe == "http" {
		fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: localhost\r\nUser-Agent: doorward-fix\r\nConnection: close\r\n\r\n")
	}
	line, err := bufio.NewReaderSize(c, 256).ReadSlice('\n')
	if err != nil && len(line) == 0 {
		return "no answer: " + err.Error()
	}
	text := strings.TrimSpace(string(line))
	if version, rest, ok := strings.Cut(text, " "); ok && strings.HasPrefix(version, "HTTP/") {
		return "HTTP " + rest
	}
	return text
}

package facts

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
)

const maxProcesses = 20_000

// process is one that runs.
type process struct {
	pid, parent int
	uid         uint32 // effective
	exe         string // "" for a kernel thread, or where it may not be read
	name        string
	inodes      []uint64 // of the sockets asked for that it holds
}

// readProcesses lists all processes, and which of the sockets with the inodes in wanted they hold. sealed says that
// some could not be looked into.
func readProcesses(ctx context.Context, wanted map[uint64]bool) (all []process, sealed bool, err error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, false, err
	}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if ctx.Err() != nil || len(all) == maxProcesses {
			return all, true, ctx.Err()
		}
		p, err := readProcess(pid, wanted)
		if errors.Is(err, fs.ErrPermission) {
			sealed = true
		} else if err != nil { // it has ended
			continue
		}
		all = append(all, p)
	}
	return all, sealed, nil
}

func readProcess(pid int, wanted map[uint64]bool) (process, error) {
	dir := "/proc/" + strconv.Itoa(pid)
	p := process{pid: pid}
	status, err := os.ReadFile(dir + "/status")
	if err != nil {
		return p, err
	}
	for line := range strings.Lines(string(status)) {
		key, value, _ := strings.Cut(line, ":")
		w := strings.Fields(value)
		switch {
		case key == "Name":
			p.name = strings.TrimSpace(value)
		case key == "Uid" && len(w) > 1:
			n, _ := strconv.ParseUint(w[1], 10, 32)
			p.uid = uint32(n)
		case key == "PPid" && len(w) > 0:
			p.parent, _ = strconv.Atoi(w[0])
		}
	}
	exe, err := os.Readlink(dir + "/exe")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return p, err
	}
	p.exe = strings.TrimSuffix(exe, " (deleted)")
	fds, err := os.ReadDir(dir + "/fd")
	if err != nil {
		return p, err
	}
	for _, fd := range fds {
		link, err := os.Readlink(dir + "/fd/" + fd.Name())
		text, ok := strings.CutPrefix(link, "socket:[")
		if err != nil || !ok {
			continue
		}
		inode, err := strconv.ParseUint(strings.TrimSuffix(text, "]"), 10, 64)
		if err == nil && wanted[inode] && !slices.Contains(p.inodes, inode) {
			p.inodes = append(p.inodes, inode)
		}
	}
	return p, nil
}

const dpkgInfo = "/var/lib/dpkg/info"

// packagesOf tells which Debian package each of the files belongs to; files of none are not in the answer. known is
// false on a host without dpkg.
func packagesOf(ctx context.Context, h *Host, files []string) (owners map[string]string, known bool, err error) {
	owners = map[string]string{}
	lists, err := h.Glob(dpkgInfo + "/*.list")
	if err != nil || len(lists) == 0 {
		return owners, false, err
	}
	for _, list := range lists {
		if ctx.Err() != nil {
			return owners, true, ctx.Err()
		}
		if len(owners) == len(files) {
			break
		}
		text, err := h.ReadFile(list)
		if err != nil {
			return owners, true, err
		}
		name, _, _ := strings.Cut(strings.TrimSuffix(path.Base(list), ".list"), ":")
		for _, file := range files {
			// Where /bin is a link to /usr/bin, packages may still list the old name.
			if owners[file] == "" && (listed(text, file) || listed(text, strings.TrimPrefix(file, "/usr"))) {
				owners[file] = name
			}
		}
	}
	return owners, true, nil
}

func listed(text []byte, file string) bool {
	return len(file) > 1 && (bytes.Contains(text, []byte("\n"+file+"\n")) || bytes.HasPrefix(text, []byte(file+"\n")))
}

// userNames reads the names of uids; where several accounts share one, the first.
func userNames(h *Host) map[uint32]string {
	names := map[uint32]string{}
	text, err := h.ReadFile("/etc/passwd")
	if err != nil {
		return names
	}
	for line := range strings.Lines(string(text)) {
		w := strings.Split(line, ":")
		if len(w) < 4 {
			continue
		}
		if n, err := strconv.ParseUint(w[2], 10, 32); err == nil && names[uint32(n)] == "" {
			names[uint32(n)] = w[0]
		}
	}
	return names
}

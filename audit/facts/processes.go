package facts

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strings"
)

// Processes is as whom the host's services run.
type Processes struct {
	// Services are the programs that listen, one entry a program.
	Services []Service `cel:"services"`
	Origin   string    `cel:"origin"`
}

// Service is a program that listens, with all its processes that hold the listening sockets.
type Service struct {
	Exe   string   `cel:"exe"`
	Ports []string `cel:"ports"` // tcp/80; at most 20
	Outer bool     `cel:"outer"` // listens not only on loopback
	Users []string `cel:"users"` // effective users of the processes that hold the sockets, by name or number
	// RootOnly is that all of them run as root, so that root serves whoever connects.
	RootOnly bool `cel:"root_only"`
	// Separates is that the program is one of those that accept as root and hand each connection to a process without
	// rights before it reads much of it, as OpenSSH and Postfix do.
	Separates bool   `cel:"separates"`
	Origin    string `cel:"origin"`
}

// separates says whether a program that accepts as root gives its rights away for each connection.
func separates(exe string) bool {
	switch path.Base(exe) {
	case "sshd", "sshd-session", "systemd", "init", "master", "dovecot", "vsftpd", "xinetd", "inetd":
		return true
	}
	return false
}

func collectProcesses(ctx context.Context, h *Host, _ Target) (Processes, []Missing) {
	p := Processes{Origin: "/proc"}
	if !h.Live() {
		return p, missing("%s", ErrNotLive)
	}
	sockets, err := readSockets(h)
	if err != nil {
		return p, missing("%s", because(err))
	}
	byInode := map[uint64]socket{}
	wanted := map[uint64]bool{}
	for _, s := range sockets {
		byInode[s.inode], wanted[s.inode] = s, true
	}
	all, sealed, err := readProcesses(ctx, wanted)
	if err != nil {
		return p, missing("%s", because(err))
	}
	p.Services = servicesOf(all, byInode, userNames(h))
	for _, one := range all {
		for _, inode := range one.inodes {
			delete(wanted, inode)
		}
	}
	if sealed && len(wanted) > 0 { // what nobody holds may be held by one that may not be looked into
		return p, []Missing{{"services", "not every process may be looked into: run the audit as root"}}
	}
	return p, nil
}

func servicesOf(all []process, sockets map[uint64]socket, users map[uint32]string) []Service {
	byExe := map[string]*Service{}
	for _, one := range all {
		if len(one.inodes) == 0 {
			continue
		}
		exe := one.exe
		if exe == "" {
			exe = one.name
		}
		s := byExe[exe]
		if s == nil {
			s = &Service{Exe: exe, RootOnly: true, Separates: separates(exe), Origin: fmt.Sprintf("/proc/%d/status", one.pid)}
			byExe[exe] = s
		}
		s.RootOnly = s.RootOnly && one.uid == 0
		user := users[one.uid]
		if user == "" {
			user = fmt.Sprint(one.uid)
		}
		if !slices.Contains(s.Users, user) && len(s.Users) < 20 {
			s.Users = append(s.Users, user)
		}
		for _, inode := range one.inodes {
			at := sockets[inode]
			s.Outer = s.Outer || at.outer()
			port := fmt.Sprintf("%s/%d", at.protocol, at.addr.Port())
			if !slices.Contains(s.Ports, port) && len(s.Ports) < 20 {
				s.Ports = append(s.Ports, port)
			}
		}
	}
	var services []Service
	for _, s := range byExe {
		services = append(services, *s)
	}
	slices.SortFunc(services, func(a, b Service) int { return strings.Compare(a.Exe, b.Exe) })
	return services
}

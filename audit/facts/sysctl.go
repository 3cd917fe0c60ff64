package facts

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// sysctlNames are the settings that controls look at.
func sysctlNames() []string {
	return []string{
		"net.ipv6.conf.all.disable_ipv6", "net.ipv6.conf.default.disable_ipv6", "net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding",
		"net.ipv4.tcp_syncookies", "net.ipv4.conf.all.rp_filter", "net.ipv4.conf.default.rp_filter", "net.ipv4.conf.all.accept_redirects",
		"net.ipv4.conf.default.accept_redirects", "net.ipv6.conf.all.accept_redirects", "net.ipv6.conf.default.accept_redirects",
		"net.ipv4.conf.all.send_redirects", "net.ipv4.conf.default.send_redirects", "net.ipv4.conf.all.accept_source_route",
		"net.ipv4.conf.default.accept_source_route", "net.ipv6.conf.all.accept_source_route", "net.ipv6.conf.default.accept_source_route",
		"net.ipv4.conf.all.log_martians", "net.ipv4.icmp_echo_ignore_all", "net.ipv4.icmp_echo_ignore_broadcasts",
		"net.ipv4.icmp_ignore_bogus_error_responses", "net.ipv6.icmp.echo_ignore_all", "net.ipv6.conf.all.accept_ra",
		"net.ipv6.conf.default.accept_ra", "net.ipv6.bindv6only",
	}
}

// sysctls reads what is in force and what the files say. A name that the kernel does not have and no file sets is left out.
func sysctls(h *Host) (map[string]Sysctl, error) {
	configured, err := sysctlFiles(h)
	if err != nil {
		return nil, err
	}
	all := map[string]Sysctl{}
	for _, name := range sysctlNames() {
		s := Sysctl{Origin: "default"}
		for _, c := range configured {
			if c.is(name) {
				s.Configured, s.Origin = c.value, c.origin
			}
		}
		s.Value = s.Configured
		if h.Live() {
			file := "/proc/sys/" + strings.ReplaceAll(name, ".", "/")
			text, err := h.ReadFile(file)
			if err != nil {
				if s.Configured == "" {
					continue
				}
				s.Value = ""
			} else if s.Value = strings.TrimSpace(string(text)); s.Configured == "" {
				s.Origin = file
			}
		}
		if s.Value != "" || s.Configured != "" {
			all[name] = s
		}
	}
	return all, nil
}

// sysctlLine is one assignment, in the order in which they are made.
type sysctlLine struct{ pattern, value, origin string }

// is says whether the line sets name. A name written out beats a pattern, which the reader sees to by their order.
func (l sysctlLine) is(name string) bool {
	ok, _ := path.Match(l.pattern, strings.ReplaceAll(name, ".", "/")) // a bad pattern means nothing
	return ok
}

// sysctlFiles reads the files in the order of systemd-sysctl: by name, whatever the folder; of two with one name that of the
// first folder counts. /etc/sysctl.conf is read last, as procps does; Debian links it into sysctl.d under a late name.
func sysctlFiles(h *Host) ([]sysctlLine, error) {
	files := map[string]string{}
	for _, dir := range []string{"/etc/sysctl.d", "/run/sysctl.d", "/usr/local/lib/sysctl.d", "/usr/lib/sysctl.d", "/lib/sysctl.d"} {
		found, err := h.Glob(dir + "/*.conf")
		if err != nil {
			return nil, err
		}
		for _, file := range found {
			if files[path.Base(file)] == "" {
				files[path.Base(file)] = file
			}
		}
	}
	var order []string
	for name := range files {
		order = append(order, name)
	}
	slices.Sort(order)
	var exact, patterns []sysctlLine
	for _, file := range append(order, "sysctl.conf") {
		file := files[file]
		if file == "" {
			file = "/etc/sysctl.conf"
		}
		if !h.Exists(file) {
			continue
		}
		if info, err := h.Stat(file); err != nil || !info.Mode().IsRegular() { // a link to /dev/null switches a file off
			continue
		}
		text, err := h.ReadFile(file)
		if err != nil {
			return nil, err
		}
		for _, l := range parseSysctl(file, string(text)) {
			if strings.ContainsAny(l.pattern, "*?[") {
				patterns = append(patterns, l)
			} else {
				exact = append(exact, l)
			}
		}
	}
	return append(patterns, exact...), nil
}

// parseSysctl reads lines as net.ipv4.ip_forward = 0, net/ipv4/ip_forward=0 or -net.ipv4.conf.*.rp_filter = 1.
func parseSysctl(file, text string) []sysctlLine {
	var all []sysctlLine
	n := 0
	for line := range strings.Lines(text) {
		n++
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' || line[0] == ';' {
			continue
		}
		key, value, ok := strings.Cut(strings.TrimPrefix(line, "-"), "=")
		key = strings.TrimSpace(key)
		if !ok || key == "" {
			continue
		}
		// The first separator decides which of the two is one; the other is then part of a name.
		if i := strings.IndexAny(key, "./"); i >= 0 && key[i] == '.' {
			key = strings.Map(func(r rune) rune {
				switch r {
				case '.':
					return '/'
				case '/':
					return '.'
				}
				return r
			}, key)
		}
		all = append(all, sysctlLine{key, strings.TrimSpace(value), fmt.Sprintf("%s:%d", file, n)})
	}
	return all
}

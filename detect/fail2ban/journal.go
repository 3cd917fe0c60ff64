package fail2ban

import (
	"fmt"
	"strconv"
	"strings"
)

// JournalText is an entry of the systemd journal as the line that fail2ban's filters are written for: the host, the program with its
// number, and the message, with line ends written as \n. field gives a field of the entry, "" when it has none.
func JournalText(field func(name string) string) string {
	var parts []string
	if v := field("_HOSTNAME"); v != "" {
		parts = append(parts, v)
	}
	name := field("SYSLOG_IDENTIFIER")
	if name == "" {
		name = field("_COMM")
	}
	if name != "" {
		pid := field("SYSLOG_PID")
		if pid == "" {
			pid = field("_PID")
		}
		if pid != "" {
			name += "[" + pid + "]"
		}
		parts = append(parts, name)
	}
	if n := len(parts); n > 0 {
		parts[n-1] += ":"
		if parts[n-1] == "kernel:" {
			parts = append(parts, sinceBoot(field))
		}
	}
	return strings.ReplaceAll(strings.Join(append(parts, field("MESSAGE")), " "), "\n", `\n`)
}

// sinceBoot is when the kernel wrote a message, as its own log shows it.
func sinceBoot(field func(name string) string) string {
	v := field("_SOURCE_MONOTONIC_TIMESTAMP")
	if v == "" {
		v = field("__MONOTONIC_TIMESTAMP")
	}
	micros, _ := strconv.ParseUint(v, 10, 63) // 0 when the entry has none
	return fmt.Sprintf("[%12.6f]", float64(micros)/1e6)
}

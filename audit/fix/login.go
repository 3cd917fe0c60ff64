package fix

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"time"
)

// Moment is a time that a sign-in is compared with: the kernel's boot id, the time since that boot, which no clock moves, and what the
// clock said.
type Moment struct {
	Boot      string        `json:"boot"`
	SinceBoot time.Duration `json:"since_boot"` // nanoseconds
	At        time.Time     `json:"at"`
}

// Now is this moment.
func Now() Moment { return Moment{bootID(), sinceBoot(), time.Now()} }

// Rebooted says whether the host was started since.
func (m Moment) Rebooted() bool { return m.Boot != bootID() }

// LoginSince looks for a sign-in that began after m: the connection of sshd that the process pid descends from, or one from
// elsewhere in the log of sign-ins. It returns what showed it. command is what people run to confirm, for the error.
func LoginSince(m Moment, pid int, command string) (string, error) {
	if m.Rebooted() {
		return "", errors.New("the host was started since the change; it is taken back at its deadline: apply it again")
	}
	began, found := connectionOf(pid)
	if found && began > m.SinceBoot {
		return fmt.Sprintf("a connection that began %v after the change", (began - m.SinceBoot).Round(time.Second)), nil
	}
	if login := recordedLogin(m.At.Add(time.Second), time.Now()); login != "" {
		return login, nil
	}
	if found {
		return "", errors.New("this connection is older than the change, and shows nothing: sign in by SSH anew and run " + command + " there")
	}
	return "", errors.New("no sign-in after the change is known: sign in by SSH anew and run " + command + " there")
}

// SSHSession is the connection of sshd that the process pid descends from: where it comes from, and the port that it came to. ok is
// false where there is none, as on the console.
func SSHSession(pid int) (client netip.Addr, port uint16, ok bool) {
	for range 64 {
		p, known := processOf(pid)
		if !known || pid <= 1 {
			break
		}
		if isSSHD(pid) {
			if client, port, ok = connectedFrom(pid); ok {
				return client, port, true
			}
		}
		pid = p.parent
	}
	return netip.Addr{}, 0, false
}

// connectedFrom finds the TCP connection that a process has open.
func connectedFrom(pid int) (client netip.Addr, port uint16, ok bool) {
	open := sockets(pid)
	for _, table := range []string{"tcp", "tcp6"} {
		for fields := range tableLines(pid, table) {
			if len(fields) < 10 || fields[3] != "01" || !open[fields[9]] {
				continue
			}
			_, local, err1 := net.SplitHostPort(socketAddress(fields[1]))
			far, err2 := netip.ParseAddrPort(socketAddress(fields[2]))
			number, err3 := strconv.ParseUint(local, 10, 16)
			if errors.Join(err1, err2, err3) == nil {
				return far.Addr().Unmap(), uint16(number), true
			}
		}
	}
	return netip.Addr{}, 0, false
}

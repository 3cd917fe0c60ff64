package fix

import (
	"context"
	"fmt"
	"path"
	"regexp"
	"strings"
)

// sysctlChange sets a parameter of the running kernel. The file that sets it again at the next start is a fileChange.
type sysctlChange struct {
	Key    string `json:"key"` // net.ipv6.conf.all.disable_ipv6
	Before string `json:"before"`
	After  string `json:"after"`
}

var sysctlKey = regexp.MustCompile(`^[a-z0-9_]+(\.[A-Za-z0-9_-]+){1,8}$`)

func (c *sysctlChange) kind() string { return "sysctl" }
func (c *sysctlChange) what() string { return "set " + c.Key + " of the running kernel" }
func (c *sysctlChange) diff() string {
	return fmt.Sprintf("sysctl %s: %s -> %s\n", c.Key, c.Before, c.After)
}

func (c *sysctlChange) do(_ context.Context, m *Machine, _ *Entry) error {
	now, err := m.sysctl(c.Key)
	if err != nil {
		return err
	}
	if now == c.After { // net.ipv6.conf.all sets default with it
		return nil
	}
	if now != c.Before {
		return errRefused{fmt.Errorf("%s: %w: it is %s", c.Key, errChanged, now)}
	}
	return m.setSysctl(c.Key, c.After)
}

// undo has nothing to do after a reboot: the kernel then reads the files, which undo has put back.
func (c *sysctlChange) undo(_ context.Context, m *Machine, _ *Entry, o undoing) error {
	now, err := m.sysctl(c.Key)
	if err != nil {
		return err
	}
	if now == c.Before {
		return nil
	}
	if now != c.After && !o.force && !o.halfway {
		return &Conflict{c.Key, fmt.Sprintf("sysctl %s: the fix left %s; it is %s\n", c.Key, c.After, now)}
	}
	return m.setSysctl(c.Key, c.Before)
}

// conflict says what somebody changed since.
func (c *sysctlChange) conflict(_ context.Context, m *Machine, _ *Entry) error {
	now, err := m.sysctl(c.Key)
	if err != nil || now == c.Before || now == c.After {
		return err
	}
	return &Conflict{c.Key, fmt.Sprintf("sysctl %s: the fix left %s; it is %s\n", c.Key, c.After, now)}
}

func sysctlFile(key string) (string, error) {
	if !sysctlKey.MatchString(key) {
		return "", fmt.Errorf("%q is no name of a kernel parameter", key)
	}
	return path.Join("/proc/sys", strings.ReplaceAll(key, ".", "/")), nil
}

package fix

import (
	"context"
	"fmt"
	"strings"
)

// systemctl is systemd's own tool.
const systemctl = "/usr/bin/systemctl"

// unitChange stops a unit of the running systemd. The links that start it with the system are fileChanges, so that they come
// back exactly as they were.
type unitChange struct {
	Unit   string `json:"unit"`
	Active bool   `json:"active"` // before
}

func (c *unitChange) kind() string { return "unit" }
func (c *unitChange) what() string { return "stop " + c.Unit }
func (c *unitChange) diff() string { return fmt.Sprintf("unit %s: active -> stopped\n", c.Unit) }

func (c *unitChange) do(ctx context.Context, m *Machine, _ *Entry) error {
	if _, err := m.run(ctx, nil, systemctl, "daemon-reload"); err != nil {
		return err
	}
	_, err := m.run(ctx, nil, systemctl, "stop", "--", c.Unit)
	return err
}

func (c *unitChange) undo(ctx context.Context, m *Machine, _ *Entry, _ undoing) error {
	if !m.systemd() {
		return nil // the links are back; there is nobody who could start it
	}
	if _, err := m.run(ctx, nil, systemctl, "daemon-reload"); err != nil {
		return err
	}
	if !c.Active || m.active(ctx, c.Unit) {
		return nil
	}
	_, err := m.run(ctx, nil, systemctl, "start", "--", c.Unit)
	return err
}

// active asks systemd whether a unit runs.
func (m *Machine) active(ctx context.Context, unit string) bool {
	out, err := m.run(ctx, nil, systemctl, "show", "--property=ActiveState", "--value", "--", unit)
	state := strings.TrimSpace(out)
	return err == nil && (state == "active" || state == "activating" || state == "reloading")
}

package fix

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
)

// change is one typed thing that a fix does to a host, and can take back. Each kind has a file change_KIND.go.
type change interface {
	// kind is the name under which the journal has it.
	kind() string
	// what says in one line what is changed.
	what() string
	// diff shows the change to people.
	diff() string
	// do makes the change. It refuses when what is there is not what was planned.
	do(ctx context.Context, m *Machine, e *Entry) error
	// undo brings back what was there. What is there already is left; what is neither as before nor as the change left it is
	// a *Conflict, unless o.force. With o.halfway, an interrupted change counts as ours.
	undo(ctx context.Context, m *Machine, e *Entry, o undoing) error
}

// undoing is how something is taken back.
type undoing struct {
	force   bool // whatever is there now
	halfway bool // the apply or undo before was killed on the way
}

// Conflict says that something was changed after the fix, so that taking the fix back would take that back too.
type Conflict struct {
	What string // is changed
	Diff string // from what the fix left to what is there
}

// Error names what was changed.
func (c *Conflict) Error() string {
	return c.What + " is not as the fix left it"
}

// record is a change as the journal has it.
type record struct {
	Kind   string          `json:"kind"`
	Change json.RawMessage `json:"change"`
}

func recordOf(c change) (record, error) {
	text, err := json.Marshal(c)
	return record{c.kind(), text}, err
}

// change reads a record back.
func (r record) change() (change, error) {
	kinds := map[string]func() change{
		"file":     func() change { return &fileChange{} },
		"tree":     func() change { return &treeChange{} },
		"sysctl":   func() change { return &sysctlChange{} },
		"unit":     func() change { return &unitChange{} },
		"account":  func() change { return &accountChange{} },
		"table":    func() change { return &tableChange{} },
		"database": func() change { return &databaseChange{} },
		"rights":   func() change { return &rightsChange{} },
		"role":     func() change { return &roleChange{} },
		"password": func() change { return &passwordChange{} },
		"rows":     func() change { return &rowsChange{} },
	}
	empty, known := kinds[r.Kind]
	if !known {
		return nil, fmt.Errorf("change of kind %q is not known to this version", r.Kind)
	}
	c := empty()
	if err := json.Unmarshal(r.Change, c); err != nil {
		return nil, fmt.Errorf("read change of kind %s: %w", r.Kind, err)
	}
	return c, nil
}

// errRefused is that a change was not begun, because what is there is not what was planned.
type errRefused struct{ error }

// Unwrap gives the cause.
func (e errRefused) Unwrap() error { return e.error }

// onTheWay says whether now can be what a change from a to b left that was killed on the way: every attribute is one of
// both. The flags that keep everything else from changing are taken off first, and a change of owner takes setuid away.
func onTheWay(now, a, b attributes) bool {
	either := func(is, x, y uint32) bool { return is == x || is == y }
	const locked = immutableFlag | appendFlag
	return either(now.UID, a.UID, b.UID) && either(now.GID, a.GID, b.GID) &&
		(either(now.Mode, a.Mode, b.Mode) || either(now.Mode, a.Mode&^0o6000, b.Mode&^0o6000) || a.Xattrs != nil || b.Xattrs != nil) &&
		(either(now.Flags, a.Flags, b.Flags) || either(now.Flags, a.Flags&^locked, b.Flags&^locked))
}

// errOffline is that a change belongs to the running system and the root is a folder.
var errOffline = errors.New("the root is a folder, not the running system")

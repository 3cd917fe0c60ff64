package ruleset

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/doorward/doorward/wholefile"
)

// Where the keeper's files are.
const (
	// DefaultState is the folder of what was there before, root's own.
	DefaultState = "/var/lib/doorward-firewall"
	// DefaultFile is the ruleset that the unit doorward-firewall.service loads when the host starts.
	DefaultFile = "/etc/doorward/firewall.nft"
)

// The statuses of the last apply.
const (
	Applying    = "applying"    // on the way, or killed on the way
	Unconfirmed = "unconfirmed" // in force until Deadline, and then taken back
	Confirmed   = "confirmed"   // in force, and loaded when the host starts
	Reverted    = "reverted"
)

// State is the last apply, as the keeper's folder has it.
type State struct {
	Status   string    `json:"status"`
	Reason   string    `json:"reason,omitempty"`
	Made     time.Time `json:"made"`
	Deadline time.Time `json:"deadline"`
	// Boot and SinceBoot are the kernel's boot id and the nanoseconds since that boot when the ruleset was in force.
	Boot      string        `json:"boot"`
	SinceBoot time.Duration `json:"since_boot"`
	// Text is what was put into force.
	Text string `json:"text"`
	// Before is what was in force before, as nft wrote it; empty: no table of ours.
	Before string `json:"before"`
	// File is what the persistent file held before; nil: there was none.
	File *string `json:"file,omitempty"`
	// Enabled is whether the unit that loads the file was switched on before.
	Enabled bool `json:"enabled,omitempty"`
	// Previous is the apply before, to which revert comes back; nil when that is nothing.
	Previous *State `json:"previous,omitempty"`
}

// maxPrevious is how many applies can be taken back one after the other.
const maxPrevious = 20

// forget keeps the chain of what was before to its length.
func (s *State) forget(length int) {
	for ; s != nil; s = s.Previous {
		if length--; length == 0 {
			s.Previous = nil
		}
	}
}

// Waits says whether the ruleset is taken back unless it is confirmed.
func (s State) Waits() bool { return s.Status == Applying || s.Status == Unconfirmed }

// Keeper puts a ruleset into force, keeps it, and takes it back. What it changes is ours alone: one table, one file, one unit.
type Keeper struct {
	// State is the folder of its own; empty: DefaultState.
	State string
	// File is the persistent ruleset; empty: DefaultFile.
	File string
	// Program is doorward itself, which is started again to take an unconfirmed ruleset back.
	Program string
}

func (k *Keeper) state() string {
	if k.State == "" {
		return DefaultState
	}
	return k.State
}

func (k *Keeper) file() string {
	if k.File == "" {
		return DefaultFile
	}
	return k.File
}

// ErrNone says that nothing was applied yet.
var ErrNone = errors.New("no base ruleset was applied yet")

// Last is the last apply; ErrNone when there is none.
func (k *Keeper) Last() (State, error) {
	var s State
	text, err := os.ReadFile(filepath.Join(k.state(), "state.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return s, ErrNone
	}
	if err != nil {
		return s, fmt.Errorf("read what was applied: %w", err)
	}
	if err := json.Unmarshal(text, &s); err != nil {
		return s, fmt.Errorf("read what was applied: %w", err)
	}
	return s, nil
}

// note keeps a state; it is on the disk when note returns.
func (k *Keeper) note(s State) error {
	text, err := json.MarshalIndent(s, "", " ")
	if err != nil {
		return fmt.Errorf("note what was applied: %w", err)
	}
	if err := wholefile.Replace(filepath.Join(k.state(), "state.json"), 0o600, append(text, '\n')); err != nil {
		return fmt.Errorf("note what was applied: %w", err)
	}
	return nil
}

// lock keeps every other apply, confirm and revert away until the file is closed.
func (k *Keeper) lock(wait bool) (*os.File, error) {
	if err := os.MkdirAll(k.state(), 0o700); err != nil {
		return nil, fmt.Errorf("make the folder of the base ruleset: %w", err)
	}
	info, err := os.Lstat(k.state())
	if err != nil {
		return nil, fmt.Errorf("look at the folder of the base ruleset: %w", err)
	}
	if !info.IsDir() || info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%s has to be a folder of root's own with mode 0700: it says what revert does as root", k.state())
	}
	f, err := os.OpenFile(filepath.Join(k.state(), "lock"), os.O_CREATE|os.O_RDWR|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the base ruleset: %w", err)
	}
	how := unix.LOCK_EX
	if !wait {
		how |= unix.LOCK_NB
	}
	for {
		if err = unix.Flock(int(f.Fd()), how); !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if err != nil {
		f.Close()
		return nil, errors.New("another doorward firewall is at work; try again when it has ended")
	}
	return f, nil
}

// Apply puts a ruleset into force and has it taken back after within, unless it is confirmed. moment tells the boot id and the time
// since boot. The returned state is unconfirmed.
func (k *Keeper) Apply(ctx context.Context, text string, within time.Duration, moment func() (string, time.Duration)) (State, error) {
	lock, err := k.lock(false)
	if err != nil {
		return State{}, err
	}
	defer lock.Close()
	boot, _ := moment()
	last, err := k.Last()
	switch {
	case errors.Is(err, ErrNone):
	case err != nil:
		return State{}, err
	case last.Waits() && last.Boot == boot:
		return State{}, fmt.Errorf("a ruleset waits for its confirmation until %s: confirm or revert that first", last.Deadline.Local().Format(time.DateTime))
	}
	s := State{Status: Applying, Made: time.Now(), Boot: boot, Text: text, Enabled: enabled()}
	s.Deadline = s.Made.Add(within)
	switch {
	case last.Status == Confirmed:
		s.Previous = &last
	case last.Waits(): // and the host was started since, so that what was before is in force
		s.Previous = last.Previous
	}
	s.forget(maxPrevious)
	if _, err := Written(ctx, text); err != nil {
		return State{}, err
	}
	if s.Before, err = InForce(ctx); err != nil {
		return State{}, err
	}
	old, err := os.ReadFile(k.file())
	if err == nil {
		before := string(old)
		s.File = &before
	} else if !errors.Is(err, fs.ErrNotExist) {
		return State{}, fmt.Errorf("read the ruleset of the start: %w", err)
	}
	if err := k.note(s); err != nil {
		return State{}, err
	}
	if err := k.watch(ctx); err != nil { // before anything is changed: what comes after may be killed
		return State{}, errors.Join(fmt.Errorf("nothing was changed: %w", err), k.drop(s, err.Error()))
	}
	if err := put(ctx, text); err != nil {
		return State{}, errors.Join(fmt.Errorf("nothing was changed: %w", err), k.drop(s, err.Error()))
	}
	s.Status = Unconfirmed
	_, s.SinceBoot = moment()
	if err := k.note(s); err != nil {
		return State{}, errors.Join(err, put(ctx, emptied+s.Before))
	}
	return s, nil
}

func (k *Keeper) settle(s State, status, reason string) error {
	s.Status, s.Reason = status, reason
	return k.note(s)
}

// Confirm keeps the ruleset: it is written to the file that is loaded when the host starts, and the unit that loads it is
// switched on. proof shows that people can still sign in, or says why not. It returns what proof said, and whether the unit is on.
func (k *Keeper) Confirm(ctx context.Context, proof func(State) (string, error)) (shown string, starts bool, err error) {
	lock, err := k.lock(false)
	if err != nil {
		return "", false, err
	}
	defer lock.Close()
	s, err := k.Last()
	switch {
	case err != nil:
		return "", false, err
	case s.Status != Unconfirmed:
		return "", false, fmt.Errorf("the last ruleset is %s; there is nothing to confirm", s.Status)
	case !time.Now().Before(s.Deadline):
		return "", false, errors.New("the time to confirm is over; the ruleset is being taken back")
	}
	if shown, err = proof(s); err != nil {
		return "", false, err
	}
	if err := os.MkdirAll(filepath.Dir(k.file()), 0o755); err != nil {
		return "", false, fmt.Errorf("write the ruleset of the start: %w", err)
	}
	if err := wholefile.Replace(k.file(), 0o644, []byte(s.Text)); err != nil {
		return "", false, fmt.Errorf("write the ruleset of the start: %w", err)
	}
	if err := k.settle(s, Confirmed, "confirmed by "+shown); err != nil {
		return "", false, err
	}
	return shown, enable(ctx), nil
}

// ErrChanged says that the file was changed after it was confirmed.
var ErrChanged = errors.New("the ruleset of the start was changed since it was confirmed")

// Revert brings back what was there before the last apply that holds: the table, the file and whether the unit is on. Again, it takes back
// the one before. A file that somebody
// changed since is kept back with ErrChanged, unless force is set.
func (k *Keeper) Revert(ctx context.Context, reason string, force bool) error {
	lock, err := k.lock(true)
	if err != nil {
		return err
	}
	defer lock.Close()
	s, err := k.Last()
	if err != nil {
		return err
	}
	return k.revert(ctx, s, reason, force)
}

func (k *Keeper) revert(ctx context.Context, s State, reason string, force bool) error {
	if s.Status == Reverted {
		return errors.New("every ruleset was taken back already")
	}
	if s.Status == Confirmed {
		now, err := os.ReadFile(k.file())
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("read the ruleset of the start: %w", err)
		}
		if string(now) != s.Text && !force {
			return fmt.Errorf("%w (%s)", ErrChanged, k.file())
		}
	}
	if err := put(ctx, emptied+s.Before); err != nil {
		return fmt.Errorf("take the ruleset back: %w", err)
	}
	if s.Status == Confirmed {
		if err := k.restoreFile(s); err != nil {
			return err
		}
		if !s.Enabled {
			disable(ctx)
		}
	}
	return k.drop(s, reason)
}

// drop notes that a ruleset does not hold, and which one does.
func (k *Keeper) drop(s State, reason string) error {
	if s.Previous != nil {
		s.Previous.Reason = "what came after it was taken back: " + reason
		return k.note(*s.Previous)
	}
	return k.settle(s, Reverted, reason)
}

func (k *Keeper) restoreFile(s State) error {
	if s.File != nil {
		if err := wholefile.Replace(k.file(), 0o644, []byte(*s.File)); err != nil {
			return fmt.Errorf("write the ruleset of the start: %w", err)
		}
		return nil
	}
	if err := os.Remove(k.file()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove the ruleset of the start: %w", err)
	}
	return nil
}

package fix

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/doorward/doorward/audit/facts"
)

// service is a server that reads what a repair changes: how its configuration is checked, how it reads it again, and how one
// sees that it still answers.
type service struct {
	Name     string   `yaml:"name"`
	Programs []string `yaml:"programs"` // patterns; the first that is there counts
	// Check are command lines that say whether the configuration can be used; {program} is the program.
	Check [][]string `yaml:"check"`
	Units []string   `yaml:"units"`
	// Each is a pattern of files; each check is then run once for each, with its name in place of {file}.
	Each string `yaml:"each"`
	// Signal makes the first process read its configuration again: HUP, USR1, USR2.
	Signal string   `yaml:"signal"`
	Start  []string `yaml:"start"` // where systemd does not run
	// Stop is the signal that ends it for a restart, where systemd does not run; it is started with the command line that it had.
	Stop string `yaml:"stop"`
	// Probe is what is asked at its ports: banner, http, mariadb, postgresql, or nothing but a connection.
	Probe string `yaml:"probe"`
	// Confirm says that a mistake locks people out: the change is taken back unless somebody confirms it.
	Confirm bool `yaml:"confirm"`
}

// Times of a reload.
const (
	settleTime = 2 * time.Second  // after which a server that cannot start with the new configuration has ended
	answerTime = 20 * time.Second // within which it has to answer as before
)

// serving is what was seen of a service before a change.
type serving struct {
	service *service
	program string
	running bool
	answers map[string]string // by address
	note    string
	restart bool
	started []launch // how its first processes were started
}

// program is the file of the service's program on this host, "" when it is not installed.
func (m *Machine) program(s *service) string {
	for _, pattern := range s.Programs {
		if found, err := m.host.Glob(pattern); err == nil && len(found) > 0 {
			return found[len(found)-1] // of several versions, the newest
		}
	}
	return ""
}

// serving looks at a service before it is changed.
func (m *Machine) serving(s *service) serving {
	seen := serving{service: s, program: m.program(s)}
	if seen.program == "" {
		seen.note = s.Name + " is not installed"
		return seen
	}
	if s.Signal == "" {
		return seen // a program that reads its configuration whenever it is called
	}
	if !m.live {
		seen.note = "the root is a folder: " + s.Name + " is neither reloaded nor probed"
		return seen
	}
	masters := masters(seen.program)
	if seen.running = len(masters) > 0; !seen.running {
		seen.note = s.Name + " does not run: it is neither reloaded nor probed"
		return seen
	}
	seen.started = launches(masters)
	seen.answers = map[string]string{}
	for _, address := range listening(masters) {
		seen.answers[address] = ask(address, s.Probe)
	}
	return seen
}

// check runs the program's own checks.
func (m *Machine) check(ctx context.Context, seen serving) error {
	if seen.program == "" {
		return nil
	}
	for _, line := range m.checks(seen.service, seen.program) {
		if m.host.Look(line[0]) == "" {
			continue
		}
		m.observe(strings.Join(line, " "))
		if _, err := m.run(ctx, nil, line[0], line[1:]...); err != nil && !errors.Is(err, facts.ErrNoExec) {
			return err
		}
	}
	return nil
}

// checks are the command lines of a service's checks on this host.
func (m *Machine) checks(s *service, program string) [][]string {
	files := []string{""}
	if s.Each != "" {
		var err error
		if files, err = m.host.Glob(s.Each); err != nil {
			return nil
		}
	}
	var all [][]string
	for _, line := range s.Check {
		for _, file := range files {
			words := withProgram(line, program)
			for i := range words {
				words[i] = strings.ReplaceAll(words[i], "{file}", file)
			}
			all = append(all, words)
		}
	}
	return all
}

func withProgram(line []string, program string) []string {
	out := make([]string, len(line))
	for i, word := range line {
		out[i] = strings.ReplaceAll(word, "{program}", program)
	}
	return out
}

// reload makes the service read its configuration, starts it where it has ended, and waits until it answers as before.
func (m *Machine) reload(ctx context.Context, seen serving) error {
	if !seen.running {
		return nil
	}
	unit := m.unitOf(ctx, seen.service)
	running := masters(seen.program)
	switch {
	case seen.restart:
		return m.restart(ctx, seen, unit)
	case unit != "" && len(running) > 0:
		m.observe("systemctl reload " + unit)
		if _, err := m.run(ctx, nil, systemctl, "reload-or-restart", "--", unit); err != nil {
			return err
		}
	case unit != "":
		m.observe("systemctl restart " + unit)
		if _, err := m.run(ctx, nil, systemctl, "restart", "--", unit); err != nil {
			return err
		}
	case len(running) > 0:
		m.observe("reload " + seen.service.Name)
		if err := signalAll(running, seen.service.Signal); err != nil {
			return err
		}
	default:
		line := withProgram(seen.service.Start, seen.program)
		m.observe(strings.Join(line, " "))
		if len(line) == 0 {
			return fmt.Errorf("%s has ended, and nothing says how it is started", seen.service.Name)
		}
		if err := m.start(ctx, line[0], line[1:]...); err != nil {
			return err
		}
	}
	return m.answersAsBefore(ctx, seen)
}

// unitOf is the unit that systemd runs the service as, "" without systemd.
func (m *Machine) unitOf(ctx context.Context, s *service) string {
	if !m.systemd() {
		return ""
	}
	for _, unit := range s.Units {
		out, err := m.run(ctx, nil, systemctl, "show", "--property=LoadState", "--value", "--", unit)
		if err == nil && strings.TrimSpace(out) == "loaded" {
			return unit
		}
	}
	return ""
}

func signalAll(pids []int, name string) error {
	signal := unix.SignalNum("SIG" + name)
	if signal == 0 {
		return fmt.Errorf("there is no signal %q", name)
	}
	for _, pid := range pids {
		if err := unix.Kill(pid, signal); err != nil {
			return fmt.Errorf("signal process %d: %w", pid, err)
		}
	}
	return nil
}

// answersAsBefore waits until the service runs and every address that answered does so again. A check that says OK is not
// enough: Apache's does, and the start fails. So it waits first for what ends a server that cannot start.
func (m *Machine) answersAsBefore(ctx context.Context, seen serving) error {
	m.observe("probe " + seen.service.Name)
	timer := time.NewTimer(settleTime)
	defer timer.Stop()
	var wrong error
	for end := time.Now().Add(answerTime); ; timer.Reset(200 * time.Millisecond) {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-timer.C:
		}
		if wrong = seen.compare(); wrong == nil {
			return nil
		}
		if len(masters(seen.program)) == 0 || time.Now().After(end) {
			return wrong
		}
	}
}

// compare says what does not answer as before.
func (seen serving) compare() error {
	if len(masters(seen.program)) == 0 {
		return fmt.Errorf("%s has ended", seen.service.Name)
	}
	for address, before := range seen.answers {
		now := ask(address, seen.service.Probe)
		if port := portOf(address); seen.restart && port != "" && strings.HasPrefix(now, "no answer") {
			now = ask("127.0.0.1:"+port, seen.service.Probe) // it may listen at fewer addresses now, which is then the change
		}
		if now != before && (strings.HasPrefix(now, "no answer") || strings.HasPrefix(now, "HTTP 5")) {
			return fmt.Errorf("%s at %s: %s; before the change: %s", seen.service.Name, address, now, before)
		}
	}
	return nil
}

// describe tells what will be run, for a plan.
func (m *Machine) describe(s *service, restart bool) []string {
	program := m.program(s)
	if program == "" {
		return nil
	}
	var lines []string
	for _, line := range m.checks(s, program) {
		lines = append(lines, strings.Join(line, " "))
	}
	switch {
	case s.Signal == "":
		return lines
	case !m.live:
		return append(lines, "(nothing is reloaded: the root is a folder)")
	case restart && m.systemd() && len(s.Units) > 0:
		lines = append(lines, "systemctl restart "+strings.TrimSuffix(s.Units[0], ".service")+" (a reload is not enough: what is connected is cut)")
	case restart:
		lines = append(lines, "signal "+s.Stop+" to "+path.Base(program)+", and start it again (a reload is not enough: what is connected is cut)")
	case m.systemd() && len(s.Units) > 0:
		lines = append(lines, "systemctl reload "+strings.TrimSuffix(s.Units[0], ".service"))
	default:
		lines = append(lines, "signal "+s.Signal+" to "+path.Base(program))
	}
	return append(lines, "probe of the ports it answers at")
}

package auth

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/doorward/doorward/auth/password"
)

// Note is something that a guide or a standard asks of a configuration and that this one does otherwise. It is no mistake: the
// guides contradict each other, and an administrator may know better.
type Note struct {
	Path    string // of the setting, relative to the section that holds these settings
	Control string // of the guides (D-05), or a standard's section
	Text    string
}

// Notes names what the configuration, completed and valid, does otherwise than the guides and NIST ask: password rules against
// their presets, and roles with privileges that nothing but a password protects. mails tells whether Doorward can send mail.
func (c Config) Notes(mails bool) ([]Note, error) {
	s, err := newSettings(c)
	if err != nil {
		return nil, err
	}
	notes, err := passwordNotes("passwords", c.Passwords, nil)
	if err != nil {
		return nil, err
	}
	for i, r := range c.Roles {
		if r.Passwords.Preset == "" && r.Passwords.MinLength == 0 && r.Passwords.MinLengthWithFactor == 0 && len(r.Passwords.Classes) == 0 &&
			r.Passwords.MaxAge == 0 && r.Passwords.History == 0 && r.Passwords.MinScore == 0 && !r.Passwords.ChangeAtFirstSignIn && !r.Passwords.AllowCommon {
			continue // those of all
		}
		own, err := passwordNotes(fmt.Sprintf("roles[%d].passwords", i), r.Passwords.Over(c.Passwords), notes)
		if err != nil {
			return nil, err
		}
		notes = append(notes, own...)
	}
	for _, name := range s.order {
		notes = append(notes, s.roleNotes(name, mails)...)
	}
	return notes, nil
}

// ConsoleRole is what a role that may use the console demands of its people there.
type ConsoleRole struct {
	Name     Role
	Path     string         // of the role in the configuration: roles[0]
	Passkey  bool           // nothing less will do
	Networks []netip.Prefix // the only ones that it may be used from; none: every one
}

// ConsoleRoles lists the roles of a configuration, completed and valid, that may use the console and stand in the file.
func (c Config) ConsoleRoles() []ConsoleRole {
	s := &settings{Config: c}
	var list []ConsoleRole
	for i, r := range c.Roles {
		if p := s.policyOf(r); slices.Contains(p.privileges, UseConsole) {
			list = append(list, ConsoleRole{Role(r.Name), fmt.Sprintf("roles[%d]", i), p.factor == PasskeyLevel, p.networks})
		}
	}
	return list
}

// passwordNotes compares a policy with its own preset and with NIST's. What is said of all roles already is not said again.
func passwordNotes(path string, cfg password.Config, said []Note) ([]Note, error) {
	policy, err := password.Resolve(cfg)
	if err != nil {
		return nil, err
	}
	var notes []Note
	names := []string{policy.Preset, password.DefaultPreset}
	for _, name := range slices.Compact(names) {
		preset, err := password.LoadPreset(name)
		if err != nil {
			return nil, err
		}
		for _, d := range password.Deviations(policy, preset) {
			same := func(n Note) bool { return n.Text == d.String() && n.Control == d.Control }
			if !slices.ContainsFunc(said, same) && !slices.ContainsFunc(notes, same) {
				notes = append(notes, Note{path + "." + d.Setting, d.Control, d.String()})
			}
		}
	}
	return notes, nil
}

// roleNotes names what the guides ask of a role and the configuration does not.
func (s *settings) roleNotes(name Role, mails bool) []Note {
	p := s.roles[name]
	path := "roles"
	if i := slices.IndexFunc(s.Roles, func(r RoleConfig) bool { return Role(r.Name) == name }); i >= 0 {
		path = fmt.Sprintf("roles[%d]", i)
	}
	var notes []Note
	add := func(setting, control, format string, args ...any) {
		notes = append(notes, Note{path + setting, control, string(name) + ": " + fmt.Sprintf(format, args...)})
	}
	if powers := s.powers([]Role{name}); len(powers) > 0 {
		if p.factor == PasswordLevel {
			add(".factor", "F-26, F-41", "has privileges over Doorward and demands no second factor")
		}
		if len(p.networks) == 0 && !p.trust.Required {
			add(".networks", "D-03", "has privileges over Doorward and may be used from every address")
		}
	}
	if p.staff && p.remember > 0 {
		add(".sessions.remember", "D-18", "people of staff can stay signed in for %v", p.remember)
	}
	if p.trust.Required && !mails {
		add(".trusted_addresses.required", "D-13", "sign-ins from new addresses wait for a mailed link, but no mail server is configured: "+
			"only doorward user trust lets them in")
	}
	return notes
}

package facts

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
)

const (
	maxPAMLines = 2_000 // of one service, with what it includes
	maxPAMDepth = 16
)

// PAM is what the modules ask of people who sign in at the host.
type PAM struct {
	// Services are those that let people in: sshd, login, sudo, su, as far as they are there.
	Services []PAMService `cel:"services"`
	// MinLength is the least length of a new password that pwquality, passwdqc or cracklib asks for; 0 when none of them is
	// in force.
	MinLength Setting `cel:"min_length"`
}

// PAMService is one file of /etc/pam.d, with all that it includes.
type PAMService struct {
	Name string `cel:"name"`
	// Password is a module that asks for a password. SecondFactor names the module that asks for another factor when the
	// password was right, and cannot be passed without it; "" none.
	Password     bool   `cel:"password"`
	SecondFactor string `cel:"second_factor"`
	// Optional names such a module that can be passed: nullok, or a control flag that forgives.
	Optional string `cel:"optional"`
	// Lockout is a module that counts failures and locks: pam_faillock, pam_tally2; "" none.
	Lockout string `cel:"lockout"`
	Origin  string `cel:"origin"` // of the module that decides, or the file
}

// pamLine is one module of a stack.
type pamLine struct {
	kind    string // auth, account, password, session
	control string // required, or [success=1 default=ignore]
	module  string // without folder
	args    []string
	origin  string
	file    int // the substack that it is of, of which alone "done" is the end; 0 none
}

func collectPAM(_ context.Context, h *Host, _ Target) (PAM, []Missing) {
	var p PAM
	for _, name := range []string{"sshd", "login", "sudo", "su", "passwd"} {
		r := &pamReader{h: h}
		err := r.file(name, "", 0)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return p, missing("%s", because(err))
		}
		if name == "passwd" {
			if p.MinLength, err = pamLength(h, r.lines); err != nil {
				return p, missing("%s", because(err))
			}
			continue
		}
		p.Services = append(p.Services, pamService(name, r))
	}
	if p.MinLength.Value == "" {
		p.MinLength = Setting{"0", "default"}
	}
	return p, nil
}

type pamReader struct {
	h     *Host
	lines []pamLine
	name  string // the file's
	subs  int
}

// file reads a service's file; only is the kind of lines that an include takes, "" all.
func (r *pamReader) file(service, only string, depth int) error {
	if depth > maxPAMDepth {
		return fmt.Errorf("/etc/pam.d/%s: included more than %d deep", service, maxPAMDepth)
	}
	name := path.Join("/etc/pam.d", service)
	if path.IsAbs(service) {
		name = service
	}
	text, err := r.h.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		name = path.Join("/usr/lib/pam.d", service)
		text, err = r.h.ReadFile(name)
	}
	if err != nil {
		return err
	}
	if depth == 0 {
		r.name = name
	}
	here, n := r.subs, 0
	for line := range strings.Lines(strings.ReplaceAll(string(text), "\\\n", " ")) {
		n++
		line, _, _ = strings.Cut(line, "#")
		fields := pamFields(line)
		if len(fields) == 2 && fields[0] == "@include" {
			if err := r.file(fields[1], only, depth+1); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			continue
		}
		if len(fields) < 3 {
			continue
		}
		kind := strings.ToLower(strings.TrimPrefix(fields[0], "-"))
		if only != "" && kind != only {
			continue
		}
		if fields[1] == "include" || fields[1] == "substack" {
			before := len(r.lines)
			if err := r.file(fields[2], kind, depth+1); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			if fields[1] == "substack" {
				r.subs++
				for i := before; i < len(r.lines); i++ {
					r.lines[i].file = r.subs
				}
			}
			continue
		}
		l := pamLine{kind: kind, control: fields[1], module: path.Base(fields[2]), args: fields[3:], origin: fmt.Sprintf("%s:%d", name, n), file: here}
		if r.lines = append(r.lines, l); len(r.lines) > maxPAMLines {
			return fmt.Errorf("%s: more than %d modules", name, maxPAMLines)
		}
	}
	return nil
}

// pamFields splits a line; a control in brackets is one field.
func pamFields(line string) []string {
	depth := 0
	return strings.FieldsFunc(line, func(r rune) bool {
		switch r {
		case '[':
			depth++
		case ']':
			depth--
		}
		return depth <= 0 && (r == ' ' || r == '\t' || r == '\n' || r == '\r')
	})
}

// action is what a module's control does on a return value such as success or auth_err: ok, done, bad, die, ignore or a
// number of modules to jump over.
func (l pamLine) action(value string) string {
	choose := func(right, wrong string) string {
		if value == "success" {
			return right
		}
		return wrong
	}
	switch strings.ToLower(l.control) {
	case "required":
		return choose("ok", "bad")
	case "requisite":
		return choose("ok", "die")
	case "sufficient":
		return choose("done", "ignore")
	case "optional":
		return choose("ok", "ignore")
	}
	action := "bad"
	for pair := range strings.FieldsSeq(strings.Trim(l.control, "[]")) {
		name, does, _ := strings.Cut(pair, "=")
		if name == value {
			return does
		}
		if name == "default" {
			action = does
		}
	}
	return action
}

func pamService(name string, r *pamReader) PAMService {
	s := PAMService{Name: name, Origin: r.name}
	var stack []pamLine
	for _, l := range r.lines {
		if l.kind == "auth" {
			stack = append(stack, l)
		}
	}
	passwords := []string{"pam_unix.so", "pam_sss.so", "pam_ldap.so", "pam_krb5.so", "pam_winbind.so"}
	factors := []string{"pam_google_authenticator.so", "pam_oath.so", "pam_u2f.so", "pam_yubico.so", "pam_duo.so", "pam_privacyidea.so", "pam_radius_auth.so", "pam_2fa.so"}
	// Walk the stack as when everything that is asked is answered rightly: what is met then is what one has to know.
	for i := 0; i < len(stack); i++ {
		l := stack[i]
		s.Password = s.Password || slices.Contains(passwords, l.module)
		if l.module == "pam_faillock.so" || l.module == "pam_tally2.so" {
			s.Lockout = l.module
		}
		if slices.Contains(factors, l.module) {
			forgives := slices.Contains(l.args, "nullok") || !slices.Contains([]string{"bad", "die"}, l.action("auth_err"))
			if s.Origin = l.origin; forgives {
				s.Optional = l.module
			} else {
				s.SecondFactor = l.module
			}
		}
		if l.module == "pam_rootok.so" {
			continue // it lets root pass, who has signed in already
		}
		if l.module == "pam_deny.so" {
			break
		}
		switch does := l.action("success"); does {
		case "done":
			if l.file == 0 {
				return s
			}
			for i+1 < len(stack) && stack[i+1].file == l.file {
				i++
			}
		default:
			if n, err := strconv.Atoi(does); err == nil && n > 0 {
				i += min(n, len(stack))
			}
		}
	}
	return s
}

// pamLength finds the least length of a new password.
func pamLength(h *Host, lines []pamLine) (Setting, error) {
	for _, l := range lines {
		if l.kind != "password" || !slices.Contains([]string{"pam_pwquality.so", "pam_cracklib.so", "pam_passwdqc.so"}, l.module) {
			continue
		}
		if l.action("auth_err") == "ignore" {
			continue // its word does not count
		}
		for _, a := range l.args {
			if v, ok := strings.CutPrefix(a, "minlen="); ok {
				return Setting{v, l.origin}, nil
			}
			if v, ok := strings.CutPrefix(a, "min="); ok {
				parts := strings.Split(v, ",")
				return Setting{parts[len(parts)-1], l.origin}, nil
			}
		}
		if l.module != "pam_pwquality.so" {
			return Setting{map[string]string{"pam_cracklib.so": "9", "pam_passwdqc.so": "8"}[l.module], l.origin}, nil
		}
		found := Setting{"8", l.origin}
		drops, err := h.Glob("/etc/security/pwquality.conf.d/*.conf")
		if err != nil {
			return found, err
		}
		for _, name := range append(drops, "/etc/security/pwquality.conf") { // read in this order: the last counts
			text, err := h.ReadFile(name)
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err != nil {
				return found, err
			}
			n := 0
			for line := range strings.Lines(string(text)) {
				n++
				line, _, _ = strings.Cut(line, "#")
				if key, value, ok := strings.Cut(line, "="); ok && strings.TrimSpace(key) == "minlen" {
					found = Setting{strings.TrimSpace(value), fmt.Sprintf("%s:%d", name, n)}
				}
			}
		}
		return found, nil
	}
	return Setting{}, nil
}

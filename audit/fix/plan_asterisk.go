package fix

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/doorward/doorward/audit/facts"
)

const (
	sipConf     = "/etc/asterisk/sip.conf"
	pjsipConf   = "/etc/asterisk/pjsip.conf"
	managerConf = "/etc/asterisk/manager.conf"
)

// asterisk plans what concerns devices, trunks and the manager interface. The files are read as Asterisk reads them, with
// templates and what they include, and a line is changed where it stands.
func (p *planner) asterisk(ctx context.Context, r repair) error {
	if r.Asterisk == "" {
		return nil
	}
	var err error
	switch r.Asterisk {
	case "calls":
		err = p.asteriskCalls()
	case "secrets":
		err = p.asteriskSecrets(ctx)
	case "trunks":
		err = p.asteriskTrunks()
	case "manager":
		err = p.asteriskManager(ctx)
	default:
		err = fmt.Errorf("asterisk: %q is none of calls, secrets, trunks, manager", r.Asterisk)
	}
	for _, c := range p.files {
		c.Secret = c.Secret || strings.HasPrefix(c.Path, "/etc/asterisk/") && r.Asterisk != "trunks"
	}
	return err
}

// asteriskFile reads one configuration; none where the file is not there.
func (p *planner) asteriskFile(name string) ([]facts.AsteriskSection, error) {
	if !p.there(name) {
		return nil, nil
	}
	sections, unread := facts.AsteriskSections(p.m.host, name)
	if len(unread) > 0 {
		return nil, nothing("%s cannot be read whole: %s", name, unread[0])
	}
	return sections, nil
}

// newSecret has what M-11 asks for; base32 has no sign that the files' own language changes.
func newSecret() string { return strings.ToLower(rand.Text()[:13]) + "-" + rand.Text()[:12] + "_7" }

// line plans a value of a section: in place of the line that counts where that is the section's own, else below its head.
func (s sectionEdits) line(section facts.AsteriskSection, key, value string) error {
	if now := section.Get(key); now.Own {
		file, n, err := lineOf(now.Origin)
		if err != nil {
			return err
		}
		s.replace[position{file, n}] = key + "=" + value
		return nil
	}
	return s.below(section, key+"="+value)
}

// below plans a line at the end of a section, after what it has: later lines win.
func (s sectionEdits) below(section facts.AsteriskSection, text string) error {
	at := section.Origin
	for _, l := range section.Lines {
		if l.Own {
			at = l.Origin
		}
	}
	file, n, err := lineOf(at)
	if err != nil {
		return err
	}
	s.after[position{file, n}] = append(s.after[position{file, n}], text)
	return nil
}

// position is a line of a file.
type position struct {
	file string
	line int
}

// sectionEdits collects changes of sections until all are known.
type sectionEdits struct {
	replace map[position]string
	after   map[position][]string
}

func newSectionEdits() sectionEdits {
	return sectionEdits{map[position]string{}, map[position][]string{}}
}

// plan makes the edits of what was collected.
func (s sectionEdits) plan(p *planner) error {
	places := map[position]bool{}
	for at := range s.replace {
		places[at] = true
	}
	for at := range s.after {
		places[at] = true
	}
	var edits []lineEdit
	for at := range places {
		other, replaced := s.replace[at]
		more := s.after[at]
		edits = append(edits, lineEdit{at.file, at.line, func(line string) string {
			first, rest, _ := strings.Cut(line, "\n") // another repair may have put lines below
			if replaced && other != "" {
				line = other + "\n" + rest
			} else if replaced {
				line = commented(";")(first) + "\n" + rest
			}
			return strings.Join(append([]string{strings.TrimRight(line, "\r\n")}, more...), "\n") + "\n"
		}})
	}
	slices.SortFunc(edits, func(a, b lineEdit) int { return strings.Compare(a.file, b.file) })
	return p.changeLines(edits)
}

// asteriskCalls plans that no device calls without a password: insecure=invite goes, also from templates, and who has no
// secret gets one.
func (p *planner) asteriskCalls() error {
	sections, err := p.asteriskFile(sipConf)
	if err != nil {
		return err
	}
	edits := newSectionEdits()
	for _, s := range sections {
		for _, l := range s.Lines {
			if l.Key != "insecure" || !l.Own {
				continue
			}
			file, n, err := lineOf(l.Origin)
			if err != nil {
				return err
			}
			if value := withoutInvite(l.Value); value != l.Value {
				edits.replace[position{file, n}] = "insecure=" + value
			}
		}
		device := !s.Template && s.Name != "general" && s.Name != "authentication" && s.Get("type").Value != ""
		if device && s.Get("secret").Value == "" && s.Get("md5secret").Value == "" {
			if err := edits.line(s, "secret", newSecret()); err != nil {
				return err
			}
			p.note("device %s has a new secret in the file, and cannot call before it is told", s.Name)
		}
	}
	if err := edits.plan(p); err != nil {
		return err
	}
	return p.pjsipAuth()
}

// withoutInvite is insecure= without what lets calls in that have no password.
func withoutInvite(value string) string {
	var kept []string
	for word := range strings.SplitSeq(strings.ToLower(value), ",") {
		switch word = strings.TrimSpace(word); word {
		case "very", "yes":
			kept = append(kept, "port")
		case "invite", "":
		default:
			kept = append(kept, word)
		}
	}
	if len(kept) == 0 {
		return "no"
	}
	return strings.Join(slices.Compact(kept), ",")
}

// pjsipAuth gives every endpoint without one an auth section.
func (p *planner) pjsipAuth() error {
	sections, err := p.asteriskFile(pjsipConf)
	if err != nil || len(sections) == 0 {
		return err
	}
	edits := newSectionEdits()
	auths := map[string]bool{}
	for _, s := range sections {
		if !s.Template && strings.EqualFold(s.Get("type").Value, "auth") {
			auths[s.Name] = true
		}
	}
	var added []string
	for _, s := range sections {
		name := strings.TrimSpace(strings.Split(s.Get("auth").Value, ",")[0])
		if s.Template || !strings.EqualFold(s.Get("type").Value, "endpoint") || auths[name] {
			continue
		}
		if err := edits.line(s, "auth", s.Name+"-auth"); err != nil {
			return err
		}
		added = append(added, fmt.Sprintf("\n[%s-auth]\ntype=auth\nauth_type=userpass\nusername=%s\npassword=%s\n", s.Name, s.Name, newSecret()))
		p.note("endpoint %s has a new password in the file, and cannot call before it is told", s.Name)
	}
	if err := edits.plan(p); err != nil || len(added) == 0 {
		return err
	}
	full, now, err := p.file(pjsipConf)
	if err != nil {
		return err
	}
	p.text(full, now, strings.TrimRight(string(now.Bytes), "\n")+"\n"+strings.Join(added, ""))
	return nil
}

// asteriskSecrets gives devices new secrets whose old ones are short, common or used twice.
func (p *planner) asteriskSecrets(ctx context.Context) error {
	known, lost := facts.ReadAsterisk(ctx, p.m.host, p.target())
	if len(lost) > 0 {
		return nothing("the devices are not all known: %s", lost[0].Reason)
	}
	weak := map[string]bool{}
	for _, peer := range known.Peers {
		s := peer.Secret
		if (s.Set || peer.Dynamic) && (!s.Set || s.Hashed || s.Common || s.Shared > 0 || s.Length < 12 || !s.Letters || !s.Digits || !s.Special) {
			weak[peer.Driver+" "+peer.Name] = true
		}
	}
	for driver, name := range map[string]string{"sip": sipConf, "pjsip": pjsipConf} {
		sections, err := p.asteriskFile(name)
		if err != nil {
			return err
		}
		edits := newSectionEdits()
		for _, s := range sections {
			if s.Template || !weak[driver+" "+s.Name] || s.Get("type").Value == "" {
				continue
			}
			where, key := s, "secret"
			if driver == "pjsip" {
				if !strings.EqualFold(s.Get("type").Value, "endpoint") {
					continue
				}
				key = "password"
				auth := strings.TrimSpace(strings.Split(s.Get("auth").Value, ",")[0])
				at := slices.IndexFunc(sections, func(a facts.AsteriskSection) bool {
					return !a.Template && a.Name == auth && strings.EqualFold(a.Get("type").Value, "auth")
				})
				if at < 0 {
					continue
				}
				where = sections[at]
			}
			for _, l := range where.Lines {
				if l.Key == "md5secret" || l.Key == "md5_cred" {
					if file, n, err := lineOf(l.Origin); err == nil {
						edits.replace[position{file, n}] = ""
					}
				}
			}
			if err := edits.line(where, key, newSecret()); err != nil {
				return err
			}
			p.note("device %s has a new secret in %s, and cannot register before it is told", s.Name, name)
		}
		if err := edits.plan(p); err != nil {
			return err
		}
	}
	return nil
}

// asteriskTrunks holds trunks of sip.conf to the address that they have.
func (p *planner) asteriskTrunks() error {
	sections, err := p.asteriskFile(sipConf)
	if err != nil {
		return err
	}
	edits := newSectionEdits()
	for _, s := range sections {
		host := s.Get("host").Value
		ip, err := netip.ParseAddr(host)
		if s.Template || s.Get("type").Value == "" || host == "" || strings.EqualFold(host, "dynamic") || err == nil && ip.IsLoopback() {
			continue
		}
		if err != nil {
			p.note("trunk %s stays: its host %s is a name, whose addresses only a person can vouch for", s.Name, host)
			continue
		}
		mask := "255.255.255.255"
		if ip.Is6() {
			mask = "128"
		}
		for _, line := range []string{"deny=0.0.0.0/0.0.0.0", "permit=" + host + "/" + mask} {
			if err := edits.below(s, line); err != nil {
				return err
			}
		}
	}
	return edits.plan(p)
}

// asteriskManager closes the manager interface to other hosts, and gives its accounts new secrets where theirs are weak.
func (p *planner) asteriskManager(ctx context.Context) error {
	sections, err := p.asteriskFile(managerConf)
	if err != nil {
		return err
	}
	known, _ := facts.ReadAsterisk(ctx, p.m.host, p.target())
	edits := newSectionEdits()
	for _, s := range sections {
		if s.Name == "general" && !s.Template && !known.AMI.Loopback {
			if err := edits.line(s, "bindaddr", "127.0.0.1"); err != nil {
				return err
			}
		}
		for _, m := range known.Managers {
			if m.Name == s.Name && !s.Template && (!m.Secret.Set || m.Secret.Common || m.Secret.Length < 12) {
				if err := edits.line(s, "secret", newSecret()); err != nil {
					return err
				}
				p.note("manager account %s has a new secret in the file, which its program has to be told", s.Name)
			}
		}
	}
	return edits.plan(p)
}

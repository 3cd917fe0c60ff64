package oidc

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	maxClaim  = 256  // characters of a name, address or group
	maxGroups = 1000 // of one person; more are left out, and what they would give with them
)

// Identity is whom a provider recognised. Its texts have no invisible characters and at most 256 characters; what the
// provider sent otherwise is left out. Nothing in it but Provider and Subject is unique or stays the same.
type Identity struct {
	Provider      string // its name in the configuration
	Subject       string // the person's identifier there, for ever; at most 255 ASCII characters
	Username      string
	Email         string // empty if not verified, unless the configuration allows that
	EmailVerified bool   // the provider says that it checked the address
	Name          string
	Groups        []string
	Roles         []string // by the groups, else the default role; sorted; may be empty
	SID           string   // the session there, if the provider tells: Logout names it
	AMR           []string // how the person was recognised (RFC 8176)
	ACR           string
	SecondFactor  bool // AMR or ACR hold a value that the configuration counts as a second factor
}

// claimSet is what is known of a person: the claims of the ID token, completed by UserInfo.
type claimSet struct {
	subject string
	values  map[string]any
}

// find returns the claim of that name; if there is none, the name is read as a way through claims within claims.
// Names may hold dots themselves, as those of Auth0 do, so the whole name comes first.
func (c *claimSet) find(name string) any {
	if v, ok := c.values[name]; ok {
		return v
	}
	var at any = c.values
	for _, step := range strings.Split(name, ".") {
		inside, ok := at.(map[string]any)
		if !ok {
			return nil
		}
		at = inside[step]
	}
	return at
}

// text is the claim if it is a readable text, else empty.
func (c *claimSet) text(name string) string {
	s, _ := c.find(name).(string)
	if s = strings.TrimSpace(s); readable(s, maxClaim) {
		return s
	}
	return ""
}

// list is the claim as a list of texts; one text is a list of one.
func (c *claimSet) list(name string) []string {
	var list []string
	switch v := c.find(name).(type) {
	case string:
		list = append(list, v)
	case []any:
		for _, one := range v {
			if s, ok := one.(string); ok && len(list) < maxGroups {
				list = append(list, s)
			}
		}
	}
	return slices.DeleteFunc(list, func(s string) bool { return s == "" || !readable(s, maxClaim) })
}

// merge adds claims that are missing. Whether an address is verified is only taken over with the address itself: a
// true from one source about another's address would verify anything.
func (c *claimSet) merge(more map[string]any) {
	_, known := c.values["email"]
	email := c.text("email")
	_, judged := c.values["email_verified"]
	for name, value := range more {
		if _, has := c.values[name]; !has && name != "email_verified" {
			c.values[name] = value
		}
	}
	other := claimSet{values: more}
	if verified, ok := more["email_verified"]; ok && (!known || !judged && email == other.text("email")) {
		c.values["email_verified"] = verified
	} else if !known {
		delete(c.values, "email_verified")
	}
}

// lacksClaims tells whether UserInfo could say something that the ID token does not.
func (p *Provider) lacksClaims(c *claimSet) bool {
	names := []string{p.cfg.UsernameClaim, p.cfg.EmailClaim, p.cfg.NameClaim}
	if len(p.cfg.Roles) > 0 {
		names = append(names, p.cfg.GroupsClaim)
	}
	return slices.ContainsFunc(names, func(name string) bool { return c.find(name) == nil })
}

// identity reads the claims that the configuration names.
func (p *Provider) identity(c *claimSet) Identity {
	id := Identity{Provider: p.cfg.Name, Subject: c.subject, Username: c.text(p.cfg.UsernameClaim), Email: c.text(p.cfg.EmailClaim),
		Name: c.text(p.cfg.NameClaim), Groups: c.list(p.cfg.GroupsClaim), SID: c.text("sid"), AMR: c.list("amr"), ACR: c.text("acr")}
	// email_verified is about the claim email, whatever claim is configured.
	id.EmailVerified = id.Email != "" && id.Email == c.text("email") && isTrue(c.find("email_verified"))
	if !id.EmailVerified && !p.cfg.AllowUnverifiedEmail {
		id.Email = ""
	}
	if p.cfg.UsernameDomain != "" {
		id.Username = p.localPart(id.Username, id.Email)
	}
	for _, r := range p.cfg.Roles {
		if slices.Contains(id.Groups, r.Group) {
			id.Roles = append(id.Roles, r.Role)
		}
	}
	if len(id.Roles) == 0 && p.cfg.DefaultRole != "" {
		id.Roles = []string{p.cfg.DefaultRole}
	}
	slices.Sort(id.Roles)
	id.Roles = slices.Compact(id.Roles)
	id.SecondFactor = slices.ContainsFunc(id.AMR, func(v string) bool { return slices.Contains(p.cfg.SecondFactorAMR, v) }) ||
		id.ACR != "" && slices.Contains(p.cfg.SecondFactorACR, id.ACR)
	return id
}

// localPart is the name that an address of the configured domain gives. An address must be the verified one: whoever could
// claim root@ of the domain would be the application's root. Names that are no address stay, and other addresses do too:
// no account can be called by one.
func (p *Provider) localPart(username, email string) string {
	local, domain, found := strings.Cut(username, "@")
	if !found || !strings.EqualFold(domain, p.cfg.UsernameDomain) || username != email {
		return username
	}
	return local
}

// isTrue reads a truth value, which some providers send as text.
func isTrue(v any) bool { return v == true || v == "true" }

// readable tells whether the text is UTF-8 of at most so many characters, each of which a person can see.
func readable(s string, most int) bool {
	return len(s) <= utf8.UTFMax*most && utf8.ValidString(s) && utf8.RuneCountInString(s) <= most &&
		!strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsGraphic(r) })
}

// validSubject applies OpenID Connect Core 1.0, 2: at most 255 ASCII characters; ours must be printable.
func validSubject(s string) bool {
	return s != "" && len(s) <= 255 && !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' })
}

package facts

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"unicode"
)

const maxPeers = 10_000 // devices that are told

// Asterisk is the telephony server, by its configuration files. What it keeps in a database (realtime) is not in them.
type Asterisk struct {
	Installed bool   `cel:"installed"`
	Peers     []Peer `cel:"peers"` // devices and trunks of sip.conf and pjsip.conf
	// Complete is true, and missing where there can be devices that are not in Peers: in a database, or made by a program.
	Complete bool      `cel:"complete"`
	AMI      AMI       `cel:"ami"`
	Managers []Manager `cel:"managers"` // accounts of the manager interface; none while it is off
	Origin   string    `cel:"origin"`
}

// Peer is a device or another switchboard that may call.
type Peer struct {
	Name   string `cel:"name"`
	Driver string `cel:"driver"` // sip, pjsip
	// Insecure are the values of insecure=, as Asterisk reads them: very is port and invite.
	Insecure []string `cel:"insecure"`
	// Unauthenticated says that its calls are taken without a password: insecure=invite, or an endpoint of pjsip that is known
	// by its address and has no auth.
	Unauthenticated bool `cel:"unauthenticated"`
	// Dynamic says that the device registers; else it has a fixed address.
	Dynamic bool   `cel:"dynamic"`
	Host    string `cel:"host"`
	// Trunk says that it is another switchboard or a provider: it has a fixed address that is not the host itself.
	Trunk bool `cel:"trunk"`
	// Limited says that permit, deny or match leave a few addresses only.
	Limited bool   `cel:"limited"`
	Secret  Secret `cel:"secret"`
	Origin  string `cel:"origin"`
}

// Secret is what is known about a password without keeping it.
type Secret struct {
	Set     bool `cel:"set"`
	Hashed  bool `cel:"hashed"` // md5secret: nothing of the rest is known
	Length  int  `cel:"length"` // characters
	Letters bool `cel:"letters"`
	Digits  bool `cel:"digits"`
	Special bool `cel:"special"`
	// Common says that everybody tries it first, or that it is or has in it the name of the account.
	Common bool `cel:"common"`
	// Shared is how many other accounts have the same.
	Shared int `cel:"shared"`

	at int // in secretJudge.order
}

// AMI is the manager interface, by which programs command Asterisk.
type AMI struct {
	Enabled  bool   `cel:"enabled"`
	Address  string `cel:"address"` // 0.0.0.0 is every address, the default
	Loopback bool   `cel:"loopback"`
	Origin   string `cel:"origin"`
}

// Manager is an account of the manager interface.
type Manager struct {
	Name   string   `cel:"name"`
	Deny   []string `cel:"deny"`
	Permit []string `cel:"permit"`
	// Limited says that not every address may use it: everything is denied before some are permitted.
	Limited bool `cel:"limited"`
	// Local says that only the host itself may.
	Local  bool   `cel:"local"`
	Write  string `cel:"write"`
	Secret Secret `cel:"secret"`
	Origin string `cel:"origin"`
}

func collectAsterisk(_ context.Context, h *Host, _ Target) (Asterisk, []Missing) {
	const sip, pjsip, manager = "/etc/asterisk/sip.conf", "/etc/asterisk/pjsip.conf", "/etc/asterisk/manager.conf"
	a := Asterisk{Complete: true, Origin: "/etc/asterisk"}
	a.Installed = h.Look("/usr/sbin/asterisk", sip, pjsip) != ""
	if !a.Installed {
		return a, nil
	}
	common, err := commonPasswords()
	if err != nil {
		return a, missing("%s", because(err))
	}
	judge := &secretJudge{common: common, seen: map[string]int{}}
	var lost, incomplete []string
	for _, driver := range []struct {
		file string
		read func(*asteriskReader, *secretJudge)
	}{{sip, a.sip}, {pjsip, a.pjsip}} {
		if !h.Exists(driver.file) {
			continue
		}
		r := newAsteriskReader(h)
		r.file(driver.file, 0)
		driver.read(r, judge)
		incomplete = append(incomplete, r.lost...)
	}
	if len(a.Peers) > maxPeers {
		a.Peers = a.Peers[:maxPeers]
		incomplete = append(incomplete, "there are more than 10000 devices")
	}
	incomplete = append(incomplete, realtime(h)...)
	if h.Exists(manager) {
		r := newAsteriskReader(h)
		r.file(manager, 0)
		a.manager(r, judge)
		lost = r.lost
	}
	judge.finish(&a)
	var missing []Missing
	if len(incomplete) > 0 {
		missing = append(missing, Missing{"complete", oneReason(incomplete)})
	}
	if len(lost) > 0 {
		missing = append(missing, Missing{"managers", oneReason(lost)}, Missing{"ami", oneReason(lost)})
	}
	return a, missing
}

// realtime tells which devices Asterisk reads from a database.
func realtime(h *Host) []string {
	const name = "/etc/asterisk/extconfig.conf"
	if !h.Exists(name) {
		return nil
	}
	r := newAsteriskReader(h)
	r.file(name, 0)
	found := r.lost
	for _, s := range r.sections {
		for _, k := range s.keys {
			if slices.Contains([]string{"sippeers", "sipusers", "sip.conf", "pjsip.conf", "ps_endpoints", "ps_auths"}, k.key) {
				found = append(found, k.origin+": "+k.key+" are kept in a database")
			}
		}
	}
	return found
}

// sip reads the devices of sip.conf.
func (a *Asterisk) sip(r *asteriskReader, judge *secretJudge) {
	for _, s := range r.sections {
		kind := strings.ToLower(s.get("type"))
		if s.template || s.name == "general" || s.name == "authentication" || kind == "" {
			continue
		}
		p := Peer{Name: s.name, Driver: "sip", Host: s.get("host"), Origin: s.origin, Insecure: []string{}}
		for value := range strings.SplitSeq(strings.ToLower(s.get("insecure")), ",") {
			switch value = strings.TrimSpace(value); value {
			case "very", "yes":
				p.Insecure = append(p.Insecure, "port", "invite")
			case "", "no":
			default:
				p.Insecure = append(p.Insecure, value)
			}
		}
		for _, k := range s.keys {
			if k.key == "insecure" {
				p.Origin = k.origin
			}
		}
		p.Dynamic = strings.EqualFold(p.Host, "dynamic") || p.Host == ""
		p.Trunk = !p.Dynamic && !isLocal(p.Host)
		p.Limited, _ = limits(s)
		p.Secret = judge.of(s.name, s.get("secret"), s.get("md5secret"))
		p.Unauthenticated = slices.Contains(p.Insecure, "invite") || !p.Secret.Set
		a.Peers = append(a.Peers, p)
	}
}

// pjsip reads the endpoints of pjsip.conf, with the sections that belong to them.
func (a *Asterisk) pjsip(r *asteriskReader, judge *secretJudge) {
	auths, hosts, dynamic := map[string]asteriskSection{}, map[string]string{}, map[string]bool{}
	for _, s := range r.sections {
		switch kind := strings.ToLower(s.get("type")); {
		case s.template:
		case kind == "auth":
			auths[s.name] = s
		case kind == "identify":
			hosts[s.get("endpoint")] = s.get("match")
		case kind == "aor":
			dynamic[s.name] = s.get("contact") == ""
		}
	}
	for _, s := range r.sections {
		if s.template || !strings.EqualFold(s.get("type"), "endpoint") {
			continue
		}
		p := Peer{Name: s.name, Driver: "pjsip", Host: hosts[s.name], Origin: s.origin, Insecure: []string{}}
		aor := strings.TrimSpace(strings.Split(s.get("aors"), ",")[0])
		p.Dynamic = dynamic[aor] && p.Host == ""
		p.Limited, _ = limits(s)
		p.Limited = p.Limited || p.Host != ""
		p.Trunk = p.Host != "" && !isLocal(p.Host)
		name := strings.TrimSpace(strings.Split(s.get("auth"), ",")[0])
		auth, ok := auths[name]
		if p.Unauthenticated = !ok; ok {
			user := auth.get("username")
			p.Secret = judge.of(s.name+" "+user, auth.get("password"), auth.get("md5_cred"))
		}
		a.Peers = append(a.Peers, p)
	}
}

// manager reads the accounts of manager.conf.
func (a *Asterisk) manager(r *asteriskReader, judge *secretJudge) {
	a.AMI = AMI{Address: "0.0.0.0", Origin: "default"}
	for _, s := range r.sections {
		if s.name == "general" && !s.template {
			a.AMI.Enabled = asteriskTruth(s.get("enabled"))
			if address := s.get("bindaddr"); address != "" {
				a.AMI.Address = address
			}
			a.AMI.Origin = s.origin
		}
	}
	a.AMI.Loopback = isLocal(a.AMI.Address)
	if !a.AMI.Enabled {
		return
	}
	for _, s := range r.sections {
		if s.name == "general" || s.template {
			continue
		}
		m := Manager{Name: s.name, Write: s.get("write"), Origin: s.origin, Deny: []string{}, Permit: []string{}}
		for _, k := range s.keys {
			switch k.key {
			case "deny":
				m.Deny = append(m.Deny, k.value)
			case "permit":
				m.Permit = append(m.Permit, k.value)
			}
		}
		m.Limited, m.Local = limits(s)
		m.Secret = judge.of(s.name, s.get("secret"), "")
		a.Managers = append(a.Managers, m)
	}
}

// limits evaluates permit and deny in their order, of which the last that fits an address decides, for addresses of the
// whole world: limited says that a stranger is denied, local that only the host itself is let in.
func limits(s asteriskSection) (limited, local bool) {
	allowed := true // without a rule
	var open []netip.Prefix
	for _, k := range s.keys {
		if k.key != "permit" && k.key != "deny" {
			continue
		}
		for value := range strings.SplitSeq(k.value, ",") {
			network, ok := asteriskNetwork(value)
			if !ok {
				continue
			}
			switch {
			case network.Bits() == 0:
				allowed, open = k.key == "permit", nil
			case k.key == "permit":
				open = append(open, network)
			}
		}
	}
	local = !allowed
	for _, network := range open {
		local = local && network.Addr().IsLoopback() && network.Bits() >= 8
		allowed = allowed || network.Bits() < 8
	}
	return !allowed, local
}

// asteriskNetwork reads 10.0.0.0/8, 10.0.0.0/255.0.0.0 and one address.
func asteriskNetwork(text string) (netip.Prefix, bool) {
	address, mask, has := strings.Cut(strings.TrimSpace(text), "/")
	ip, err := netip.ParseAddr(address)
	if err != nil {
		return netip.Prefix{}, false
	}
	if !has {
		return netip.PrefixFrom(ip, ip.BitLen()), true
	}
	if m, err := netip.ParseAddr(mask); err == nil {
		bits := 0
		for _, b := range m.AsSlice() {
			for ; b&0x80 != 0; b <<= 1 {
				bits++
			}
		}
		return netip.PrefixFrom(ip, bits), bits <= ip.BitLen()
	}
	network, err := netip.ParsePrefix(address + "/" + mask)
	return network, err == nil
}

func isLocal(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

func asteriskTruth(value string) bool {
	return slices.Contains([]string{"yes", "true", "y", "t", "1", "on"}, strings.ToLower(value))
}

// secretJudge describes passwords and finds those that are used twice.
type secretJudge struct {
	common map[string]bool
	seen   map[string]int // how often, by the secret; forgotten at the end
	order  []string
}

func (j *secretJudge) of(name, secret, hashed string) Secret {
	j.order = append(j.order, secret)
	at := len(j.order) - 1
	if secret == "" {
		return Secret{Set: hashed != "", Hashed: hashed != "", at: at}
	}
	j.seen[secret]++
	s := Secret{Set: true, Length: len([]rune(secret)), at: at}
	for _, c := range secret {
		s.Letters = s.Letters || unicode.IsLetter(c)
		s.Digits = s.Digits || unicode.IsDigit(c)
		s.Special = s.Special || !unicode.IsLetter(c) && !unicode.IsDigit(c)
	}
	lower := strings.ToLower(secret)
	s.Common = j.common[lower]
	for word := range strings.FieldsSeq(strings.ToLower(name)) {
		s.Common = s.Common || lower == word || len(word) >= 3 && strings.Contains(lower, word)
	}
	return s
}

// finish counts the others that have the same secret.
func (j *secretJudge) finish(a *Asterisk) {
	count := func(s *Secret) {
		if s.Set && !s.Hashed {
			s.Shared = j.seen[j.order[s.at]] - 1
		}
	}
	for i := range a.Peers {
		count(&a.Peers[i].Secret)
	}
	for i := range a.Managers {
		count(&a.Managers[i].Secret)
	}
	j.seen, j.order = nil, nil
}

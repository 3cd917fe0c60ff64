package fail2ban

import (
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
)

// Kind is what becomes of an action.
type Kind string

// What becomes of an action.
const (
	Enforce Kind = "enforce" // Doorward's own firewall keeps the address out
	Alert   Kind = "alert"   // people are told
	NotRun  Kind = "not run"
)

// PortRange is ports, both ends included.
type PortRange struct {
	From uint16 `json:"from"`
	To   uint16 `json:"to"`
}

// Action is an action of a jail and what becomes of it.
type Action struct {
	Name     string      `json:"name"` // its file in action.d
	Kind     Kind        `json:"kind"`
	AllPorts bool        `json:"all_ports"`       // for Enforce
	Ports    []PortRange `json:"ports,omitempty"` // for Enforce, when not all
	Protocol string      `json:"protocol,omitempty"`
	Chain    string      `json:"chain,omitempty"`
	To       []string    `json:"to,omitempty"` // for Alert: mail addresses
	Why      string      `json:"why"`          // what was decided, in words
	Notes    []string    `json:"-"`            // what is different, which goes into the jail's problems
}

// firewalls are the actions whose ban is a rule of a packet filter. The longest name that fits counts.
func firewalls() []string {
	return []string{"iptables", "nftables", "firewallcmd", "ufw", "ipset", "shorewall", "apf", "route", "hostsdeny", "symbiosis-blacklist",
		"bsd-ipfw", "ipfw", "ipfilter", "pf", "npf", "osx-afctl", "osx-ipfw", "netscaler"}
}

// outside are the actions that tell or ask somebody else, with what they do.
func outside() map[string]string {
	return map[string]string{
		"abuseipdb": "reports the address to AbuseIPDB", "blocklist_de": "reports the address to blocklist.de",
		"complain": "mails the owner of the address", "dshield": "reports the address to DShield", "ipthreat": "reports the address to IPThreat",
		"mynetwatchman": "reports the address to myNetWatchman", "xarf-login-attack": "mails a report to the owner of the address",
		"cloudflare": "bans at Cloudflare", "cloudflare-token": "bans at Cloudflare", "nsupdate": "writes the address into a zone of the DNS",
		"nginx-block-map": "writes the address into a map of nginx", "dummy": "writes a file for tests",
	}
}

func newAction(raw rawAction) Action {
	a := Action{Name: raw.file}
	base := strings.TrimSuffix(raw.file, ".py")
	get := func(name string) string {
		if v, ok := raw.options.get(name); ok {
			return v // with its tags filled in
		}
		v, _ := raw.given.get(name)
		return v
	}
	does, known := outside()[base]
	switch {
	case raw.file == "smtp.py" || strings.HasPrefix(base, "mail") || strings.HasPrefix(base, "sendmail"):
		a.Kind = Alert
		a.To = words(get("dest"))
		a.Why = "an alert is sent instead of its mail"
	case base == "apprise":
		a.Kind, a.Why = Alert, "an alert is sent instead of its message"
	case known:
		a.Kind, a.Why = NotRun, does+", which Doorward does not"
	case slices.ContainsFunc(firewalls(), func(f string) bool { return base == f || strings.HasPrefix(base, f+"-") }):
		a.enforce(base, get)
	default:
		a.Kind, a.Why = NotRun, "its commands are the configuration's own, and Doorward runs none of them"
		if ban := get("actionban"); ban != "" {
			a.Why += fmt.Sprintf(": %.100q", ban)
		}
	}
	if a.Kind == NotRun {
		a.Notes = append(a.Notes, a.Why)
	}
	return a
}

// enforce maps a rule of a packet filter to Doorward's own enforcement.
func (a *Action) enforce(base string, get func(string) string) {
	a.Kind = Enforce
	a.Protocol = strings.ToLower(get("protocol"))
	a.Chain = get("chain")
	port := get("port")
	switch {
	case strings.Contains(base, "allports") || get("type") == "allports" || get("actiontype") == "<allports>":
		a.AllPorts = true
	case base == "ufw":
		a.AllPorts = get("application") == ""
		if !a.AllPorts {
			a.AllPorts = true
			a.Notes = append(a.Notes, fmt.Sprintf("the ufw application %q is not looked up: all ports are closed to the address", get("application")))
		}
	case slices.Contains([]string{"route", "hostsdeny", "apf", "shorewall", "ipfilter", "pf", "npf", "netscaler"}, base) && port == "":
		a.AllPorts = true
	default:
		a.ports(port)
	}
	if base == "hostsdeny" {
		a.Notes = append(a.Notes, "the address is kept out by the firewall, not by hosts.deny")
	}
	if strings.Contains(base, "log") {
		a.Notes = append(a.Notes, "refused packets are not written to the kernel's log")
	}
	a.Why = "Doorward's firewall keeps the address out"
	if a.AllPorts {
		a.Protocol = ""
		a.Why += " on all ports"
	}
}

// ports reads "ssh,1024:65535". What is no port closes all of them, as too much is said and too little is not.
func (a *Action) ports(list string) {
	for _, word := range words(list) {
		from, to, isRange := strings.Cut(word, ":")
		if !isRange {
			if first, last, ok := strings.Cut(word, "-"); ok && first != "" && isDigit(first[0]) {
				from, to, isRange = first, last, true
			}
		}
		if !isRange {
			to = from
		}
		first, ok := servicePort(from)
		last, ok2 := servicePort(to)
		if !ok || !ok2 || last < first {
			a.Notes = append(a.Notes, fmt.Sprintf("port %q is not known: all ports are closed to the address", word))
			a.AllPorts, a.Ports = true, nil
			return
		}
		if first == 0 && last == 65535 {
			a.AllPorts, a.Ports = true, nil
			return
		}
		a.Ports = append(a.Ports, PortRange{From: first, To: last})
	}
	if len(a.Ports) == 0 {
		a.AllPorts = true
	}
}

// servicePort is the number of a port or of a service in the system's list.
func servicePort(word string) (uint16, bool) {
	if n, err := strconv.ParseUint(word, 10, 16); err == nil {
		return uint16(n), true
	}
	for _, network := range []string{"tcp", "udp"} { // a service has one number
		if n, err := net.LookupPort(network, word); err == nil && n > 0 && n <= 65535 {
			return uint16(n), true
		}
	}
	return 0, false
}

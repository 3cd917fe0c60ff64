package facts

import (
	"maps"
	"strconv"
	"strings"
)

// sshdDefaults are what sshd does where nothing is set, as the given version of it has them. Only what controls ask for
// is here; sshd -T tells the rest.
func sshdDefaults(version float64) map[string]string {
	d := map[string]string{
		"port": "22", "addressfamily": "any", "permitrootlogin": "without-password", "pubkeyauthentication": "yes",
		"passwordauthentication": "yes", "kbdinteractiveauthentication": "yes", "permitemptypasswords": "no",
		"hostbasedauthentication": "no", "gssapiauthentication": "no", "kerberosauthentication": "no", "usepam": "no",
		"authenticationmethods": "any", "authorizedkeysfile": ".ssh/authorized_keys .ssh/authorized_keys2",
		"authorizedkeyscommand": "none", "trustedusercakeys": "none", "pubkeyauthoptions": "none", "strictmodes": "yes",
		"maxauthtries": "6", "maxsessions": "10", "maxstartups": "10:30:100", "persourcemaxstartups": "none",
		"persourcenetblocksize": "32:128", "logingracetime": "120", "usedns": "no", "x11forwarding": "no",
		"allowtcpforwarding": "yes", "permituserenvironment": "no", "ignorerhosts": "yes", "loglevel": "INFO",
		"requiredrsasize": "1024", "persourcepenalties": "no",
	}
	if version >= 9.8 {
		maps.Copy(d, map[string]string{"persourcepenalties": "yes"})
	}
	return d
}

// sshdValue words a directive's arguments as sshd -T prints them.
func sshdValue(keyword string, args []string) string {
	value := strings.Join(args, " ")
	switch keyword {
	case "permitrootlogin":
		if value = strings.ToLower(value); value == "prohibit-password" {
			return "without-password"
		}
	case "maxstartups":
		if _, err := strconv.Atoi(value); err == nil {
			return value + ":100:" + value
		}
	case "persourcenetblocksize":
		if !strings.Contains(value, ":") {
			return value + ":128"
		}
	case "logingracetime":
		return sshdSeconds(value)
	default:
		switch lower := strings.ToLower(value); lower {
		case "yes", "no", "none", "any", "true", "false":
			return strings.NewReplacer("true", "yes", "false", "no").Replace(lower)
		}
	}
	return value
}

// sshdSeconds reads 1h30m as 5400.
func sshdSeconds(text string) string {
	units := map[byte]int{'s': 1, 'm': 60, 'h': 3600, 'd': 86400, 'w': 604800}
	total, number := 0, 0
	for i := range len(text) {
		c := text[i] | 0x20
		switch {
		case text[i] >= '0' && text[i] <= '9' && number < 1<<30:
			number = number*10 + int(text[i]-'0')
		case units[c] > 0:
			total, number = total+number*units[c], 0
		default:
			return text
		}
	}
	return strconv.Itoa(total + number)
}

// openSSHVersion reads 9.2 out of 1:9.2p1-2+deb12u6; 0 when it says nothing.
func openSSHVersion(packaged string) float64 {
	_, upstream, ok := strings.Cut(packaged, ":")
	if !ok {
		upstream = packaged
	}
	number, _, _ := strings.Cut(upstream, "p")
	version, _ := strconv.ParseFloat(number, 64)
	return version
}

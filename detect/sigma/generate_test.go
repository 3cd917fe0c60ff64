package sigma_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/doorward/doorward/detect/sigma"
)

// words that rules and events of the tests are made of; some are parts of others.
var vocabulary = strings.Fields(`cmd.exe powershell.exe \system32\cmd.exe /etc/passwd ../../etc /wp-login.php wp- select union%20select
	curl wget bash -i -enc nc.exe whoami rundll32 mimikatz sekurlsa:: \\pipe\\x .ps1 .sh root admin ADMIN bob sipvicious friendly-scanner
	Ä Äb \* a?b a*b x 1 22 443 4625 4688 10.0.0.1 192.0.2.7 2001:db8::1 GET POST 200 401 404 éclair`)

func pick(rng *rand.Rand, list []string) string { return list[rng.IntN(len(list))] }

// randomValue is a value of a rule, in quotes.
func randomValue(rng *rand.Rand) string {
	v := pick(rng, vocabulary)
	switch rng.IntN(6) {
	case 0:
		v = "*" + v
	case 1:
		v += "*"
	case 2:
		v = v + "?" + pick(rng, vocabulary)
	case 3:
		v += pick(rng, vocabulary)
	}
	return "'" + v + "'"
}

// randomRule is a rule of random searches, modifiers and condition.
func randomRule(rng *rand.Rand, n int) string {
	fields := []string{"A", "B", "C", "D", "E"}
	mods := []string{"", "", "|contains", "|startswith", "|endswith", "|contains|all", "|cased", "|contains|cased", "|neq", "|contains|neq", "|re", "|re|i",
		"|windash|contains", "|base64offset|contains", "|wide|base64|contains", "|fieldref", "|exists", "|gt", "|cidr"}
	expressions := []string{"'^/etc'", "'(cmd|power).*exe'", "'a.b'", "'[0-9]{3}'", "'wp-(login|admin)?'", "'(curl|wget)+'", "'\\\\x{c4}b'", "'s.kurlsa'"}
	text := fmt.Sprintf("title: r%d\nlogsource: {service: %s}\ndetection:\n", n, pick(rng, []string{"test", "test", "other"}))
	names := 1 + rng.IntN(4)
	for i := range names {
		text += fmt.Sprintf("    s%d:\n", i)
		if rng.IntN(6) == 0 {
			text += "        - " + randomValue(rng) + "\n        - " + randomValue(rng) + "\n"
			continue
		}
		for _, j := range rng.Perm(len(fields))[:1+rng.IntN(2)] {
			mod := pick(rng, mods)
			text += "        " + fields[j] + mod + ":"
			switch {
			case mod == "|exists":
				text += " true\n"
			case mod == "|gt":
				text += " 200\n"
			case mod == "|cidr":
				text += " 192.0.2.0/24\n"
			case mod == "|fieldref":
				text += " " + pick(rng, fields) + "\n"
			case strings.HasPrefix(mod, "|re"):
				text += " " + pick(rng, expressions) + "\n"
			case strings.Contains(mod, "64"):
				text += " '" + pick(rng, []string{"whoami", "mimikatz", "/etc/passwd"}) + "'\n"
			default:
				text += "\n"
				for range 2 + rng.IntN(3) {
					text += "            - " + randomValue(rng) + "\n"
				}
			}
		}
	}
	return text + "    condition: " + randomCondition(rng, names, 0) + "\n---\n"
}

func randomCondition(rng *rand.Rand, names, depth int) string {
	if depth > 3 {
		return "s0"
	}
	switch rng.IntN(7) {
	case 0:
		return "1 of s*"
	case 1:
		return "all of them"
	case 2:
		return "not " + randomCondition(rng, names, depth+1)
	case 3:
		return randomCondition(rng, names, depth+1) + " and " + randomCondition(rng, names, depth+1)
	case 4:
		return "(" + randomCondition(rng, names, depth+1) + ") or " + randomCondition(rng, names, depth+1)
	}
	return fmt.Sprintf("s%d", rng.IntN(names))
}

// randomEvent has some fields of a few words.
func randomEvent(rng *rand.Rand) *sigma.Event {
	e := &sigma.Event{Time: time.Unix(1_700_000_000, 0), Source: sigma.Logsource{Service: "test"}}
	for range rng.IntN(7) {
		value := ""
		for range 1 + rng.IntN(3) {
			value += pick(rng, vocabulary) + pick(rng, []string{"", " ", "/", "\xff", "\x00"})
		}
		if rng.IntN(3) == 0 {
			value = pick(rng, vocabulary)
		}
		if rng.IntN(8) == 0 {
			value = strings.ToUpper(value)
		}
		e.Fields = append(e.Fields, sigma.Field{Name: pick(rng, []string{"A", "B", "C", "D", "E", "F"}), Value: value})
	}
	if rng.IntN(3) == 0 {
		e.Text = pick(rng, vocabulary) + pick(rng, vocabulary)
	}
	return e
}

package facts

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// sshdAsker asks the host's own sshd what it makes of its configuration. Its word counts; the files give the origins.
type sshdAsker struct {
	h       *Host
	program string
	options sshdOptions
	off     bool   // it cannot be asked
	source  string // of the facts, for people
	answers map[string]map[string][]string
}

// begin finds out whether sshd can be asked. An error is that it refuses the configuration: then nobody knows what the
// running one has.
func (a *sshdAsker) begin(ctx context.Context) error {
	a.answers, a.source = map[string]map[string][]string{}, "sshd -T"
	out, err := a.h.Run(ctx, a.program, a.args(nil)...)
	if err != nil {
		if errors.Is(err, context.DeadlineExceeded) {
			return err
		}
		a.off, a.source = true, "the files: "+err.Error()
		return nil
	}
	if out.Code == 0 {
		return nil
	}
	said := strings.TrimSpace(string(out.Stderr))
	for _, sign := range []string{" line ", "Bad configuration", "terminating"} {
		if strings.Contains(said, sign) {
			return fmt.Errorf("sshd -T refuses the configuration: %s", said)
		}
	}
	a.off, a.source = true, "the files: sshd -T: "+said // no host keys for us, no /run/sshd
	return nil
}

func (a *sshdAsker) args(c *sshdClient) []string {
	args := append([]string{"-T", "-f", a.options.file}, a.options.args...)
	if c == nil {
		return args
	}
	spec := "user=" + c.user + ",host=" + c.host + ",addr=" + c.address + ",laddr=" + c.local + ",lport=" + c.port
	if c.rdomain != "" {
		spec += ",rdomain=" + c.rdomain
	}
	return append(args, "-C", spec)
}

// refine puts sshd's own answer for c in place of ours. Clients for whom the same blocks hold are asked for once.
func (a *sshdAsker) refine(ctx context.Context, c sshdClient, blocks []*sshdMatch, set *sshdSet) error {
	made := strings.HasPrefix(c.user, "anybody-in-")
	if a.off || made || strings.ContainsAny(c.user+c.host, ",=") {
		return nil // sshd knows no groups of an account that does not exist, and its -C has no quotes
	}
	key := ""
	for _, m := range blocks {
		key += m.origin + "\n"
	}
	answer, ok := a.answers[key]
	if !ok {
		if len(a.answers) >= maxSshdRuns {
			a.source = fmt.Sprintf("sshd -T for %d kinds of clients, the files for more", maxSshdRuns)
			return nil
		}
		out, err := a.h.Run(ctx, a.program, a.args(&c)...)
		if err != nil {
			return err
		}
		if out.Code != 0 {
			return fmt.Errorf("sshd -T for %s: %s", c.user, bytes.TrimSpace(out.Stderr))
		}
		answer = readSshdT(out.Stdout)
		a.answers[key] = answer
	}
	for keyword, args := range answer {
		value := sshdValue(keyword, args)
		if old, ok := set.values[keyword]; ok && old.Value == value || keyword == "listenaddress" || keyword == "port" {
			continue
		}
		origin := "sshd -T -C user=" + c.user + ",addr=" + c.address
		if old, ok := set.values[keyword]; ok && old.Origin != "default" && cumulative(keyword) {
			origin = old.Origin // a list is printed in another form
		}
		set.values[keyword] = Setting{value, origin}
		set.lists[keyword] = slices.Clone(args)
	}
	return nil
}

// readSshdT reads "directive value" lines; lines of one directive add up.
func readSshdT(text []byte) map[string][]string {
	all := map[string][]string{}
	for line := range strings.Lines(string(text)) {
		keyword, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		all[keyword] = append(all[keyword], strings.Fields(rest)...)
	}
	return all
}

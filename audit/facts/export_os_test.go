package facts

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// What the parsers do by themselves, for tests that feed them what no host has.
var (
	CompareDeb      = compareDeb
	Fail2banSeconds = fail2banSeconds
	ReadMDStat      = readMDStat
	StackEncryption = stackEncryption
	MailAddress     = mailAddress
	ReadJails       = readJails
)

// LZ4 expands a frame.
func LZ4(r io.Reader) io.Reader { return &lz4Reader{in: r} }

// AptDump parses files in order and prints the tree as apt-config dump does.
func AptDump(texts ...string) (string, error) {
	c := &aptConf{}
	for i, text := range texts {
		if err := c.parse(text, fmt.Sprint(i), nil); err != nil {
			return "", err
		}
	}
	var b strings.Builder
	c.root.dump(&b, "")
	return b.String(), nil
}

func (n *aptNode) dump(b *strings.Builder, name string) {
	for _, child := range n.children {
		full := child.name
		if name != "" {
			full = name + "::" + child.name
		}
		fmt.Fprintf(b, "%s %q;\n", full, child.value.Value)
		child.dump(b, full)
	}
}

// ParseIni parses a file and returns how many options it has.
func ParseIni(text string) (int, error) {
	_, options, err := parseIni(text, "x")
	return options, err
}

// Stanzas counts the stanzas of a text that have a Package.
func Stanzas(text string) (n int, err error) {
	err = stanzas(strings.NewReader(text), []string{"Package"}, func(f map[string]string, _ int) bool {
		if f["Package"] != "" {
			n++
		}
		return true
	})
	return n, err
}

// Lines feeds the small readers of lines, which have no errors.
func Lines(text string) {
	rsyslogStatements(text)
	unitSettings(text)
	appArmorProfiles(text)
	for line := range strings.Lines(text) {
		logTime(line, time.Unix(0, 0))
		releaseTime(line)
		(&Logs{}).statement(line, "")
		aptDays(line)
	}
}

package ingest

import (
	"strings"

	"github.com/doorward/doorward/event"
)

// Limits of the headers of a message that a stranger sent.
const (
	maxHeaders    = 128 // lines
	maxHeaderText = 1024
)

// escapedEnds are how syslog daemons write the line ends in what they are given.
var escapedEnds = strings.NewReplacer("#015#012", "\n", "#012", "\n", "\r\n", "\n")

// headers adds those headers of a message (RFC 3261, 7.3) that are wanted, by their names in the message, up to the empty line behind
// which its body begins. Of one that stands several times the first counts, as for who reads the message.
func headers(fields []event.Field, text string, wanted []event.Field) []event.Field {
	var name, value string
	seen := make(map[string]bool, len(wanted))
	end := func() {
		for _, w := range wanted {
			if strings.EqualFold(w.Key, name) && !seen[w.Value] {
				seen[w.Value] = true
				fields = append(fields, event.Field{Key: w.Value, Value: strings.Clone(value[:min(len(value), maxHeaderText)])})
			}
		}
	}
	n := 0
	for line := range strings.SplitSeq(escapedEnds.Replace(text), "\n") {
		if n++; line == "" || n > maxHeaders {
			break
		}
		if line[0] == ' ' || line[0] == '\t' { // it goes on
			value = strings.TrimSpace(value + " " + strings.TrimSpace(line))
			continue
		}
		end()
		name, value, _ = strings.Cut(line, ":")
		name, value = strings.TrimRight(name, " \t"), strings.TrimSpace(value)
	}
	end()
	return fields
}

package fail2ban

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
)

// Journal says which of systemd's journals a jail reads. The zero value: this machine's own, without those of its users.
type Journal struct {
	Directory string   `json:"directory,omitempty"` // a folder of journal files
	Files     []string `json:"files,omitempty"`     // or such files, with * and ? where there are several
	Users     bool     `json:"users,omitempty"`     // the journals of users too
}

// journal notes which journal the jail reads; false: its backend is another.
func (j *Jail) journal() bool {
	name, _, _ := strings.Cut(j.Backend, "[")
	if !strings.EqualFold(strings.TrimSpace(name), "systemd") {
		return false
	}
	j.Journal = &Journal{}
	_, options, err := namedOptions(j.Backend)
	if err != nil {
		j.problem("backend", "%v; the journal of this machine is read", err)
		return true
	}
	for _, k := range options.keys {
		v := options.values[k]
		switch k {
		case "journalpath":
			j.Journal.Directory = v
		case "journalfiles":
			j.Journal.Files = strings.FieldsFunc(v, func(r rune) bool { return r == ',' || unicode.IsSpace(r) })
		case "journalflags":
			if j.Journal.Users = v == "0"; v != "0" && v != "4" {
				j.problem("backend", "journalflags=%s is not followed: what the system writes is read", v)
			}
		default:
			j.problem("backend", "its option %s is not followed", k)
		}
	}
	return true
}

// chooses tells whether the journal understands the jail's terms; else the jail must not read every entry, nor none in silence.
func (j *Jail) chooses() bool {
	if j.Journal == nil {
		return true
	}
	for _, term := range j.JournalTerms() {
		if term != "+" && strings.IndexByte(term, '=') < 1 {
			j.problem("journalmatch", "%.60q is no FIELD=VALUE", term)
			return false
		}
	}
	return true
}

// JournalTerms are the terms that choose entries of the journal, with + between alternatives. None: every entry.
func (j *Jail) JournalTerms() []string {
	var all []string
	for _, words := range j.JournalMatch {
		if len(all) > 0 {
			all = append(all, "+")
		}
		all = append(all, words...)
	}
	return all
}

// Reads says in words what the jail reads: files by their patterns, or entries of the journal.
func (j *Jail) Reads() []string {
	var all []string
	for _, p := range j.LogPaths {
		all = append(all, p.Pattern)
	}
	if j.Journal == nil {
		return all
	}
	text := "the journal"
	switch {
	case j.Journal.Directory != "":
		text += " in " + j.Journal.Directory
	case len(j.Journal.Files) > 0:
		text += " in " + strings.Join(j.Journal.Files, ", ")
	}
	if terms := j.JournalTerms(); len(terms) > 0 {
		return append(all, text+": "+strings.Join(terms, " "))
	}
	return append(all, text+": every entry")
}

// JournalText is an entry of the systemd journal as the line that fail2ban's filters are written for: the host, the program with its
// number, and the message, with line ends written as \n. field gives a field of the entry, "" when it has none.
func JournalText(field func(name string) string) string {
	var parts []string
	if v := field("_HOSTNAME"); v != "" {
		parts = append(parts, v)
	}
	name := field("SYSLOG_IDENTIFIER")
	if name == "" {
		name = field("_COMM")
	}
	if name != "" {
		pid := field("SYSLOG_PID")
		if pid == "" {
			pid = field("_PID")
		}
		if pid != "" {
			name += "[" + pid + "]"
		}
		parts = append(parts, name)
	}
	if n := len(parts); n > 0 {
		parts[n-1] += ":"
		if parts[n-1] == "kernel:" {
			parts = append(parts, sinceBoot(field))
		}
	}
	return strings.ReplaceAll(strings.Join(append(parts, field("MESSAGE")), " "), "\n", `\n`)
}

// sinceBoot is when the kernel wrote a message, as its own log shows it.
func sinceBoot(field func(name string) string) string {
	v := field("_SOURCE_MONOTONIC_TIMESTAMP")
	if v == "" {
		v = field("__MONOTONIC_TIMESTAMP")
	}
	micros, _ := strconv.ParseUint(v, 10, 63) // 0 when the entry has none
	return fmt.Sprintf("[%12.6f]", float64(micros)/1e6)
}

package ingest

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/doorward/doorward/event"
)

// Limits of what the audit records of events that have not ended may hold.
const (
	maxGroups     = 64
	maxGroupLines = 64
	maxGroupText  = 64 << 10
	groupWait     = 2 * time.Second // for further records of an event
)

// auditd puts the audit records of one event together: those with the same time and number in msg=audit(TIME:NUMBER). They
// stand together or among those of other events.
type auditd struct {
	Groups []*group `json:"groups"` // the oldest first
}

// group is an event that has not ended.
type group struct {
	ID    string    `json:"id"`
	Time  time.Time `json:"time"`
	Since time.Time `json:"since"` // when its first record was read
	Lines [][]byte  `json:"lines"` // bytes, because a log need not be UTF-8
	size  int
}

func newAuditd(held []byte) *auditd {
	a := &auditd{}
	if len(held) > 0 && json.Unmarshal(held, a) != nil {
		a.Groups = nil
	}
	for _, g := range a.Groups {
		for _, l := range g.Lines {
			g.size += len(l)
		}
	}
	return a
}

func (a *auditd) line(line []byte, cut bool, now time.Time, add func(Record)) {
	text := string(line)
	kind, id, when, ok := auditHead(text)
	if !ok || cut {
		add(Record{Text: text, Cut: cut, Malformed: true})
		return
	}
	for len(a.Groups) > 0 && when.Sub(a.Groups[0].Time) > groupWait { // by the log's own clock
		a.end(0, add)
	}
	i := slices.IndexFunc(a.Groups, func(g *group) bool { return g.ID == id })
	if i < 0 {
		if len(a.Groups) >= maxGroups {
			a.end(0, add)
		}
		a.Groups = append(a.Groups, &group{ID: id, Time: when, Since: now})
		i = len(a.Groups) - 1
	}
	g := a.Groups[i]
	if kind != "EOE" {
		g.Lines = append(g.Lines, []byte(text))
		g.size += len(text)
	}
	// Records that user space wrote, 1100 to 1299 and above 2000 in the kernel's numbers, are events of their own.
	alone := len(g.Lines) == 1 && (strings.HasPrefix(kind, "USER_") || strings.HasPrefix(kind, "CRED_") || kind == "LOGIN")
	if kind == "EOE" || kind == "PROCTITLE" || alone || len(g.Lines) >= maxGroupLines || g.size >= maxGroupText {
		a.end(i, add)
	}
}

// end gives on the group at index i.
func (a *auditd) end(i int, add func(Record)) {
	g := a.Groups[i]
	a.Groups = slices.Delete(a.Groups, i, i+1)
	if len(g.Lines) > 0 {
		text := string(bytes.Join(g.Lines, []byte{'\n'}))
		add(Record{Text: text, Time: g.Time, Fields: auditFields(g.ID, text)})
	}
}

func (a *auditd) due(now time.Time, add func(Record)) {
	for i := 0; i < len(a.Groups); i++ {
		if wait := now.Sub(a.Groups[i].Since); wait > groupWait || wait < 0 {
			a.end(i, add)
			i--
		}
	}
}

func (a *auditd) missed() {} // each record says what it is of

func (a *auditd) held() []byte {
	if len(a.Groups) == 0 {
		return nil
	}
	text, _ := json.Marshal(a) // texts and times
	return text
}

// auditHead reads the beginning of a record: [node=NAME ]type=KIND msg=audit(SECONDS.MILLIS:NUMBER):
func auditHead(line string) (kind, id string, when time.Time, ok bool) {
	if strings.HasPrefix(line, "node=") {
		_, line, _ = strings.Cut(line, " ")
	}
	line, ok = strings.CutPrefix(line, "type=")
	if !ok {
		return "", "", when, false
	}
	kind, line, _ = strings.Cut(line, " ")
	line, ok = strings.CutPrefix(line, "msg=audit(")
	if !ok {
		return "", "", when, false
	}
	id, _, ok = strings.Cut(line, "):")
	stamp, number, both := strings.Cut(id, ":")
	seconds, millis, _ := strings.Cut(stamp, ".")
	s, err := strconv.ParseInt(seconds, 10, 64)
	ms, err2 := strconv.ParseUint(millis, 10, 16)
	_, err3 := strconv.ParseUint(number, 10, 64)
	if !ok || !both || err != nil || err2 != nil || err3 != nil || s < 0 || s > 1<<40 || ms > 999 {
		return "", "", when, false
	}
	return kind, id, time.Unix(s, int64(ms)*int64(time.Millisecond)).UTC(), true
}

// auditFields reads the records of one event. A key that an earlier record has gets the name of its record in front, so that
// nothing is lost: path.name. The key type stands once for each record.
func auditFields(id, text string) []event.Field {
	_, number, _ := strings.Cut(id, ":")
	fields := []event.Field{{Key: "serial", Value: number}}
	seen := map[string]bool{"serial": true, "type": true, "msg": true}
	for line := range strings.SplitSeq(text, "\n") {
		if len(fields) >= maxFields {
			break
		}
		kind, _, _, _ := auditHead(line)
		fields = append(fields, event.Field{Key: "type", Value: kind})
		if node, ok := strings.CutPrefix(line, "node="); ok && !seen["node"] {
			node, _, _ = strings.Cut(node, " ")
			fields, seen["node"] = append(fields, event.Field{Key: "node", Value: node}), true
		}
		_, body, _ := strings.Cut(line, "):")
		auditPairs(body, func(key, value string) {
			value = auditValue(kind, key, value)
			if seen[key] {
				prefix := strings.ToLower(kind) + "."
				name := prefix + key
				for n := 2; seen[name] && n < maxGroupLines; n++ {
					name = prefix + strconv.Itoa(n) + "." + key
				}
				key = name
			}
			if !seen[key] && len(fields) < maxFields {
				fields, seen[key] = append(fields, event.Field{Key: key, Value: value}), true
			}
		})
	}
	return fields
}

// auditPairs finds key=value, key="value" and, within msg='…', the same again. The kernel and the audit library write what a
// stranger chose either without quotes and blanks in it, or as hex digits.
func auditPairs(body string, add func(key, value string)) {
	for body != "" {
		body = strings.TrimLeft(body, " \x1d'")
		eq := strings.IndexByte(body, '=')
		if eq < 0 {
			return
		}
		key := body[:eq]
		if i := strings.LastIndexByte(key, ' '); i >= 0 { // words that are no pair
			key = key[i+1:]
		}
		body = body[eq+1:]
		if key == "msg" && strings.HasPrefix(body, "'") {
			continue // its pairs come
		}
		var value string
		if strings.HasPrefix(body, `"`) {
			end := strings.IndexByte(body[1:], '"')
			if end < 0 {
				return
			}
			value, body = body[:end+2], body[end+2:]
		} else if end := strings.IndexAny(body, " \x1d'"); end >= 0 {
			value, body = body[:end], body[end:]
		} else {
			value, body = body, ""
		}
		if key != "" {
			add(key, value)
		}
	}
}

// auditValue takes off the quotes, or reads the hex digits that stand for what could not be quoted.
func auditValue(kind, key, value string) string {
	if len(value) >= 2 && value[0] == '"' {
		return value[1 : len(value)-1]
	}
	coded := slices.Contains([]string{"acct", "exe", "comm", "name", "cwd", "cmd", "proctitle", "data", "vm", "path"}, key) ||
		kind == "EXECVE" && len(key) > 1 && key[0] == 'a' && key[1] >= '0' && key[1] <= '9'
	if !coded || value == "" || len(value)%2 != 0 || strings.ToUpper(value) != value {
		return value
	}
	text, err := hex.DecodeString(value)
	if err != nil {
		return value
	}
	return strings.ReplaceAll(strings.TrimRight(string(text), "\x00"), "\x00", " ")
}

package ingest

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/doorward/doorward/event"
)

const (
	firstLook   = time.Hour       // of the journal that is read at the very first start, unless told otherwise
	maxEntry    = 4 * MaxLine     // bytes of an entry as JSON
	batchLen    = 1000            // records
	firstPause  = time.Second     // before a source is tried again
	longestWait = time.Minute     // the same, after many times
	steady      = 5 * time.Minute // a source that went well for so long is tried again at once
)

// journalFields are what journalctl writes of an entry, beside the cursor and the time.
const journalFields = "MESSAGE,_HOSTNAME,SYSLOG_IDENTIFIER,_COMM,SYSLOG_PID,_PID,_UID,_SYSTEMD_UNIT,_TRANSPORT,PRIORITY,_SOURCE_MONOTONIC_TIMESTAMP,__MONOTONIC_TIMESTAMP"

// Journal is a source that reads systemd's journal through journalctl.
type Journal struct {
	status
	name    string
	args    []string
	matches []string
	back    time.Duration
	log     *slog.Logger
}

var journalMatch = regexp.MustCompile(`^(\+|[A-Z0-9_]{1,64}=.{0,512})$`)

// JournalOptions say which entries of which journal are read. The zero value: all of this machine's.
type JournalOptions struct {
	// Directory is a folder of journal files, and Files are such files, with * and ? where there are several.
	Directory string
	Files     []string
	// Matches are terms as journalctl has them, one each: FIELD=VALUE, and + between alternatives.
	Matches []string
	// System leaves out the journals of users, in which everybody writes what they like.
	System bool
	// Back is how far back the very first start reads. 0: an hour.
	Back time.Duration
}

// NewJournal prepares a source that reads the journal. The error says which of the matches is none.
func NewJournal(name string, o JournalOptions, log *slog.Logger) (*Journal, error) {
	j := &Journal{name: name, matches: o.Matches, back: o.Back, log: log}
	if j.back <= 0 {
		j.back = firstLook
	}
	for _, term := range j.matches {
		if !journalMatch.MatchString(term) { // an option of journalctl, for one
			return nil, fmt.Errorf("source %s: %q is no match of the journal", name, term)
		}
	}
	j.args = []string{"--output=json", "--all", "--follow", "--no-tail", "--quiet", "--no-pager", "--output-fields=" + journalFields}
	if o.System {
		j.args = append(j.args, "--system")
	}
	if o.Directory != "" {
		j.args = append(j.args, "--directory="+o.Directory)
	}
	for _, f := range o.Files {
		j.args = append(j.args, "--file="+f)
	}
	return j, nil
}

// Name is the source's name.
func (j *Journal) Name() string { return j.name }

// cursor is the place behind an entry, as it is saved.
type cursor struct {
	Cursor string `json:"cursor"`
	Time   int64  `json:"time"` // microseconds; for when the journal does not know the cursor any more
}

// Run reads until ctx ends or use fails; see Source. The key of a batch is "journal".
func (j *Journal) Run(ctx context.Context, positions map[string][]byte, use Use) error {
	var at cursor
	if text := positions["journal"]; len(text) > 0 && json.Unmarshal(text, &at) != nil {
		j.count(func(h *Health) { h.Gaps++ })
	}
	if at == (cursor{}) {
		at.Time = time.Now().Add(-j.back).UnixMicro()
	}
	return j.again(ctx, func() error {
		before := at
		err := j.follow(ctx, &at, use)
		if at == before && at.Cursor != "" && err != nil && strings.Contains(err.Error(), "cursor") {
			j.log.Warn("the journal does not know the place that was reached", slog.String("source", j.name))
			j.count(func(h *Health) { h.Gaps++ })
			at.Cursor = ""
		}
		return err
	})
}

// follow runs journalctl once.
func (j *Journal) follow(ctx context.Context, at *cursor, use Use) error {
	args := j.args
	if at.Cursor != "" {
		args = append(args[:len(args):len(args)], "--after-cursor="+at.Cursor)
	} else {
		args = append(args[:len(args):len(args)], fmt.Sprintf("--since=@%d.%06d", at.Time/1e6, at.Time%1e6))
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	cmd := exec.CommandContext(ctx, "journalctl", append(args, j.matches...)...)
	cmd.Env = []string{"LC_ALL=C", "PATH=/usr/bin:/bin"}
	cmd.WaitDelay = time.Second
	said := &tailWriter{}
	cmd.Stderr = said
	out, err := cmd.StdoutPipe()
	if err != nil {
		return fmt.Errorf("run journalctl: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("run journalctl: %w", err)
	}
	j.count(func(h *Health) { h.Problem = "" })
	usedErr := j.read(ctx, out, at, use)
	cancel()
	err = cmd.Wait()
	var failed usedError
	if errors.As(usedErr, &failed) {
		return usedErr
	}
	return fmt.Errorf("journalctl ended (%v): %s", err, said.String())
}

// usedError is an error of the function that takes batches.
type usedError struct{ error }

func (e usedError) Unwrap() error { return e.error }

// read gives on entries until the output ends.
func (j *Journal) read(ctx context.Context, out io.Reader, at *cursor, use Use) error {
	in := bufio.NewReaderSize(out, 256<<10)
	split := splitter{max: maxEntry}
	var records []Record
	next := *at
	give := func() error {
		if len(records) == 0 {
			return nil
		}
		text, _ := json.Marshal(next) // a text and a number
		if err := use(ctx, Batch{Key: "journal", Records: records, Position: text}); err != nil {
			return usedError{err}
		}
		*at = next
		j.counted(records)
		records = records[:0]
		return nil
	}
	for {
		if _, err := in.Peek(1); err != nil {
			return err
		}
		chunk, _ := in.Peek(in.Buffered())
		var bad error
		split.next(chunk, func(line []byte, cut bool) {
			r, c, ok := journalRecord(line)
			if !ok {
				r = Record{Text: string(line[:min(len(line), MaxLine)]), Cut: cut, Malformed: true}
			} else {
				next = c
			}
			r.Source = j.name
			if records = append(records, r); len(records) >= batchLen && bad == nil {
				bad = give()
			}
		})
		if bad != nil {
			return bad
		}
		if _, err := in.Discard(len(chunk)); err != nil {
			return err
		}
		if in.Buffered() == 0 {
			if err := give(); err != nil {
				return err
			}
		}
	}
}

// journalRecord reads an entry. Text is HOST PROGRAM[PID]: MESSAGE, as fail2ban shows an entry to its filters.
func journalRecord(line []byte) (Record, cursor, bool) {
	var raw map[string]json.RawMessage
	if json.Unmarshal(line, &raw) != nil {
		return Record{}, cursor{}, false
	}
	get := func(name string) string { return journalValue(raw[name]) }
	micros, err := strconv.ParseInt(get("__REALTIME_TIMESTAMP"), 10, 64)
	at := cursor{Cursor: get("__CURSOR"), Time: micros}
	if err != nil || at.Cursor == "" {
		return Record{}, cursor{}, false
	}
	r := Record{Time: time.UnixMicro(micros).UTC(), Message: get("MESSAGE"), Program: get("SYSLOG_IDENTIFIER")}
	if len(r.Message) > MaxLine {
		r.Message, r.Cut = r.Message[:MaxLine], true
	}
	if r.Program == "" {
		r.Program = get("_COMM")
	}
	pid := get("SYSLOG_PID")
	if pid == "" {
		pid = get("_PID")
	}
	host := get("_HOSTNAME")
	if r.Text = headless(host, r.Program, pid, r.Message); host != "" && r.Program == "" {
		r.Text = headless(host+":", "", "", r.Message)
	}
	if r.Program == "kernel" && pid == "" {
		monotonic := get("_SOURCE_MONOTONIC_TIMESTAMP")
		if monotonic == "" {
			monotonic = get("__MONOTONIC_TIMESTAMP")
		}
		if n, err := strconv.ParseFloat(monotonic, 64); err == nil {
			r.Text = headless(host, r.Program, "", fmt.Sprintf("[%12.6f] %s", n/1e6, r.Message))
		}
	}
	for _, f := range [...]event.Field{{Key: "host", Value: host}, {Key: "pid", Value: pid}, {Key: "unit", Value: get("_SYSTEMD_UNIT")},
		{Key: "uid", Value: get("_UID")}, {Key: "comm", Value: get("_COMM")}, {Key: "transport", Value: get("_TRANSPORT")}} {
		if f.Value != "" {
			r.Fields = append(r.Fields, f)
		}
	}
	return r, at, true
}

// headless is a line as syslog writes it, without the date, on one line.
func headless(host, program, pid, message string) string {
	var b strings.Builder
	b.Grow(len(host) + len(program) + len(pid) + len(message) + 8)
	if host != "" {
		b.WriteString(host + " ")
	}
	if program != "" {
		b.WriteString(program)
		if pid != "" {
			b.WriteString("[" + pid + "]")
		}
		b.WriteString(": ")
	}
	b.WriteString(strings.ReplaceAll(message, "\n", `\n`))
	return b.String()
}

// journalValue reads a value: a text, an array of bytes, or an array of such where a field stands several times.
func journalValue(raw json.RawMessage) string {
	if len(raw) == 0 {
		return ""
	}
	switch raw[0] {
	case '"':
		var s string
		_ = json.Unmarshal(raw, &s) // it was read as JSON once
		return s
	case '[':
		var bytes []byte
		var list []json.RawMessage
		if json.Unmarshal(raw, &list) != nil {
			return ""
		}
		var parts []string
		for _, one := range list {
			if one[0] >= '0' && one[0] <= '9' {
				n, err := strconv.ParseUint(string(one), 10, 8)
				if err != nil {
					return ""
				}
				bytes = append(bytes, byte(n))
			} else if one[0] == '"' || one[0] == '[' && len(one) < len(raw) {
				if parts = append(parts, journalValue(one)); len(parts) > maxFields {
					break
				}
			}
		}
		if len(parts) == 0 {
			return string(bytes)
		}
		return strings.Join(parts, " ")
	}
	return ""
}

// tailWriter keeps the end of what a program says.
type tailWriter struct{ text []byte }

func (w *tailWriter) Write(p []byte) (int, error) {
	w.text = append(w.text, p...)
	w.text = w.text[max(0, len(w.text)-512):]
	return len(p), nil
}

func (w *tailWriter) String() string { return string(bytes.TrimSpace(w.text)) }

package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/doorward/doorward/api"
	"github.com/doorward/doorward/event/syslog"
)

func newEventExport(s streams) *cobra.Command {
	c := &cobra.Command{
		Use:   "export",
		Short: "Write events as JSON lines or syslog, to a file or a syslog server",
		Long: `Export writes events in the order in which they were stored, to standard output, to a file or to a syslog server (RFC 5424 over UDP,
TCP with octet counting, or TLS). With --position it keeps in a file how far it came, and the next export goes on from there: no event is left
out, whatever time it states, and none comes twice. To a file that holds after a crash too, because what was written behind the
position is taken back. A syslog server acknowledges nothing: what was under way when the connection or this command broke is
sent again, at most 500 events, and each has its id.`,
		Example: `  doorward event export --since 1d > events.jsonl
  doorward event export --syslog tls://logs.example.org:6514 --position /var/lib/doorward-export/position --follow
  doorward event export --format syslog --output events.log --position position`,
		Args: exactly(),
	}
	var f eventFilter
	f.addSpan(c, "")
	f.addAll(c)
	var e exporter
	c.Flags().StringVar(&e.format, "format", "", "json or syslog; default: json, and syslog to a server")
	c.Flags().StringVar(&e.output, "output", "", "the file to write to the end of")
	c.Flags().StringVar(&e.server, "syslog", "", "the server: udp://HOST:PORT, tcp://HOST:PORT or tls://HOST:PORT")
	c.Flags().StringVar(&e.ca, "ca", "", "file with the certificates (PEM) that vouch for the server; default: those of the system")
	c.Flags().StringVar(&e.position, "position", "", "the file that keeps how far the export came")
	c.Flags().BoolVar(&e.follow, "follow", false, "go on with what comes, until interrupted")
	for _, name := range []string{"output", "ca", "position"} {
		c.MarkFlagFilename(name)
	}
	return adminCommand(c, s, func(ctx context.Context, client *api.Client, _ []string) (err error) {
		q, err := f.query(time.Now())
		if err != nil {
			return err
		}
		q.Limit = eventPage
		if err := e.open(ctx, s); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, e.close()) }()
		return e.run(ctx, client, q)
	})
}

// exporter moves events to where they shall go.
type exporter struct {
	format, output, server, ca, position string
	follow                               bool

	place  *place
	kept   bool // the place was read, not begun
	host   string
	out    io.Writer
	file   *os.File
	target syslog.Server
	sender *syslog.Sender
}

// open checks the flags and opens what is written to.
func (e *exporter) open(ctx context.Context, s streams) error {
	if e.format == "" {
		e.format = "json"
		if e.server != "" {
			e.format = "syslog"
		}
	}
	switch {
	case e.format != "json" && e.format != "syslog":
		return usage("", "--format must be json or syslog")
	case e.server != "" && (e.output != "" || e.format != "syslog"):
		return usage("", "--syslog sends syslog to a server; it goes with neither --output nor --format json")
	case e.position != "" && e.server == "" && e.output == "":
		return usage("use the shell's > for a single export", "--position needs --output or --syslog: it could not take back what was written to standard output")
	}
	target := "syslog " + e.server
	if e.output != "" {
		abs, err := filepath.Abs(e.output)
		if err != nil {
			return usage("", "--output: %w", err)
		}
		target = e.format + " " + abs
	}
	e.place = &place{Version: 1, Target: target, Days: map[string]dayPlace{}}
	if e.position != "" {
		kept, err := readPlace(e.position)
		if err != nil {
			return failure("", "%w", err)
		}
		if kept != nil && kept.Target != target {
			return usage("use a --position of its own for each target", "the position in %s is of an export to %s", e.position, kept.Target)
		}
		if kept != nil {
			e.place, e.kept = kept, true
		}
	}
	var err error
	if e.host, err = os.Hostname(); err != nil {
		e.host = ""
	}
	e.out = s.out
	if e.server != "" {
		return e.openServer(ctx)
	}
	if e.output != "" {
		return e.openFile()
	}
	return nil
}

func (e *exporter) openServer(ctx context.Context) (err error) {
	var roots *x509.CertPool
	if e.ca != "" {
		text, err := os.ReadFile(e.ca)
		if err != nil {
			return usage("", "--ca: %w", err)
		}
		if roots = x509.NewCertPool(); !roots.AppendCertsFromPEM(text) {
			return usage("", "--ca: %s holds no certificate", e.ca)
		}
	}
	if e.target, err = syslog.ParseServer(e.server, roots); err != nil {
		return usage("", "--syslog: %w", err)
	}
	if e.sender, err = e.target.Dial(ctx); err != nil {
		return failure("", "%w", err)
	}
	return nil
}

// openFile opens the file and takes back what was written behind the position, by an export that broke.
func (e *exporter) openFile() error {
	file, err := os.OpenFile(e.output, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return failure("", "open output: %w", err)
	}
	e.file, e.out = file, file
	info, err := file.Stat()
	if err != nil {
		return failure("", "look at output: %w", err)
	}
	size := info.Size()
	if e.position != "" && info.Mode().IsRegular() {
		if size < e.place.Size {
			// Rotated or emptied: what was there was written, and the rest goes on.
			e.place.Size = size
		} else if e.kept {
			if err := file.Truncate(e.place.Size); err != nil {
				return failure("", "take back the end of the output: %w", err)
			}
			size = e.place.Size
		} else {
			e.place.Size = size
			if err := e.place.save(e.position); err != nil {
				return err
			}
		}
	}
	if info.Mode().IsRegular() {
		if _, err := file.Seek(size, io.SeekStart); err != nil {
			return failure("", "go to the end of the output: %w", err)
		}
	}
	return nil
}

func (e *exporter) close() (err error) {
	if e.file != nil {
		err = e.file.Close()
	}
	if e.sender != nil {
		err = errors.Join(err, e.sender.Close())
	}
	return err
}

// run exports what is there and, when it follows, what comes.
func (e *exporter) run(ctx context.Context, client *api.Client, q api.EventQuery) error {
	for {
		err := e.place.read(ctx, client, q, func(events []api.Event) error { return e.write(events) })
		if err != nil && (!e.follow || ctx.Err() == nil) {
			return err
		}
		if !e.follow {
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(followPause):
		}
	}
}

// write writes a part and then the position behind it.
func (e *exporter) write(events []api.Event) error {
	switch {
	case e.sender != nil:
		messages := make([][]byte, len(events))
		for i := range events {
			messages[i] = syslog.Append(nil, e.message(&events[i]))
		}
		if err := e.sender.Send(messages); err != nil {
			return failure("run the export again: it goes on from its --position", "%w", err)
		}
	case e.format == "syslog":
		var b []byte
		for i := range events {
			b = append(syslog.Append(b, e.message(&events[i])), '\n')
		}
		if _, err := e.out.Write(b); err != nil {
			return fmt.Errorf("write result: %w", err)
		}
	default:
		if err := writeEventLines(e.out, events); err != nil {
			return err
		}
	}
	if e.position == "" {
		return nil
	}
	if e.file != nil {
		at, err := e.file.Seek(0, io.SeekCurrent)
		if err = errors.Join(err, e.file.Sync()); err != nil {
			return fmt.Errorf("write result: %w", err)
		}
		e.place.Size = at
	}
	return e.place.save(e.position)
}

// message is an event as syslog has it. 32473 is the enterprise number that RFC 5612 keeps for documentation: Doorward has none.
func (e *exporter) message(v *api.Event) syslog.Message {
	m := syslog.Message{Facility: 10, Severity: syslogSeverity(v.Severity), Time: v.Time, Host: e.host, App: "doorward", ID: v.Class,
		DataID: "event@32473", Text: v.Raw}
	for _, p := range []syslog.Param{{Name: "id", Value: v.ID}, {Name: "outcome", Value: v.Outcome}, {Name: "severity", Value: v.Severity}, {Name: "action", Value: v.Action},
		{Name: "source", Value: v.Source}, {Name: "user", Value: v.User}, {Name: "site", Value: v.Site}} {
		if p.Value != "" {
			m.Data = append(m.Data, p)
		}
	}
	for i, f := range v.Fields {
		name := "f." + f.Key // the names of strangers never stand for one of the above
		if f.Key == "" {
			name = "f." + strconv.Itoa(i)
		}
		m.Data = append(m.Data, syslog.Param{Name: name, Value: f.Value})
	}
	if m.Text == "" {
		m.Text = v.Action + " " + v.Outcome
	}
	return m
}

// syslogSeverity is the severity of RFC 5424 that says as much.
func syslogSeverity(name string) int {
	switch name {
	case "fatal":
		return 1
	case "critical":
		return 2
	case "high":
		return 3
	case "medium":
		return 4
	case "low":
		return 5
	}
	return 6
}

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/doorward/doorward/api"
	"github.com/doorward/doorward/decision"
)

// exported is one line of an export; import reads it again.
type exported struct {
	Target   string    `json:"target"`
	Action   string    `json:"action,omitempty"`
	Seconds  int64     `json:"seconds,omitempty"` // on import, in the place of until
	Until    time.Time `json:"until,omitzero"`    // absent: for good
	Origin   string    `json:"origin,omitempty"`
	Reason   string    `json:"reason,omitempty"`
	Evidence []string  `json:"evidence,omitempty"`
	Created  time.Time `json:"created,omitzero"`
}

func newDecisionExport(s streams) *cobra.Command {
	c := &cobra.Command{
		Use:   "export",
		Short: "Write the decisions that stand, for import elsewhere",
		Long: `Export writes one JSON object a line. With --plain it writes the addresses and networks alone, one a line, as firewalls and other
programs read them; accounts and countries are left out then.`,
		Example: "  doorward decision export > decisions.jsonl\n  doorward decision export --plain --action ban",
		Args:    exactly(),
	}
	plain := c.Flags().Bool("plain", false, "addresses and networks alone")
	f := filterFlags(c)
	return adminCommand(c, s, func(ctx context.Context, client *api.Client, _ []string) error {
		out := bufio.NewWriter(s.out)
		lines := json.NewEncoder(out)
		err := eachDecision(ctx, client, *f, func(d api.Decision) error {
			if !*plain {
				return lines.Encode(exported{Target: d.Target, Action: d.Action, Until: d.Until, Origin: d.Origin, Reason: d.Reason, Evidence: d.Evidence, Created: d.Created})
			}
			if d.Kind != string(decision.Address) {
				return nil
			}
			_, err := fmt.Fprintln(out, d.Target)
			return err
		})
		return errors.Join(err, out.Flush())
	})
}

func newDecisionImport(s streams) *cobra.Command {
	l := &importer{s: s, now: time.Now()}
	var length string
	c := &cobra.Command{
		Use:   "import FILE",
		Short: "Decide on every target of a list",
		Long: `Import reads FILE, or standard input for "-", in one of these forms, which it tells apart by itself:

  plain      an address or network a line; what follows # or ; is a comment
  JSON lines what "doorward decision export" writes; only target is needed
  CrowdSec   what "cscli decisions list -o json" and CrowdSec's local API write
  fail2ban   what "fail2ban-client banned" writes

--for, --action and --reason are for lines that do not say so themselves. Lines that are refused, because they are on the allow list for one,
hold up no others. Everything comes from the origin import:NAME; "doorward decision delete --origin import:NAME" takes it back.`,
		Example: "  doorward decision import decisions.jsonl\n  fail2ban-client banned | doorward decision import - --name fail2ban --for 1h",
		Args:    exactly("FILE"),
	}
	c.Flags().StringVar(&l.in.Name, "name", "", "where the list comes from (default the file's name)")
	c.Flags().StringVar(&length, "for", "", "how long: 12h, 30d or permanent (default decisions.default_duration)")
	c.Flags().StringVar(&l.each.Action, "action", "ban", strings.Join(actionNames(), ", "))
	c.RegisterFlagCompletionFunc("action", cobra.FixedCompletions(actionNames(), cobra.ShellCompDirectiveNoFileComp))
	c.Flags().StringVar(&l.each.Reason, "reason", "", "why")
	asJSON := jsonFlag(c)
	return adminCommand(c, s, func(ctx context.Context, client *api.Client, args []string) (err error) {
		if l.each.Seconds, l.each.Permanent, err = parseLength(length); err != nil {
			return err
		}
		file, size := io.Reader(s.in), int64(0)
		if args[0] != "-" {
			f, err := os.Open(args[0])
			if err != nil {
				return failure("", "read list: %w", err)
			}
			defer f.Close()
			if info, err := f.Stat(); err == nil {
				size = info.Size()
			}
			file = f
		}
		if l.in.Name == "" {
			l.in.Name = strings.TrimSuffix(filepath.Base(args[0]), string(filepath.Separator))
			if args[0] == "-" {
				l.in.Name = "stdin"
			}
		}
		l.send, l.in.From = func() error { return l.sendTo(ctx, client) }, terminalFrom()
		l.bar, l.size = newProgress(s, "importing"), size
		err = l.read(&counted{r: file, n: &l.done})
		l.bar.end()
		switch {
		case errors.Is(err, errPacked):
			return failure("zcat "+args[0]+" | doorward decision import - --name "+l.in.Name, "import list: %w", err)
		case errors.Is(err, errNoText):
			return failure("lists are texts in UTF-8; see: doorward decision import --help", "import list: %w", err)
		case err != nil:
			return failure(fmt.Sprintf("%d decisions were taken before; importing the list again does no harm", l.report.Made), "import list: %w", err)
		}
		return l.tell(*asJSON)
	})
}

// counted counts what is read.
type counted struct {
	r io.Reader
	n *int64
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	*c.n += int64(n)
	return n, err
}

// importer reads a list and sends it in parts, so that it needs the memory of one part.
type importer struct {
	s          streams
	now        time.Time
	each       api.ImportedDecision // for lines that do not say it themselves
	in         api.ImportedDecisions
	send       func() error
	report     api.ImportReport
	bar        *progress
	done, size int64
}

func (l *importer) add(d api.ImportedDecision) error {
	if d.Action == "" {
		d.Action = l.each.Action
	}
	if d.Seconds == 0 && d.Until.IsZero() && !d.Permanent {
		d.Seconds, d.Permanent = l.each.Seconds, l.each.Permanent
	}
	if d.Reason == "" {
		d.Reason = l.each.Reason
	}
	l.in.Decisions = append(l.in.Decisions, d)
	if len(l.in.Decisions) < decision.MaxBatch {
		return nil
	}
	return l.send()
}

func (l *importer) refuse(what, problem string) {
	l.report.RefusedCount++
	if len(l.report.Refused) < 100 {
		l.report.Refused = append(l.report.Refused, api.RefusedImport{Target: what, Problem: problem})
	}
}

func (l *importer) sendTo(ctx context.Context, client *api.Client) error {
	if len(l.in.Decisions) == 0 {
		return nil
	}
	part, err := client.ImportDecisions(ctx, l.in)
	if err != nil {
		return err
	}
	l.in.Decisions = l.in.Decisions[:0]
	l.report.Made += part.Made
	l.report.Extended += part.Extended
	l.report.Standing += part.Standing
	l.report.RefusedCount += part.RefusedCount
	l.report.Refused = append(l.report.Refused, part.Refused...)
	l.report.Refused = l.report.Refused[:min(len(l.report.Refused), 100)]
	l.bar.set(int(l.done), int(l.size))
	return nil
}

func (l *importer) tell(asJSON bool) error {
	r := l.report
	if r.Refused == nil {
		r.Refused = []api.RefusedImport{}
	}
	if asJSON {
		return writeJSON(l.s.out, r)
	}
	for i, no := range r.Refused {
		if i == 20 {
			break
		}
		fmt.Fprintln(l.s.err, oneLine("refused: "+no.Target+": "+no.Problem))
	}
	if more := r.RefusedCount - min(20, len(r.Refused)); more > 0 {
		fmt.Fprintf(l.s.err, "refused: %d more\n", more)
	}
	fmt.Fprintf(l.s.err, "%d new, %d longer, %d stood already, %d refused\n", r.Made, r.Extended, r.Standing, r.RefusedCount)
	if r.RefusedCount > 0 && r.Made+r.Extended+r.Standing == 0 {
		return failure("see: doorward decision import --help", "nothing of the list was taken")
	}
	return nil
}

// read finds out the form and reads to the end.
func (l *importer) read(r io.Reader) error {
	buffered := bufio.NewReaderSize(r, 64<<10)
	start, err := buffered.Peek(512)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	switch first := strings.TrimLeft(string(start), " \t\r\n\ufeff"); {
	case strings.HasPrefix(first, "\x1f\x8b"):
		return errPacked
	case strings.Contains(first, "\x00"):
		return errNoText
	case strings.HasPrefix(first, "["):
		err = l.readArray(buffered, strings.HasPrefix(strings.ReplaceAll(first, " ", ""), "[{'"))
	case strings.HasPrefix(first, "{"):
		err = l.readObjects(buffered)
	default:
		err = l.readLines(buffered)
	}
	if err != nil {
		return err
	}
	return l.send()
}

// single turns the quotes in which fail2ban-client writes into JSON's. Neither addresses nor jails' names hold any.
type single struct{ r io.Reader }

func (s single) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	for i := range p[:n] {
		if p[i] == '\'' {
			p[i] = '"'
		}
	}
	return n, err
}

// theirs is a decision in CrowdSec's form.
type theirs struct {
	Duration, Scope, Value, Type, Scenario string
}

func (l *importer) readArray(r io.Reader, quotes bool) error {
	if quotes {
		r = single{r}
	}
	d := json.NewDecoder(r)
	if _, err := d.Token(); err != nil {
		return fmt.Errorf("read list: %w", err)
	}
	for d.More() {
		var element map[string]json.RawMessage
		if err := d.Decode(&element); err != nil {
			return fmt.Errorf("read list: %w", err)
		}
		if err := l.addElement(element); err != nil {
			return err
		}
	}
	if _, err := d.Token(); err != nil {
		return fmt.Errorf("read list: %w", err)
	}
	return nil
}

// addElement reads an alert of CrowdSec with its decisions, one of its decisions, or a jail of fail2ban with its addresses.
func (l *importer) addElement(element map[string]json.RawMessage) error {
	one := func(field string) string {
		var text string
		_ = json.Unmarshal(element[field], &text) // what is no text is empty
		return text
	}
	switch {
	case element["decisions"] != nil:
		var list []theirs
		if err := json.Unmarshal(element["decisions"], &list); err != nil {
			l.refuse("an alert", "has no decisions that can be read")
			return nil
		}
		for _, t := range list {
			if err := l.addTheirs(t); err != nil {
				return err
			}
		}
		return nil
	case element["value"] != nil:
		return l.addTheirs(theirs{one("duration"), one("scope"), one("value"), one("type"), one("scenario")})
	}
	for jail, raw := range element {
		var addresses []string
		if err := json.Unmarshal(raw, &addresses); err != nil {
			l.refuse(jail, "is neither a decision nor a jail's list of addresses")
			continue
		}
		for _, a := range addresses {
			if err := l.add(api.ImportedDecision{Target: a, Reason: "jail " + jail}); err != nil {
				return err
			}
		}
	}
	return nil
}

func (l *importer) addTheirs(t theirs) error {
	d := api.ImportedDecision{Target: t.Value, Action: t.Type, Reason: t.Scenario}
	if t.Type == "captcha" {
		d.Action = string(decision.Challenge)
	}
	switch scope := strings.ToLower(t.Scope); scope {
	case "ip", "range":
	case "username":
		d.Target = "account:" + t.Value
	case "country":
		d.Target = "country:" + t.Value
	default:
		l.refuse(t.Value, "has the scope "+strconv.Quote(t.Scope)+", which is not known here")
		return nil
	}
	left, err := time.ParseDuration(t.Duration)
	switch {
	case err != nil:
		l.refuse(t.Value, "has the duration "+strconv.Quote(t.Duration)+", which is not one that can be read")
		return nil
	case left < time.Second:
		l.refuse(t.Value, "has ended")
		return nil
	}
	d.Seconds = int64(left / time.Second)
	return l.add(d)
}

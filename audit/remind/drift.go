package remind

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/doorward/doorward/audit"
	"github.com/doorward/doorward/audit/report"
)

// freshReport is how old a report may be that people are told of: what is older they have seen, or nobody asked for mails then.
const freshReport = 3 * 24 * time.Hour

// Drift writes one mail for each new report in which controls fail that did not fail in the report before. The folder is root's, and read
// only where its group lets the daemon read it; where it may not, that is logged once.
func (r *Reminder) Drift(ctx context.Context, now time.Time) error {
	if !r.deps.Mail.Enabled() || len(r.cfg.Load().Recipients) == 0 {
		return nil
	}
	spool, err := report.OpenSpool(r.cfg.Load().Reports)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // nobody has audited yet
	}
	if err != nil {
		r.unread(err)
		return nil
	}
	runs, err := spool.Runs("")
	if err != nil {
		r.unread(err)
		return nil
	}
	done, failed := map[string]bool{}, false
	for _, run := range runs { // the newest first
		if done[run.Profile] {
			continue
		}
		done[run.Profile] = true
		if now.Sub(run.Time) > freshReport || !run.Time.After(r.seen[run.Profile]) {
			continue
		}
		rep, err := spool.Read(run)
		if err != nil {
			r.unread(err)
			failed = true
			continue
		}
		if err := r.drifted(ctx, run, rep, now); err != nil {
			return err
		}
		r.seen[run.Profile] = run.Time
	}
	if !failed {
		r.problem = "" // should it come back, it is logged again
	}
	return nil
}

// unread logs why the reports cannot be read, once for each reason.
func (r *Reminder) unread(err error) {
	text := err.Error()
	if text == r.problem {
		return
	}
	r.problem = text
	r.deps.Log.Warn("the audit's reports cannot be read, so nobody is told by mail what got worse; see docs/audit.md", slog.Any("error", err))
}

// drifted tells the recipients what fails now and did not before.
func (r *Reminder) drifted(ctx context.Context, run report.Run, rep *report.Report, now time.Time) error {
	severities := map[string]audit.Severity{}
	for _, f := range rep.Results {
		severities[f.ID] = f.Severity
	}
	changes := slices.DeleteFunc(rep.Drifted(), func(c report.Change) bool {
		return c.After != audit.Fail || c.Before == audit.Unknown || c.Before == audit.Errored
	})
	if len(changes) == 0 || rep.Since == nil {
		return nil
	}
	slices.SortStableFunc(changes, func(a, b report.Change) int {
		return slices.Index(audit.Severities(), severities[b.ID]) - slices.Index(audit.Severities(), severities[a.ID])
	})
	var errs []error
	for _, to := range r.configured() {
		lang := r.deps.Texts.Match(to.Language, "")
		l := &letter{kind: "audit_drift", lang: lang, pairs: []string{"time", rep.Time.Local().Format(time.DateTime), "before", rep.Since.Local().Format(time.DateTime), "profile", run.Profile}}
		for _, c := range changes {
			l.lines = append(l.lines, r.deps.Texts.Text(lang, "mail.audit_drift.line", "what", line(c.ID), "severity", line(string(severities[c.ID])), "text", line(c.Title),
				"owner", line(string(c.Before))))
		}
		errs = append(errs, r.write(ctx, to, now, func(tx *sql.Tx) (*letter, error) {
			fresh, err := r.tell(ctx, tx, "report "+run.Profile, run.Time.UTC().Format(time.RFC3339Nano)+" "+strings.ToLower(to.Email), now)
			if err != nil || !fresh {
				return &letter{}, err
			}
			return l, nil
		}))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("tell what got worse: %w", err)
	}
	return nil
}

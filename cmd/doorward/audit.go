package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/doorward/doorward/api"
	"github.com/doorward/doorward/audit"
	"github.com/doorward/doorward/audit/facts"
	"github.com/doorward/doorward/audit/register"
	"github.com/doorward/doorward/audit/report"
	"github.com/doorward/doorward/config"
	"github.com/doorward/doorward/rules"
)

// auditFlags are the flags of the audit itself.
type auditFlags struct {
	config, profile, root, format, output, failOn, outside string
	execInRoot, strict, noKeep                             bool
}

func newAudit(s streams) *cobra.Command {
	var f auditFlags
	c := &cobra.Command{
		Use:   "audit",
		Short: "Ask this host the controls of the security guides, and show the evidence",
		Long: `Audit reads what this host is really configured to do, connects to what it offers, and answers for every control of the
profile how it stands: pass, fail, unknown (a fact could not be read), not-applicable, waived, attested, or error (a defect
of Doorward's). What was not looked at never counts as passed, and the report leads with how much was answered. It changes
nothing on the host, but keeps its own report for the next comparison.

Run it as root: much of what it asks is not readable otherwise, and is then unknown. With --root it reads a folder that
holds a system's files, such as a mounted image, and runs no program from there unless --exec-in-root is given.

With --from-outside HOST it looks at another host from here, as a stranger would: which of the usual ports and of audit.open_ports answer
on IPv4 and IPv6, and at the addresses of audit.urls, or https://HOST/, TLS, headers and pages. Only what can be seen so is in the report. Run it
from a machine outside of the host's own network, and only against hosts that are yours.

The exit code is 1 when a control of at least the severity of --fail-on fails, and 0 otherwise; with --strict, a control that
could not be answered counts as one that fails. The format nagios has the exit codes of monitoring plugins instead.`,
		Example: `  doorward audit --profile idoit
  doorward audit --format html --output report.html
  doorward audit --root /mnt/image --format json
  doorward audit --from-outside helpdesk.example.com`,
		Args: noSubcommand,
	}
	flags := c.Flags()
	flags.StringVarP(&f.config, "config", "c", config.DefaultPath, "the configuration file; its audit section counts")
	flags.StringVar(&f.profile, "profile", "", "deskpro, faveo, idoit, mor or all; default: audit.profile of the configuration")
	flags.StringVar(&f.root, "root", "/", "the folder whose system is read")
	flags.BoolVar(&f.execInRoot, "exec-in-root", false, "run programs from --root, confined to it by chroot")
	flags.StringVar(&f.outside, "from-outside", "", "look at HOST from this machine instead: ports, TLS, headers, pages")
	flags.StringVar(&f.format, "format", "text", strings.Join(report.Formats(), ", "))
	flags.StringVarP(&f.output, "output", "o", "", "the file to write; default: standard output")
	flags.StringVar(&f.failOn, "fail-on", string(audit.Low), "the least severity that sets the exit code: low, medium, high, critical, or none")
	flags.BoolVar(&f.strict, "strict", false, "what could not be answered sets the exit code too")
	flags.BoolVar(&f.noKeep, "no-keep", false, "compare with the last report, but keep none of this run")
	c.MarkFlagFilename("config", "yaml", "yml")
	c.MarkFlagDirname("root")
	c.RunE = func(c *cobra.Command, _ []string) error { return runAudit(c.Context(), s, f) }
	c.AddCommand(newAuditList(s), newAuditExplain(s), newAuditHistory(s), newAuditTest(s))
	return c
}

// auditGC has an audit hold less memory than Go's default of 100, at some more CPU: it runs beside the servers that it looks at.
const auditGC = 50

func runAudit(ctx context.Context, s streams, f auditFlags) error {
	if !slices.Contains(report.Formats(), f.format) {
		return usage("", "--format %q is none of %s", f.format, strings.Join(report.Formats(), ", "))
	}
	if f.failOn != "none" && !slices.Contains(audit.Severities(), audit.Severity(f.failOn)) {
		return usage("", "--fail-on %q is none of low, medium, high, critical, none", f.failOn)
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(auditGC)
	}
	cfg, catalogue, err := openCatalogue(f.config)
	if err != nil {
		return err
	}
	profile, err := findProfile(catalogue, orElse(f.profile, cfg.Audit.Profile))
	if err != nil {
		return err
	}
	look := auditHost
	if f.outside != "" {
		look = auditFromOutside
	}
	r, err := look(ctx, s, catalogue, profile, cfg, f)
	if err != nil {
		return err
	}
	compareAndKeep(s, &r, cfg.Audit.Reports, f)
	if err := writeReport(s, r, f); err != nil {
		return err
	}
	return auditVerdict(r, f)
}

// auditHost reads the host's facts and judges them.
func auditHost(ctx context.Context, s streams, catalogue *audit.Catalogue, profile audit.Profile, cfg *config.Config, f auditFlags) (report.Report, error) {
	root, err := filepath.Abs(f.root)
	if err != nil {
		return report.Report{}, err
	}
	h, err := facts.OpenHost(facts.HostOptions{Root: root, ExecInRoot: f.execInRoot})
	if err != nil {
		return report.Report{}, usage("give --root a folder that holds a system's files", "%w", err)
	}
	defer h.Close()
	begin := time.Now()
	policy, client := declaredPolicy(ctx, f.config)
	records := readRecords(ctx, policy, client)
	records.Targets = cfg.Audit.Scans
	bar := newProgress(s, "reading the host")
	found := facts.Collect(ctx, h, facts.Target{Config: cfg.Audit.Host, Now: begin, Policy: policy, Watch: askWatch(ctx, f.config)}, bar.set)
	bar.end()
	if ctx.Err() != nil {
		return report.Report{}, ctx.Err()
	}
	r := newReport(catalogue, profile, found, catalogue.Judge(profile, found, records))
	r.Root, r.Host = root, audit.Plain(hostName(h))
	if system, ok := found.Values["system"].(facts.System); ok {
		r.System = audit.Plain(system.Name)
	}
	return r, nil
}

// newReport makes the report of findings, with the guides' titles and the time that it took since the facts' own.
func newReport(catalogue *audit.Catalogue, profile audit.Profile, found facts.Facts, findings []audit.Finding) report.Report {
	titles := map[string]string{}
	for _, p := range catalogue.Profiles() {
		if p.Guide != "" {
			titles[p.Guide] = p.Title
		}
	}
	r := report.New(profile, findings, found, titles)
	r.Took = time.Since(found.Time).Milliseconds()
	r.Doorward, _ = buildVersion()
	return r
}

// auditFromOutside looks at another host as a stranger. What cannot be seen so is left out, not counted as unknown.
func auditFromOutside(ctx context.Context, s streams, catalogue *audit.Catalogue, profile audit.Profile, cfg *config.Config, f auditFlags) (report.Report, error) {
	if f.root != "/" || f.execInRoot {
		return report.Report{}, usage("", "--from-outside looks at another host, and --root at files: give one of them")
	}
	bar := newProgress(s, "looking at "+f.outside)
	bar.set(0, 1)
	found := facts.Outside(ctx, f.outside, facts.Target{Config: cfg.Audit.Host, Now: time.Now()})
	bar.end()
	if ctx.Err() != nil {
		return report.Report{}, ctx.Err()
	}
	findings := slices.DeleteFunc(catalogue.Judge(profile, found, audit.Records{Unread: facts.NotFromOutside}), func(f audit.Finding) bool {
		return f.Status == audit.Unknown && strings.Contains(f.Reason, facts.NotFromOutside)
	})
	found.Missing = slices.DeleteFunc(found.Missing, func(m facts.Missing) bool { return m.Reason == facts.NotFromOutside })
	r := newReport(catalogue, profile, found, findings)
	r.Root, r.Host, r.System = "outside", audit.Plain(f.outside), "seen from outside"
	return r, nil
}

// declaredPolicy is what the configuration makes of sign-in and access, and whether the running Doorward has loaded it, with a
// client of that. The policy is nil where the file cannot be used as a whole: then nothing of it is in force.
func declaredPolicy(ctx context.Context, path string) (*facts.Policy, *api.Client) {
	cfg, err := config.Load(path)
	if err != nil {
		return nil, nil
	}
	p, err := cfg.Policy()
	if err != nil {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, askDaemon)
	defer cancel()
	client, err := api.Dial(ctx, cfg.AdminSocket())
	if err != nil {
		p.Where = "no Doorward answers on " + cfg.AdminSocket()
		return &p, nil
	}
	status, err := client.Status(ctx)
	switch {
	case err != nil:
		p.Where = "the running Doorward did not say what it has loaded: " + err.Error()
	case status.Config != cfg.SHA256:
		p.Where = "the running Doorward has loaded another file, or this one before it was changed: run systemctl reload doorward"
	default:
		p.Running, p.Where = true, "process "+strconv.Itoa(status.PID)+" has loaded this file"
	}
	return &p, client
}

// askDaemon is how long the running Doorward may take for an answer.
const askDaemon = 3 * time.Second

// readRecords asks the running Doorward what people have attested and waived; an audit never opens its store. Without a
// configuration there is no store, and nobody has attested anything.
func readRecords(ctx context.Context, policy *facts.Policy, client *api.Client) audit.Records {
	switch {
	case policy == nil:
		return audit.Records{}
	case client == nil:
		return audit.Records{Unread: policy.Where}
	}
	ctx, cancel := context.WithTimeout(ctx, askDaemon)
	defer cancel()
	all, err := client.Statements(ctx)
	if err != nil {
		return audit.Records{Unread: err.Error()}
	}
	scans, err := readScans(ctx, client)
	if err != nil {
		return audit.Records{Unread: err.Error()}
	}
	assets, err := client.Assets(ctx)
	if err != nil {
		return audit.Records{Unread: err.Error()}
	}
	r := audit.Records{Attestations: map[string]audit.Attestation{}, Waivers: map[string]audit.Waiver{}, Accepted: map[string]map[string]audit.Waiver{}, Scans: scans}
	for _, a := range assets {
		r.Systems = append(r.Systems, a.Address)
	}
	for _, s := range all { // of several, the one that holds longest
		waivers, key := r.Waivers, s.Control
		if s.Finding != "" {
			if r.Accepted[s.Control] == nil {
				r.Accepted[s.Control] = map[string]audit.Waiver{}
			}
			waivers, key = r.Accepted[s.Control], s.Finding
		}
		if a := r.Attestations[s.Control]; s.Kind == register.Attestation && s.Until.After(a.Until) {
			r.Attestations[s.Control] = audit.Attestation{Control: s.Control, Owner: s.Owner, Text: s.Text, Evidence: s.Evidence, Made: s.Made, Until: s.Until}
		}
		if w := waivers[key]; s.Kind == register.Waiver && s.Until.After(w.Until) {
			waivers[key] = audit.Waiver{Control: s.Control, Reason: s.Text, By: s.Owner, Until: s.Until}
		}
	}
	return r
}

// hostName is the name of the machine, or of the one that a folder's files belong to.
func hostName(h *facts.Host) string {
	if !h.Live() {
		text, err := h.ReadFile("/etc/hostname")
		if err != nil {
			return "unknown"
		}
		return orElse(strings.TrimSpace(string(text)), "unknown")
	}
	name, err := os.Hostname()
	if err != nil {
		return "unknown"
	}
	return name
}

// auditConfig reads the audit section. That there is no file at the default path is no mistake: a host can be audited before
// anything is set up.
func auditConfig(path string) (*config.Config, error) {
	cfg, err := loadConfig(path, config.LoadAudit)
	if path == config.DefaultPath && errors.Is(err, fs.ErrNotExist) {
		cfg = &config.Config{}
		cfg.Audit.SetDefaults()
		return cfg, nil
	}
	return cfg, err
}

// openCatalogue reads the audit section of the configuration file at path, and all controls that it asks for.
func openCatalogue(path string) (*config.Config, *audit.Catalogue, error) {
	cfg, err := auditConfig(path)
	if err != nil {
		return nil, nil, err
	}
	catalogue, err := loadCatalogue(cfg.Audit.Controls)
	return cfg, catalogue, err
}

// loadCatalogue reads Doorward's controls and those of folder, unless it is empty.
func loadCatalogue(folder string) (*audit.Catalogue, error) {
	sources := []audit.Source{{Controls: rules.Controls(), Profiles: rules.Profiles()}}
	if folder != "" {
		if info, err := os.Stat(folder); err != nil || !info.IsDir() {
			return nil, usage("", "the folder of controls %s cannot be read: it has to be a folder", folder)
		}
		sources = append(sources, audit.Source{Controls: os.DirFS(folder)})
	}
	catalogue, err := audit.Load(sources...)
	if err != nil {
		return nil, usage("docs/controls-format.md says how controls are written", "%w", err)
	}
	return catalogue, nil
}

func findProfile(catalogue *audit.Catalogue, name string) (audit.Profile, error) {
	if p, ok := catalogue.Profile(name); ok {
		return p, nil
	}
	var names []string
	for _, p := range catalogue.Profiles() {
		names = append(names, p.Name)
	}
	return audit.Profile{}, usage("the profiles are: "+strings.Join(names, ", "), "there is no profile %q", name)
}

// compareAndKeep notes what changed since the last run of the live host and keeps this one. A report that cannot be kept is
// said, and does not keep anybody from reading it now.
func compareAndKeep(s streams, r *report.Report, folder string, f auditFlags) {
	if r.Root != "/" {
		return // a folder has no history
	}
	warn := func(err error) { fmt.Fprintf(s.err, "doorward: warning: %s\n", oneLine(err.Error())) }
	open := report.MakeSpool
	if f.noKeep {
		open = report.OpenSpool
	}
	spool, err := open(folder)
	if f.noKeep && errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err != nil {
		warn(err)
		return
	}
	last, err := spool.Last(r.Profile)
	if err != nil {
		warn(err)
	}
	if last != nil {
		r.Compare(*last)
	}
	if f.noKeep {
		return
	}
	if err := spool.Keep(*r); err != nil {
		warn(err)
	}
}

// writeReport writes to --output, whole or not at all, or to standard output.
func writeReport(s streams, r report.Report, f auditFlags) error {
	if f.output == "" {
		return r.Write(s.out, f.format)
	}
	file, err := os.CreateTemp(filepath.Dir(f.output), ".doorward-report-*")
	if err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	defer os.Remove(file.Name()) // an error: it was renamed
	if err := errors.Join(r.Write(io.Writer(file), f.format), file.Chmod(0o640), file.Close()); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return os.Rename(file.Name(), f.output)
}

// auditVerdict is the exit code.
func auditVerdict(r report.Report, f auditFlags) error {
	if f.format == "nagios" {
		if code := r.Nagios().Code; code > 0 {
			return &cliError{err: errors.New(""), code: code}
		}
		return nil
	}
	if f.failOn == "none" {
		return nil
	}
	if n := r.Failed(audit.Severity(f.failOn), f.strict); n > 0 {
		return &cliError{err: errors.New(""), code: exitFailure}
	}
	return nil
}

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/doorward/doorward/api"
	"github.com/doorward/doorward/audit"
	"github.com/doorward/doorward/audit/scan"
)

const (
	shownID   = 12  // digits of a finding's id that are shown; the beginning is enough where it is asked for
	maxAsked  = 200 // scans whose findings an audit asks for
	scanDays  = 90  // how long a scan counts when no control asks for its kind
	leastID   = 8   // digits of a finding's id that have to be given
	timeStyle = "2006-01-02T15:04"
)

func newScanImport(s streams) *cobra.Command {
	c := &cobra.Command{
		Use:   "import FILE",
		Short: "Bring in the report of a scanner as evidence: SARIF, nmap -oX, ZAP JSON",
		Long: `Import reads the report of another scanner: SARIF 2.1.0, the XML of nmap -oX, or the traditional JSON report of ZAP. The format is found
out. What is kept is the tool, what it looked at, when, how many findings of each severity there are, the gravest of them, and the file's SHA-256; keep
the file. Controls such as F-36 then count the scan until it is too old (doorward audit explain F-36), and fail while a grave finding is open. A single
finding is accepted with doorward waive ID --finding.

The time is the one in the file. Where the file has none, as those of many tools that write SARIF, it has to be given with --scanned, and the
report says that it is your word. What was scanned is in the file as well; give --target only where it is not.`,
		Example: `  doorward attest import zap-report.json
  doorward attest import nmap.xml
  doorward attest import findings.sarif --target https://git.example.com/helpdesk --scanned 2026-11-20T14:30`,
		Args: exactly("FILE"),
	}
	asJSON := jsonFlag(c)
	var f scanFlags
	c.Flags().StringVar(&f.target, "target", "", "what was scanned, where the file does not say it: an address, or a repository")
	c.Flags().StringVar(&f.kind, "kind", "", "what SARIF is about: network, vulnerability, web, code; default: by the tool, and else code")
	c.Flags().StringVar(&f.scanned, "scanned", "", "when the scan ended, where the file does not say it, as "+timeStyle)
	dry := c.Flags().Bool("dry-run", false, "import nothing: write as JSON what POST /api/v1/audit/scans takes, for a pipeline; needs no Doorward here")
	adminCommand(c, s, func(ctx context.Context, client *api.Client, args []string) error {
		n, controls, targets, err := f.read(c, args[0])
		if err != nil {
			return err
		}
		made, err := client.AddScan(ctx, n)
		if err != nil {
			return err
		}
		if *asJSON {
			return writeJSON(s.out, made)
		}
		fmt.Fprintf(s.out, "%s %s of %s, %s: %s\n", oneLine(made.Tool), oneLine(made.Version), made.Time.Local().Format(timeStyle), made.Kind, made.Counts)
		if made.Counts.From(scan.Low) > 0 {
			fmt.Fprintf(s.out, "see: doorward attest findings %s\n", made.ID)
		}
		told(s, made, controls, targets)
		return nil
	})
	bring := c.RunE
	c.RunE = func(c *cobra.Command, args []string) error {
		if !*dry {
			return bring(c, args)
		}
		n, _, _, err := f.read(c, args[0])
		if err != nil {
			return err
		}
		return writeJSON(s.out, n)
	}
	return c
}

// scanFlags are what whoever imports a file says of it.
type scanFlags struct{ target, kind, scanned string }

// read reads a scanner's file, and tells which controls count it, and what is declared to be scanned.
func (f scanFlags) read(c *cobra.Command, name string) (n api.NewScan, controls []string, targets audit.ScanTargets, err error) {
	path, err := c.Flags().GetString("config")
	if err != nil {
		return n, nil, targets, err
	}
	cfg, catalogue, err := openCatalogue(path)
	if err != nil {
		return n, nil, targets, err
	}
	o := scan.Options{Target: f.target, Kind: scan.Kind(f.kind), Now: time.Now()}
	if f.scanned != "" {
		if o.Time, err = time.ParseInLocation(timeStyle, f.scanned, time.Local); err != nil {
			return n, nil, targets, usage("write it as 2026-11-20T14:30", "--scanned %q is no time", f.scanned)
		}
	}
	n.File = filepath.Base(name)
	if n.Report, err = readScan(name, o); err != nil {
		return n, nil, targets, err
	}
	n.Until, controls = countsUntil(catalogue, n.Report)
	return n, controls, cfg.Audit.Scans, nil
}

// told says on standard error what keeps the scan from counting.
func told(s streams, made scan.Import, controls []string, targets audit.ScanTargets) {
	declared := targets.Networks
	switch made.Kind {
	case scan.Web:
		declared = targets.Web
	case scan.Code:
		declared = targets.Code
	}
	switch {
	case len(controls) == 0:
		fmt.Fprintf(s.err, "doorward: no control asks for a scan of the kind %s\n", made.Kind)
	case !made.Until.After(time.Now()):
		fmt.Fprintf(s.err, "doorward: it is too old for %s\n", strings.Join(controls, ", "))
	case !slices.ContainsFunc(declared, made.Covers):
		fmt.Fprintf(s.err, "doorward: it looked at nothing that is declared in audit.scans of the configuration, so %s cannot count it\n", strings.Join(controls, ", "))
	default:
		fmt.Fprintf(s.err, "doorward: it counts for %s until %s\n", strings.Join(controls, ", "), made.Until.Local().Format(time.DateOnly))
	}
}

// readScan reads a scanner's file.
func readScan(name string, o scan.Options) (scan.Report, error) {
	f, err := os.Open(name)
	if err != nil {
		return scan.Report{}, usage("", "%w", err)
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return scan.Report{}, usage("", "%s is not a regular file", name)
	}
	text, err := io.ReadAll(io.LimitReader(f, scan.MaxFile+1))
	if err != nil {
		return scan.Report{}, fmt.Errorf("read scan: %w", err)
	}
	r, err := scan.Read(text, o)
	if errors.Is(err, scan.ErrNoTime) {
		return scan.Report{}, usage("give it with --scanned, as 2026-11-20T14:30; the report will say that it is your word", "%s: %w", filepath.Base(name), err)
	}
	if err != nil {
		return scan.Report{}, usage("", "%s: %w", filepath.Base(name), err)
	}
	return r, nil
}

// countsUntil is when a scan is too old for the first control that asks for its kind, and all of those.
func countsUntil(catalogue *audit.Catalogue, r scan.Report) (until time.Time, controls []string) {
	days := 0
	for _, c := range catalogue.Controls(audit.Profile{}) {
		if c.Scan == nil || !slices.Contains(c.Scan.Kinds, r.Kind) {
			continue
		}
		controls = append(controls, c.ID)
		if days == 0 || c.Scan.MaxDays < days {
			days = c.Scan.MaxDays
		}
	}
	if days == 0 {
		days = scanDays
	}
	return r.Time.AddDate(0, 0, days), controls
}

func newScanList(s streams) *cobra.Command {
	c := &cobra.Command{Use: "scans", Short: "List the imported scans", Args: exactly()}
	return listCommand(c, s, "ID\tSCANNED\tCOUNTS UNTIL\tKIND\tTOOL\tTARGETS\tFINDINGS\tFILE\tBY",
		func(ctx context.Context, client *api.Client, _ []string) ([]scan.Import, error) {
			return client.Scans(ctx)
		},
		func(i scan.Import) []string {
			until := i.Until.Local().Format(time.DateOnly)
			if !i.Until.After(time.Now()) {
				until += " (past)"
			}
			targets := strings.Join(i.Targets[:min(len(i.Targets), 3)], ", ")
			if more := len(i.Targets) - 3; more > 0 {
				targets += fmt.Sprintf(" and %d more", more)
			}
			return []string{i.ID, i.Time.Local().Format(timeStyle), until, string(i.Kind), i.Tool + " " + i.Version, targets, i.Counts.String(), i.File, i.By}
		})
}

func newScanFindings(s streams) *cobra.Command {
	c := &cobra.Command{Use: "findings SCAN", Short: "List the gravest findings of an imported scan", Args: exactly("SCAN")}
	return listCommand(c, s, "FINDING\tSEVERITY\tRULE\tLOCATION\tTITLE",
		func(ctx context.Context, client *api.Client, args []string) ([]scan.Finding, error) {
			i, err := client.Scan(ctx, args[0])
			if i.Findings == nil {
				i.Findings = []scan.Finding{}
			}
			return i.Findings, err
		},
		func(f scan.Finding) []string {
			return []string{f.ID[:min(len(f.ID), shownID)], string(f.Severity), f.Rule, f.Location, f.Title}
		})
}

func newScanRemove(s streams) *cobra.Command {
	c := &cobra.Command{Use: "remove SCAN", Short: "Take an imported scan back", Args: exactly("SCAN")}
	return adminCommand(c, s, func(ctx context.Context, client *api.Client, args []string) error {
		if err := client.RemoveScan(ctx, args[0]); err != nil {
			return err
		}
		fmt.Fprintf(s.err, "removed %s\n", oneLine(args[0]))
		return nil
	})
}

// readScans asks for the imported scans with their findings: of each tool and the same targets the latest, which supersedes the others.
func readScans(ctx context.Context, client *api.Client) ([]scan.Import, error) {
	all, err := client.Scans(ctx)
	if err != nil {
		return nil, err
	}
	seen, latest := map[string]bool{}, []scan.Import{}
	for _, i := range all { // the latest come first
		key := strings.Join(append([]string{string(i.Kind), i.Tool}, i.Targets...), "\x00")
		if seen[key] || i.Time.After(time.Now().Add(scan.Skew)) {
			continue
		}
		if seen[key] = true; len(latest) == maxAsked {
			return nil, fmt.Errorf("there are more than %d different scans; remove those of what is gone with doorward attest remove", maxAsked)
		}
		if i, err = client.Scan(ctx, i.ID); err != nil {
			return nil, err
		}
		latest = append(latest, i)
	}
	return latest, nil
}

// findFinding finds the id of a finding of the latest scans that a control counts, by its beginning.
func findFinding(ctx context.Context, client *api.Client, control audit.Control, beginning string) (string, error) {
	if control.Scan == nil {
		return "", usage("", "%s counts no scans", control.ID)
	}
	if len(beginning) < leastID {
		return "", usage("doorward attest findings SCAN shows the ids", "--finding needs at least %d digits", leastID)
	}
	all, err := readScans(ctx, client)
	if err != nil {
		return "", err
	}
	found := ""
	for _, i := range all {
		for _, f := range i.Findings {
			if !slices.Contains(control.Scan.Kinds, i.Kind) || !strings.HasPrefix(f.ID, strings.ToLower(beginning)) || f.ID == found {
				continue
			}
			if found != "" {
				return "", usage("give more of its digits", "there are several findings that begin with %s", beginning)
			}
			found = f.ID
		}
	}
	if found == "" {
		return "", usage("doorward attest findings SCAN shows the ids", "no scan that %s counts has a finding %s", control.ID, beginning)
	}
	return found, nil
}

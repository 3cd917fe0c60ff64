package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/doorward/doorward/audit"
	"github.com/doorward/doorward/audit/report"
	"github.com/doorward/doorward/audit/trial"
)

func newAuditList(s streams) *cobra.Command {
	c := &cobra.Command{
		Use:     "list",
		Short:   "List the controls of a profile",
		Example: "  doorward audit list --profile deskpro",
		Args:    exactly(),
	}
	path, asJSON := configFlag(c), jsonFlag(c)
	profile := c.Flags().String("profile", "", "deskpro, faveo, idoit, mor or all; default: audit.profile of the configuration")
	c.RunE = func(*cobra.Command, []string) error {
		cfg, catalogue, err := openCatalogue(*path)
		if err != nil {
			return err
		}
		p, err := findProfile(catalogue, orElse(*profile, cfg.Audit.Profile))
		if err != nil {
			return err
		}
		listed := []controlView{}
		for _, control := range catalogue.Controls(p) {
			listed = append(listed, viewOf(control))
		}
		if *asJSON {
			return writeJSON(s.out, listed)
		}
		table := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(table, "ID\tSEVERITY\tANSWERED BY\tTITLE")
		for _, control := range listed {
			fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", control.ID, control.Severity, strings.Join(control.By, ","), control.Title)
		}
		return table.Flush()
	}
	return c
}

// controlView is a control as the command line shows it.
type controlView struct {
	ID         string   `json:"id"`
	Title      string   `json:"title"`
	Severity   string   `json:"severity"`
	By         []string `json:"by"`
	Rationale  string   `json:"rationale"`
	Expected   string   `json:"expected,omitempty"`
	When       string   `json:"when,omitempty"`
	Over       string   `json:"over,omitempty"`
	Expect     string   `json:"expect,omitempty"`
	Scan       string   `json:"scan,omitempty"`
	Question   string   `json:"question,omitempty"`
	Evidence   string   `json:"evidence,omitempty"`
	Fix        string   `json:"fix,omitempty"`
	Note       string   `json:"note,omitempty"`
	References []string `json:"references,omitempty"`
	Variants   []string `json:"variants,omitempty"`
}

func viewOf(c audit.Control) controlView {
	v := controlView{ID: c.ID, Title: c.Title, Severity: string(c.Severity), By: c.By, Rationale: c.Rationale, Expected: c.Expected, When: c.When,
		Over: c.Over, Expect: c.Expect, Fix: c.Fix, Note: c.Note, References: c.References}
	if c.Scan != nil {
		v.Scan = c.Scan.String()
	}
	if c.Attest != nil {
		v.Question, v.Evidence = c.Attest.Text, c.Attest.Evidence
	}
	for _, variant := range c.Variants {
		v.Variants = append(v.Variants, variant.Name+": "+variant.Expected)
	}
	return v
}

func newAuditExplain(s streams) *cobra.Command {
	c := &cobra.Command{
		Use:     "explain ID",
		Short:   "Say what a control asks, why, and what to do",
		Example: "  doorward audit explain I-03",
		Args:    exactly("ID"),
	}
	path, asJSON := configFlag(c), jsonFlag(c)
	c.RunE = func(_ *cobra.Command, args []string) error {
		control, err := findControl(*path, args[0])
		if err != nil {
			return err
		}
		v := viewOf(control)
		if *asJSON {
			return writeJSON(s.out, v)
		}
		fmt.Fprintf(s.out, "%s  %s\n", v.ID, v.Title)
		table := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
		for _, line := range [][2]string{{"severity", v.Severity}, {"why", v.Rationale}, {"expected", v.Expected}, {"applies when", v.When}, {"looks at", v.Over},
			{"condition", v.Expect}, {"scan", v.Scan}, {"question", v.Question}, {"evidence", v.Evidence}, {"fix", v.Fix}, {"note", v.Note},
			{"variants", strings.Join(v.Variants, "; ")}, {"answered by", strings.Join(v.By, ", ")}, {"references", strings.Join(v.References, "; ")}} {
			if line[1] != "" {
				fmt.Fprintf(table, "%s\t%s\n", line[0], oneLine(line[1]))
			}
		}
		return table.Flush()
	}
	return c
}

func newAuditHistory(s streams) *cobra.Command {
	c := &cobra.Command{
		Use:     "history",
		Short:   "List the audits of this host that are kept",
		Example: "  doorward audit history --profile all",
		Args:    exactly(),
	}
	path, asJSON := configFlag(c), jsonFlag(c)
	profile := c.Flags().String("profile", "", "only this profile's")
	c.RunE = func(*cobra.Command, []string) error {
		cfg, err := auditConfig(*path)
		if err != nil {
			return err
		}
		spool, err := report.OpenSpool(cfg.Audit.Reports)
		if err != nil {
			return err
		}
		runs, err := spool.Runs(*profile)
		if err != nil {
			return err
		}
		type row struct {
			report.Run
			Coverage report.Coverage `json:"coverage"`
			Score    int             `json:"score"`
			Worse    int             `json:"worse"`
		}
		rows := []row{}
		for _, run := range runs {
			r, err := spool.Read(run)
			if err != nil {
				fmt.Fprintf(s.err, "doorward: warning: %s\n", oneLine(err.Error()))
				continue
			}
			rows = append(rows, row{run, r.Coverage, r.Coverage.Score(), len(r.Drifted())})
		}
		if *asJSON {
			return writeJSON(s.out, rows)
		}
		table := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(table, "TIME\tPROFILE\tSCORE\tIN FORCE\tFAIL\tUNKNOWN\tWORSE")
		for _, r := range rows {
			fmt.Fprintf(table, "%s\t%s\t%d %%\t%d of %d\t%d\t%d\t%d\n", r.Time.Local().Format("2006-01-02 15:04"), r.Profile, r.Score, r.Coverage.InForce(),
				r.Coverage.Applicable(), r.Coverage.Fail, r.Coverage.Unknown, r.Worse)
		}
		return table.Flush()
	}
	return c
}

func newAuditTest(s streams) *cobra.Command {
	c := &cobra.Command{
		Use:   "test FOLDER",
		Short: "Try controls of your own on hosts made of files",
		Long: `Test reads the controls of a folder, FOLDER/*.yaml, beside Doorward's own, and tries them on the hosts that stand beside
them, FOLDER/*.txtar: an archive of a host's files that begins with the verdicts that must come out. It tells every
verdict that comes out differently. The exit code is then 1, and also when a control of the folder is never tried.`,
		Example: "  doorward audit test /etc/doorward/controls",
		Args:    exactly("FOLDER"),
	}
	c.RunE = func(c *cobra.Command, args []string) error {
		catalogue, err := loadCatalogue(args[0])
		if err != nil {
			return err
		}
		own, err := audit.Load(audit.Source{Controls: os.DirFS(args[0])})
		if err != nil {
			own = catalogue // one of the folder repeats a control of Doorward's
		}
		names, err := filepath.Glob(filepath.Join(args[0], "*.txtar"))
		if err != nil {
			return err
		}
		wrong, tried := 0, map[string]bool{}
		for _, name := range names {
			host, err := trial.Read(name)
			if err != nil {
				return usage("", "%w", err)
			}
			for id := range host.Want {
				tried[id] = true
			}
			mistakes, err := host.Run(c.Context(), catalogue, time.Now())
			if err != nil {
				return err
			}
			for _, m := range mistakes {
				fmt.Fprintf(s.out, "%s: %s\n", host.Name, oneLine(m.String()))
			}
			wrong += len(mistakes)
		}
		for _, control := range own.Controls(audit.Profile{}) {
			if own != catalogue && control.Expect != "" && !tried[control.ID] {
				fmt.Fprintf(s.out, "%s: no host tries it\n", control.ID)
				wrong++
			}
		}
		if wrong > 0 {
			return failure("", "%s", count(wrong, "mistake"))
		}
		fmt.Fprintf(s.out, "%s: ok\n", count(len(names), "host"))
		return nil
	}
	return c
}

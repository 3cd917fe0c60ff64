package main

import (
	"crypto/x509"
	"fmt"
	"net/url"
	"os"

	"github.com/spf13/cobra"

	"github.com/doorward/doorward/config"
	"github.com/doorward/doorward/gateway/doctor"
)

func newDoctor(s streams) *cobra.Command {
	c := &cobra.Command{
		Use:   "doctor",
		Short: "Look for wrong wiring: ways past Doorward, and proxies that are believed too much",
		Long: `Doctor reads the configuration file and tries, from this machine, what somebody would who wants past Doorward:
it connects to the applications' ports, and with --url to the public address as a stranger with forged headers. It signs
nobody in and changes nothing of Doorward's.

With --as it also sends the applications one request each that names that person without the shared secret, to see
whether they believe it. An application that does may note a visit, or make the account: name one that it knows.

Every check is a line: ok, problem or unknown, what was looked at and what to do. The exit code is 1 when there is a
problem.`,
		Example: "  doorward doctor\n  doorward doctor --url https://desk.example.com/ --as anna",
		Args:    exactly(),
	}
	path, asJSON := configFlag(c), jsonFlag(c)
	public := c.Flags().String("url", "", "a page that needs sign-in, as people reach it")
	as := c.Flags().String("as", "", "an account that the applications know")
	ca := c.Flags().String("ca-file", "", "PEM certificates to trust for --url; default: the system's")
	c.RunE = func(c *cobra.Command, _ []string) error {
		cfg, err := loadConfig(*path, config.Load)
		if err != nil {
			return err
		}
		opts := doctor.Options{As: *as}
		if opts.URL, err = publicURL(*public); err != nil {
			return err
		}
		if *ca != "" {
			text, err := os.ReadFile(*ca)
			if err != nil {
				return fmt.Errorf("read --ca-file: %w", err)
			}
			if opts.Roots = x509.NewCertPool(); !opts.Roots.AppendCertsFromPEM(text) {
				return usage("", "--ca-file %s holds no PEM certificate", *ca)
			}
		}
		findings := doctor.Examine(c.Context(), cfg.Gateway, opts)
		problems := doctor.Problems(findings)
		if *asJSON {
			if findings == nil {
				findings = []doctor.Finding{}
			}
			if err := writeJSON(s.out, doctorResult{findings, problems}); err != nil {
				return err
			}
		} else {
			printFindings(s, findings)
		}
		if problems > 0 {
			return failure("", "%s", count(problems, "problem"))
		}
		return nil
	}
	return c
}

// doctorResult is what doctor found.
type doctorResult struct {
	Findings []doctor.Finding `json:"findings"`
	Problems int              `json:"problems"`
}

func printFindings(s streams, findings []doctor.Finding) {
	for _, f := range findings {
		line := fmt.Sprintf("%-8s %-18s %s: %s", f.Status, f.Check, f.Subject, f.Detail)
		if f.Advice != "" {
			line += "; " + f.Advice
		}
		fmt.Fprintln(s.out, oneLine(line))
	}
}

// publicURL reads --url.
func publicURL(text string) (*url.URL, error) {
	if text == "" {
		return nil, nil
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil {
		return nil, usage("", "--url %q is not an address such as https://desk.example.com/", text)
	}
	if u.Path == "" {
		u.Path = "/"
	}
	return u, nil
}

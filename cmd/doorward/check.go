package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/doorward/doorward/config"
)

func newCheck(s streams) *cobra.Command {
	c := &cobra.Command{
		Use:   "check",
		Short: "Check the configuration file and tell everything that is wrong with it",
		Long: `Check reads the configuration file and the files it names, as the user who runs it, and prints every problem
as FILE:LINE:COLUMN: SETTING: what is wrong and what to do. It changes nothing and opens no port.

The exit code is 0 when the file can be used, warnings included, and 2 when it cannot.`,
		Example: "  doorward check --config /etc/doorward/doorward.yaml",
		Args:    exactly(),
	}
	path, asJSON := configFlag(c), jsonFlag(c)
	c.RunE = func(*cobra.Command, []string) error {
		cfg, err := loadConfig(*path, config.Load)
		var invalid *config.Errors
		if err != nil && !errors.As(err, &invalid) {
			return err
		}
		result := checkResult{File: *path, Valid: err == nil, Errors: []config.Problem{}, Warnings: []config.Problem{}}
		if invalid != nil {
			result.Errors = invalid.Problems
		} else {
			result.Warnings = append(result.Warnings, cfg.Warnings...)
		}
		if *asJSON {
			if err := writeJSON(s.out, result); err != nil {
				return err
			}
		} else {
			result.print(s)
		}
		if !result.Valid {
			return &cliError{err: fmt.Errorf("%s: %s", *path, count(len(result.Errors), "problem")), code: exitUsage}
		}
		return nil
	}
	return c
}

// checkResult is what check found.
type checkResult struct {
	File     string           `json:"file"`
	Valid    bool             `json:"valid"`
	Errors   []config.Problem `json:"errors"`
	Warnings []config.Problem `json:"warnings"`
}

func (r checkResult) print(s streams) {
	for _, p := range r.Errors {
		fmt.Fprintln(s.out, oneLine(p.String()))
	}
	for _, p := range r.Warnings {
		fmt.Fprintln(s.out, oneLine(p.String())+" (warning)")
	}
	if r.Valid {
		fmt.Fprintf(s.out, "%s: ok\n", r.File)
	}
}

// count is a number with its word in the right form.
func count(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return fmt.Sprintf("%d %ss", n, word)
}

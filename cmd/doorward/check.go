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

Below them are notes: what the security guides of the applications, or NIST, ask for and the file does otherwise, each with
the control that asks. The guides contradict each other in places, so that some note always remains; they are there to be
decided on.

The exit code is 0 when the file can be used, warnings and notes included, and 2 when it cannot.`,
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
		result := checkResult{File: *path, Valid: err == nil, Errors: []config.Problem{}, Warnings: []config.Problem{}, Notes: []config.Note{}}
		if invalid != nil {
			result.Errors = invalid.Problems
		} else {
			result.Warnings = append(result.Warnings, cfg.Warnings...)
			result.Notes = append(result.Notes, cfg.Notes...)
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
	Notes    []config.Note    `json:"notes"`
}

func (r checkResult) print(s streams) {
	for _, p := range r.Errors {
		fmt.Fprintln(s.out, oneLine(p.String()))
	}
	for _, p := range r.Warnings {
		fmt.Fprintln(s.out, oneLine(p.String())+" (warning)")
	}
	for _, n := range r.Notes {
		fmt.Fprintln(s.out, oneLine(n.String())+" (note)")
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

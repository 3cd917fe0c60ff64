package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/doorward/doorward/api"
	"github.com/doorward/doorward/config"
)

// Exit codes, the same for every command.
const (
	exitFailure = 1 // it went wrong, or findings were found
	exitUsage   = 2 // the command line or the configuration file is wrong
)

// streams are where a command reads and writes: results on out, talk on err.
type streams struct {
	in  *os.File
	out io.Writer
	err io.Writer
}

// cliError is an error with advice and an exit code.
type cliError struct {
	err  error
	hint string
	code int
}

// Error is the error without the advice.
func (e *cliError) Error() string { return e.err.Error() }

// Unwrap gives the cause.
func (e *cliError) Unwrap() error { return e.err }

// usage is a mistake in the command line.
func usage(hint, format string, args ...any) error {
	return &cliError{err: fmt.Errorf(format, args...), hint: hint, code: exitUsage}
}

// failure is an error with advice on what to do.
func failure(hint, format string, args ...any) error {
	return &cliError{err: fmt.Errorf(format, args...), hint: hint, code: exitFailure}
}

// run carries out one command line and returns its exit code.
func run(ctx context.Context, args []string, s streams) int {
	root := newRoot(s)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	return tell(s.err, err)
}

// tell writes an error as every command does and returns the exit code.
func tell(w io.Writer, err error) int {
	code, hint := exitFailure, ""
	var known *cliError
	if errors.As(err, &known) {
		code, hint = known.code, known.hint
	}
	var refused *api.Error
	if errors.As(err, &refused) {
		hint = refused.Hint
	}
	var invalid *config.Errors
	if errors.As(err, &invalid) {
		code = exitUsage
		for _, p := range invalid.Problems {
			fmt.Fprintf(w, "doorward: error: %s\n", oneLine(p.String()))
		}
	} else if message := err.Error(); message != "" {
		fmt.Fprintf(w, "doorward: error: %s\n", oneLine(message))
	}
	if hint != "" {
		fmt.Fprintf(w, "doorward: hint: %s\n", oneLine(hint))
	}
	return code
}

// oneLine keeps a message to one line and to what a terminal shows as text: names in it may come from a
// file or a database that somebody else wrote.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return ' '
		case r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0, turnsText(r):
			return '?'
		}
		return r
	}, strings.TrimSpace(s))
}

// turnsText tells whether a character turns around the direction of text or begins a line: a stranger's name could look like another.
func turnsText(r rune) bool {
	return r == 0x61c || r == 0x200e || r == 0x200f || r >= 0x2028 && r <= 0x202e || r >= 0x2066 && r <= 0x2069
}

// newRoot builds the whole command tree.
func newRoot(s streams) *cobra.Command {
	root := &cobra.Command{
		Use:   "doorward",
		Short: "Puts a self-hosted web application behind a guarded door",
		Long: `Doorward stands in front of a self-hosted business web application, such as a helpdesk. It signs people
in, lets through only what the site's rules allow, and tells the application who is there.`,
		Args:          noSubcommand,
		RunE:          needSubcommand,
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetIn(s.in)
	root.SetOut(s.out)
	root.SetErr(s.err)
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		text, _, _ := strings.Cut(err.Error(), ": strconv.") // the rest names a Go function
		return usage("see: "+c.CommandPath()+" --help", "%s: %s", c.CommandPath(), text)
	})
	root.AddCommand(
		newDemo(s), newServe(s), newEnforce(s), newInit(s), newCheck(s), newDoctor(s),
		newUser(s), newSession(s), newToken(s), newReview(s), newJournal(s), newEvent(s), newMail(s), newAudit(s), newAttest(s), newWaive(s), newAsset(s), newFix(s), newUnseal(s), newFirewall(s), newDecision(s), newFail2ban(s), newDetect(s), newWatch(s), newWAF(s),
		newVersion(s), newCompletion(s), newMan(s),
	)
	root.CompletionOptions.DisableDefaultCmd = true
	return root
}

// noSubcommand refuses a word that is none of the command's subcommands.
func noSubcommand(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	hint := "see: " + c.CommandPath() + " --help"
	c.SuggestionsMinimumDistance = 2
	if near := c.SuggestionsFor(args[0]); len(near) > 0 {
		hint = "did you mean: " + c.CommandPath() + " " + near[0]
	}
	return usage(hint, "%s has no command %q", c.CommandPath(), args[0])
}

// needSubcommand refuses a command line that stops too early.
func needSubcommand(c *cobra.Command, _ []string) error {
	var names []string
	for _, sub := range c.Commands() {
		if sub.IsAvailableCommand() {
			names = append(names, sub.Name())
		}
	}
	return usage("see: "+c.CommandPath()+" --help", "%s needs a command: %s", c.CommandPath(), strings.Join(names, ", "))
}

// group is a command that only holds others.
func group(use, short string, subs ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{Use: use, Short: short, Args: noSubcommand, RunE: needSubcommand}
	c.AddCommand(subs...)
	return c
}

// exactly wants the named arguments and no others.
func exactly(names ...string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		switch {
		case len(args) < len(names):
			return usage("see: "+c.CommandPath()+" --help", "%s needs %s", c.CommandPath(), names[len(args)])
		case len(args) > len(names):
			return usage("see: "+c.CommandPath()+" --help", "%s: %q is one word too many", c.CommandPath(), args[len(names)])
		}
		return nil
	}
}

// configFlag adds --config to a command.
func configFlag(c *cobra.Command) *string {
	path := c.Flags().StringP("config", "c", config.DefaultPath, "the configuration file")
	c.MarkFlagFilename("config", "yaml", "yml")
	return path
}

// jsonFlag adds --json to a command.
func jsonFlag(c *cobra.Command) *bool {
	return c.Flags().Bool("json", false, "write the result as JSON, for scripts")
}

// listCommand gives c its flags and has it write what read returns, as a table below header (its columns with tabs between) or as
// JSON. row gives the cells of one line.
func listCommand[T any](c *cobra.Command, s streams, header string,
	read func(ctx context.Context, client *api.Client, args []string) ([]T, error), row func(T) []string) *cobra.Command {
	asJSON := jsonFlag(c)
	return adminCommand(c, s, func(ctx context.Context, client *api.Client, args []string) error {
		all, err := read(ctx, client, args)
		if err != nil {
			return err
		}
		if *asJSON {
			return writeJSON(s.out, all)
		}
		return writeTable(s, header, all, row)
	})
}

// writeTable writes a table below header, its columns with tabs between.
func writeTable[T any](s streams, header string, all []T, row func(T) []string) error {
	t := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, header)
	for _, v := range all {
		cells := row(v)
		for i := range cells {
			cells[i] = cell(cells[i])
		}
		fmt.Fprintln(t, strings.Join(cells, "\t"))
	}
	return t.Flush()
}

// cell is a value in a table: one line, no control characters, a dash when empty.
func cell(s string) string {
	if s = oneLine(s); s == "" {
		return "-"
	}
	return s
}

// writeJSON writes one result, indented; a list is never null.
func writeJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		return fmt.Errorf("write result: %w", err)
	}
	return nil
}

// loadConfig reads the configuration file with load, with advice when it is not there.
func loadConfig(path string, load func(string) (*config.Config, error)) (*config.Config, error) {
	cfg, err := load(path)
	var invalid *config.Errors
	switch {
	case err == nil:
		return cfg, nil
	case errors.As(err, &invalid):
		return nil, &cliError{err: err, code: exitUsage}
	case errors.Is(err, os.ErrPermission):
		return nil, &cliError{err: err, code: exitUsage, hint: "run it with sudo, or as the user that doorward runs as"}
	case errors.Is(err, os.ErrNotExist):
		return nil, &cliError{err: err, code: exitUsage, hint: "doorward init writes one, and --config FILE names another"}
	}
	return nil, &cliError{err: err, code: exitUsage}
}

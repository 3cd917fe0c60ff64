package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/doorward/doorward/config"
	"github.com/doorward/doorward/gateway"
)

func newInit(s streams) *cobra.Command {
	var starter config.Starter
	var output string
	c := &cobra.Command{
		Use:   "init",
		Short: "Write a commented configuration file",
		Long: `Init writes a configuration file for one site, in which every other setting is explained and shown with its
default. It never overwrites a file.`,
		Example: `  doorward init --host helpdesk.example.org --upstream http://127.0.0.1:8080 --app request-tracker
  doorward init --host helpdesk.localhost --upstream unix:/run/app.sock --app generic --output doorward.yaml`,
		Args: exactly(),
	}
	c.Flags().StringSliceVar(&starter.Hosts, "host", nil, "the name under which people reach the site; may be repeated")
	c.Flags().StringSliceVar(&starter.Upstreams, "upstream", nil, "the application's address: http://host:port, https://host:port or unix:/path; may be repeated")
	c.Flags().StringVar(&starter.App, "app", "generic", "the application: "+strings.Join(gateway.AppNames(), ", ")+", or the path of a folder of your own")
	c.Flags().StringVar(&starter.Listen, "listen", "", "the address for HTTPS, such as :8443 (default :443, with redirects on :80)")
	c.Flags().StringVar(&starter.DataDir, "data-dir", "", "the folder for database, keys and certificates (default /var/lib/doorward)")
	c.Flags().StringVarP(&output, "output", "o", config.DefaultPath, "the file to write; - for standard output")
	c.MarkFlagFilename("output", "yaml", "yml")
	c.MarkFlagDirname("data-dir")
	c.RegisterFlagCompletionFunc("app", cobra.FixedCompletions(gateway.AppNames(), cobra.ShellCompDirectiveDefault))
	c.RunE = func(*cobra.Command, []string) error { return writeStarter(s, starter, output) }
	return c
}

func writeStarter(s streams, starter config.Starter, output string) error {
	if len(starter.Hosts) == 0 {
		return usage("doorward init --host helpdesk.example.org --upstream http://127.0.0.1:8080 --app request-tracker", "--host is missing")
	}
	if len(starter.Upstreams) == 0 {
		return usage("doorward init --host helpdesk.example.org --upstream http://127.0.0.1:8080 --app request-tracker", "--upstream is missing")
	}
	text, err := starter.Render(output)
	var invalid *config.Errors
	if errors.As(err, &invalid) {
		var lines []error
		for _, p := range invalid.Problems {
			lines = append(lines, errors.New(flagFor(p.Path)+": "+p.Message))
		}
		for _, line := range lines[:len(lines)-1] {
			tell(s.err, line)
		}
		return &cliError{err: lines[len(lines)-1], code: exitUsage}
	}
	if err != nil {
		return err
	}
	if output == "-" {
		_, err := s.out.Write(text)
		return err
	}
	if err := os.MkdirAll(filepath.Dir(output), 0o755); err != nil {
		return failure("name another place with --output", "make the folder: %w", err)
	}
	// O_EXCL is the promise never to overwrite, links that lead elsewhere included.
	f, err := os.OpenFile(output, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return failure("edit it, or name another with --output", "%s exists already and is left as it is", output)
	}
	if err != nil {
		return failure("name another place with --output", "write configuration: %w", err)
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Close()); err != nil {
		return failure("", "write configuration: %w", err)
	}
	fmt.Fprintln(s.err, "wrote "+output)
	fmt.Fprintln(s.err, "next: doorward check --config "+output)
	return nil
}

// flagFor names the flag that a setting of the written file came from.
func flagFor(path string) string {
	for _, known := range []struct{ prefix, flag string }{
		{"sites[0].hosts", "--host"}, {"sites[0].upstreams", "--upstream"}, {"sites[0].app", "--app"},
		{"sites[0].tls", "--host"}, {"listen", "--listen"}, {"data_dir", "--data-dir"},
	} {
		if strings.HasPrefix(path, known.prefix) {
			return known.flag
		}
	}
	return path
}

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/doorward/doorward/demo"
)

func newDemo(s streams) *cobra.Command {
	c := &cobra.Command{
		Use:   "demo",
		Short: "Run everything on this machine, to look at it",
		Long: `Demo runs the gateway in front of a small bundled helpdesk, the console, and one account for each role. It needs
no root and no network, listens on this machine only, and ends with ctrl-C. Nothing stays behind, unless --dir
names a folder to keep.

With --json it prints one line once it is ready: an object with gateway, console, data and users.`,
		Example: "  doorward demo\n  doorward demo --listen 127.0.0.1:9443 --console 127.0.0.1:9444 --dir ./demo-data",
		Args:    exactly(),
	}
	var options demo.Options
	c.Flags().StringVar(&options.Listen, "listen", "127.0.0.1:8443", "where the helpdesk is served; port 0 lets the system choose")
	c.Flags().StringVar(&options.Console, "console", "127.0.0.1:8444", "where the console is served")
	c.Flags().StringVar(&options.Dir, "dir", "", "folder to keep the data in; empty, new, or an earlier demo's")
	c.MarkFlagDirname("dir")
	asJSON := c.Flags().Bool("json", false, "print one line of JSON when ready, for scripts")
	c.RunE = func(c *cobra.Command, _ []string) error {
		// A closed terminal ends the demo too: it has no file to read again, and a folder to delete.
		ctx, stop := signal.NotifyContext(c.Context(), syscall.SIGHUP)
		defer stop()
		ctx, stopWatching := endWithGoRun(ctx)
		defer stopWatching()
		unix.Umask(0o077) // keys and the database are nobody else's business
		options.Version, _ = buildVersion()
		return runDemo(ctx, s, options, *asJSON)
	}
	return c
}

func runDemo(ctx context.Context, s streams, options demo.Options, asJSON bool) error {
	kept := ""
	err := demo.Run(ctx, options, func(info demo.Info) error {
		if info.Keep {
			kept = info.Data
		}
		if asJSON {
			if err := json.NewEncoder(s.out).Encode(info); err != nil {
				return fmt.Errorf("write result: %w", err)
			}
			return nil
		}
		return printDemo(s.out, info)
	})
	var refused *demo.Refusal
	switch {
	case errors.As(err, &refused) && refused.Usage:
		return usage(refused.Hint, "%w", err)
	case errors.As(err, &refused):
		return failure(refused.Hint, "%w", err)
	case err != nil:
		return err
	case kept != "":
		fmt.Fprintf(s.err, "doorward: the demo has ended; its data stays in %s\n", oneLine(kept))
	default:
		fmt.Fprintln(s.err, "doorward: the demo has ended; nothing of it is left")
	}
	return nil
}

// printDemo tells a person where things are and what to try.
func printDemo(out io.Writer, info demo.Info) error {
	var b strings.Builder
	fmt.Fprintf(&b, "\nThe demo is ready: a helpdesk behind Doorward, on this machine only.\n\n")
	fmt.Fprintf(&b, "  Helpdesk   %s\n  Console    %s   (for the owner and the admin)\n\n", info.Gateway, info.Console)
	table := tabwriter.NewWriter(&b, 0, 0, 3, ' ', 0)
	fmt.Fprintf(table, "  Account\tPassword\tRole\n")
	for _, u := range info.Users {
		fmt.Fprintf(table, "  %s\t%s\t%s\n", u.Name, u.Password, u.Role)
	}
	if err := table.Flush(); err != nil {
		return fmt.Errorf("write accounts: %w", err)
	}
	fmt.Fprintf(&b, `
The passwords are shown only here. The browser will warn about the certificate, because Doorward made its own
authority for this demo; to have it trusted instead, use its root file:
  %s
  curl --cacert %s -i %s/

Worth a try:
  - Sign in as demo-agent, open a ticket, then go to /admin/ (owner and admin only) and /data/ (nobody).
  - Give a wrong password three times, then the right one: it has to wait.
  - Open /events, sign out in a second tab, and see the stream end.
  - Sign in to the console as demo-owner: every request is there, the refused ones with their reason.
  - %s journal verify --config %s

`, info.Root, shellWord(info.Root), info.Gateway, ownCommand(), shellWord(info.Config))
	fmt.Fprintf(&b, "Log: %s\n", info.Log)
	for _, note := range info.Notes {
		fmt.Fprintf(&b, "Note: %s.\n", note)
	}
	if info.Keep {
		fmt.Fprintf(&b, "Stop it with ctrl-C; the folder %s stays.\n", info.Data)
	} else {
		fmt.Fprintf(&b, "Stop it with ctrl-C; the folder %s is deleted then.\n", info.Data)
	}
	if _, err := io.WriteString(out, b.String()); err != nil {
		return fmt.Errorf("write the demo's addresses: %w", err)
	}
	return nil
}

// ownCommand is how a shell runs this program: the demo is for people who have not installed it, and go run leaves it where no
// shell looks.
func ownCommand() string {
	self, err := os.Executable()
	if err != nil {
		return "doorward"
	}
	if found, err := exec.LookPath("doorward"); err == nil {
		if found, err = filepath.EvalSymlinks(found); err == nil && found == self {
			return "doorward"
		}
	}
	return shellWord(self)
}

// shellWord quotes a path that a shell would take apart.
func shellWord(path string) string {
	if strings.ContainsAny(path, " \t'\"$\\`!*?[]{}()<>|&;#~") {
		return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
	}
	return path
}

// endWithGoRun also ends ctx when "go run", which started this process, is gone: go run passes ctrl-C on but
// not SIGTERM, and a forgotten demo would keep its ports.
func endWithGoRun(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	path, err := os.Executable()
	if err != nil || !strings.Contains(path, string(filepath.Separator)+"go-build") {
		return ctx, cancel
	}
	parent := os.Getppid()
	go func() {
		ticker := time.NewTicker(200 * time.Millisecond)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
				if os.Getppid() != parent {
					cancel()
					return
				}
			}
		}
	}()
	return ctx, cancel
}

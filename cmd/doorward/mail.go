package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/doorward/doorward/api"
	"github.com/doorward/doorward/config"
	"github.com/doorward/doorward/mail"
)

func newMail(s streams) *cobra.Command {
	return group("mail", "Try the mail server and show what waits", newMailTest(s), newMailQueue(s))
}

func newMailTest(s streams) *cobra.Command {
	c := &cobra.Command{
		Use:   "test --to ADDRESS",
		Short: "Send a test message now and tell what went wrong",
		Long: `Test sends one message by the mail section of the configuration file, at one try, and without a running doorward.
It says which step failed: resolve, connect, greeting, tls, auth, sender, recipient or content. It runs as whoever types
it, who must be able to read mail.password_file; to try as the daemon does, run it as the daemon's user.

That the server took the message does not say that it reached its recipient: look into the mailbox.`,
		Example: "  doorward mail test --to maria@example.org",
		Args:    exactly(),
	}
	path, asJSON := configFlag(c), jsonFlag(c)
	to := c.Flags().String("to", "", "the address that the message goes to")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if *to == "" {
			return usage("for instance: --to maria@example.org", "%s needs --to ADDRESS", c.CommandPath())
		}
		cfg, err := loadConfig(*path, config.LoadMail)
		if err != nil {
			return err
		}
		return tryMail(c.Context(), s, cfg, *to, *asJSON)
	}
	return c
}

// mailTried is the result of mail test.
type mailTried struct {
	To     string `json:"to"`
	Server string `json:"server"` // host:port
	TLS    string `json:"tls"`
	Sent   bool   `json:"sent"`
	Step   string `json:"step,omitempty"` // that failed
	Error  string `json:"error,omitempty"`
	Advice string `json:"advice,omitempty"`
}

func tryMail(ctx context.Context, s streams, cfg *config.Config, to string, asJSON bool) error {
	result := mailTried{To: to, Server: net.JoinHostPort(cfg.Mail.Host, strconv.Itoa(cfg.Mail.Port)), TLS: cfg.Mail.Encryption}
	err := mail.Send(ctx, cfg.Mail, mail.Message{
		To:      to,
		Subject: "Doorward test message",
		Text:    "This is the message of \"doorward mail test\". If you can read it, Doorward can send mail.\n",
		HTML:    "<p>This is the message of <code>doorward mail test</code>. If you can read it, Doorward can send mail.</p>\n",
		Kind:    "test", Expires: time.Now().Add(time.Hour), Language: "en",
	})
	var failed *mail.Error
	switch {
	case err == nil:
		result.Sent = true
	case errors.Is(err, mail.ErrOff):
		return &cliError{err: err, code: exitUsage, hint: "set mail.host and mail.from in " + cfg.File}
	case errors.As(err, &failed):
		result.Step, result.Error, result.Advice = string(failed.Step), failed.Error(), failed.Advice
	default: // the address
		return usage("give one bare address, as in --to maria@example.org", "%w", err)
	}
	if asJSON {
		if err := writeJSON(s.out, result); err != nil {
			return err
		}
	} else if result.Sent {
		fmt.Fprintln(s.out, oneLine(fmt.Sprintf("%s took the message to %s (tls: %s)", result.Server, to, result.TLS)))
	}
	if !result.Sent {
		return failure(result.Advice, "nothing was sent: %s", result.Error)
	}
	return nil
}

func newMailQueue(s streams) *cobra.Command {
	c := &cobra.Command{
		Use:   "queue",
		Short: "List the messages that wait, and those that were given up in the last 30 days",
		Long: `Queue lists, newest first, the messages that wait for the mail server to take them, that it refused (failed), and
that were not taken while they were of use (expired), each with the error of its last try. Delivered messages are not
listed, and no message's content is shown.`,
		Args: exactly(),
	}
	limit := c.Flags().Int("limit", 100, "how many to list at most, up to 1000")
	return listCommand(c, s, "ADDED\tSTATE\tKIND\tTO\tTRIES\tNEXT TRY\tEXPIRES\tERROR",
		func(ctx context.Context, client *api.Client, _ []string) ([]api.Mail, error) {
			if *limit < 1 || *limit > 1000 {
				return nil, usage("", "--limit is not between 1 and 1000")
			}
			return client.MailQueue(ctx, *limit)
		},
		func(m api.Mail) []string {
			return []string{stamp(m.Created), m.State, m.Kind, m.To, strconv.Itoa(m.Tries), stamp(m.Next), stamp(m.Expires), m.Detail}
		})
}

package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/doorward/doorward/api"
	"github.com/doorward/doorward/audit"
	"github.com/doorward/doorward/audit/register"
)

func newAttest(s streams) *cobra.Command {
	c := newStatement(s, register.Attestation, &cobra.Command{
		Use:   "attest ID",
		Short: "Answer a control's question, with evidence, until a day",
		Long: `Attest writes down what only a person can say of a control: who stands for it, what is so, and the hash of the file that shows
it. The file stays where it is; keep it. The audit then reports the control as attested until the day, and as failing after it.
An answer never hides a check that fails: that is what a waiver is for.`,
		Example: `  doorward attest F-01 --owner 'Anna Weber' --text 'Tier III certificate of the provider' --evidence tier3.pdf
  doorward attest import report.json
  doorward attest list
  doorward attest end 01932d5e-…`,
	})
	c.AddCommand(newStatementList(s, register.Attestation), newStatementEnd(s, register.Attestation), newScanImport(s), newScanList(s), newScanFindings(s), newScanRemove(s))
	return c
}

func newWaive(s streams) *cobra.Command {
	c := newStatement(s, register.Waiver, &cobra.Command{
		Use:   "waive ID",
		Short: "Accept that a control is not in force, with a reason, until a day",
		Long: `Waive accepts that a control fails or is unknown on this installation, until a day. The report shows it as waived, with the reason,
and never as in force; after the day it fails again. A defect of Doorward's own cannot be waived.`,
		Example: `  doorward waive I-03 --owner 'Ben Roth' --text 'the old backup job signs in as root until it moves' --until 2027-01-31
  doorward waive F-36 --finding 3fa94c01d2ee --text 'the page shows no user input' --until 2027-01-31
  doorward waive list`,
	})
	c.AddCommand(newStatementList(s, register.Waiver), newStatementEnd(s, register.Waiver))
	return c
}

// waiverDays is how long a waiver holds when no day is given.
const waiverDays = 92

func newStatement(s streams, kind register.Kind, c *cobra.Command) *cobra.Command {
	c.Args = exactly("ID")
	asJSON := jsonFlag(c)
	owner := c.Flags().String("owner", "", "who stands for it; default: the user who types the command")
	text := c.Flags().String("text", "", "what is so, and why")
	until := c.Flags().String("until", "", "the day after which it does not hold any more, as 2027-01-31")
	evidence, finding := new(string), new(string)
	if kind == register.Attestation {
		evidence = c.Flags().String("evidence", "", "a file that shows it; its name, size and SHA-256 are kept")
		c.MarkFlagFilename("evidence")
	} else {
		finding = c.Flags().String("finding", "", "accept only this finding of an imported scan, by its id or the beginning of it")
	}
	return adminCommand(c, s, func(ctx context.Context, client *api.Client, args []string) error {
		path, err := c.Flags().GetString("config")
		if err != nil {
			return err
		}
		control, err := findControl(path, args[0])
		if err != nil {
			return err
		}
		if *text == "" {
			return usage("for instance: --text 'the certificate of 2026'", "%s needs --text", c.CommandPath())
		}
		if kind == register.Attestation && control.Attest == nil {
			return usage("doorward audit explain "+control.ID+" says how it is answered; doorward waive accepts that it is not in force",
				"%s has no question that a person could answer", control.ID)
		}
		in := api.NewStatement{Kind: string(kind), Control: control.ID, Owner: *owner, Text: *text}
		if in.Owner == "" {
			in.Owner = userName()
		}
		if in.Until, err = endDay(*until, time.Now(), control, kind); err != nil {
			return err
		}
		if *finding != "" {
			if in.Finding, err = findFinding(ctx, client, control, *finding); err != nil {
				return err
			}
		}
		if *evidence != "" {
			if in.Evidence, err = hashFile(*evidence); err != nil {
				return fmt.Errorf("read evidence: %w", err)
			}
		}
		made, err := client.AddStatement(ctx, in)
		if err != nil {
			return err
		}
		if *asJSON {
			return writeJSON(s.out, made)
		}
		fmt.Fprintf(s.out, "%s: %s until %s\n", made.Control, past(kind), made.Until.Local().Format(time.DateOnly))
		return nil
	})
}

func past(kind register.Kind) string {
	if kind == register.Waiver {
		return "waived"
	}
	return "attested"
}

// findControl finds a control by its id, among Doorward's and those of the configuration's folder.
func findControl(path, id string) (audit.Control, error) {
	_, catalogue, err := openCatalogue(path)
	if err != nil {
		return audit.Control{}, err
	}
	all := catalogue.Controls(audit.Profile{})
	i := slices.IndexFunc(all, func(c audit.Control) bool { return strings.EqualFold(c.ID, id) })
	if i < 0 {
		return audit.Control{}, usage("see: doorward audit list", "there is no control %q", id)
	}
	return all[i], nil
}

// endDay reads --until: the end of that day here. Without it, the control's own time of review, or the usual one of a waiver.
func endDay(text string, now time.Time, control audit.Control, kind register.Kind) (time.Time, error) {
	days := waiverDays
	if kind == register.Attestation {
		days = control.Attest.ReviewDays
	}
	day := now.AddDate(0, 0, days)
	if text != "" {
		var err error
		if day, err = time.ParseInLocation(time.DateOnly, text, time.Local); err != nil {
			return time.Time{}, usage("write the day as 2027-01-31", "--until %q is no day", text)
		}
	}
	return time.Date(day.Year(), day.Month(), day.Day(), 23, 59, 59, 0, time.Local), nil
}

func userName() string {
	if u, err := user.Current(); err == nil {
		return orElse(u.Name, u.Username)
	}
	return ""
}

// hashFile tells name, size and SHA-256 of a file.
func hashFile(name string) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	hash := sha256.New()
	n, err := io.Copy(hash, f)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%s, %d bytes, sha256:%s", filepath.Base(name), n, hex.EncodeToString(hash.Sum(nil))), nil
}

func newStatementList(s streams, kind register.Kind) *cobra.Command {
	c := &cobra.Command{Use: "list", Short: "List what is " + past(kind), Args: exactly()}
	return listCommand(c, s, "ID\tCONTROL\tUNTIL\tOWNER\tTEXT\tEVIDENCE",
		func(ctx context.Context, client *api.Client, _ []string) ([]register.Statement, error) {
			all, err := client.Statements(ctx)
			return slices.DeleteFunc(all, func(s register.Statement) bool { return s.Kind != kind }), err
		},
		func(s register.Statement) []string {
			until := s.Until.Local().Format(time.DateOnly)
			if !s.Until.After(time.Now()) {
				until += " (past)"
			}
			control := s.Control
			if s.Finding != "" {
				control += " finding " + s.Finding[:min(len(s.Finding), shownID)]
			}
			return []string{s.ID, control, until, s.Owner, s.Text, s.Evidence}
		})
}

func newStatementEnd(s streams, kind register.Kind) *cobra.Command {
	c := &cobra.Command{Use: "end ID", Short: "Take back what is " + past(kind), Args: exactly("ID")}
	return adminCommand(c, s, func(ctx context.Context, client *api.Client, args []string) error {
		if err := client.EndStatement(ctx, args[0]); err != nil {
			return err
		}
		fmt.Fprintf(s.err, "ended %s\n", oneLine(args[0]))
		return nil
	})
}

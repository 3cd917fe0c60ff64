package main

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/doorward/doorward/api"
	"github.com/doorward/doorward/auth"
)

func newReview(s streams) *cobra.Command {
	return group("review", "Review who holds what, and sign it off",
		newReviewReport(s), newReviewSign(s), newReviewStatus(s), newReviewList(s), newReviewShow(s))
}

func newReviewReport(s streams) *cobra.Command {
	c := &cobra.Command{
		Use:   "report",
		Short: "Show who holds what, what changed since the last review, and what to ask about",
		Long: `Report lists the accounts of staff, with privileges over Doorward, with API tokens, or with roles that the configuration
has no more; all others are only counted. Each finding names the control that asks about it. When all questions are answered,
sign the review: doorward review sign.`,
		Args: exactly(),
	}
	asJSON := jsonFlag(c)
	return adminCommand(c, s, func(ctx context.Context, client *api.Client, _ []string) error {
		r, err := client.AccessReport(ctx)
		if err != nil {
			return err
		}
		if *asJSON {
			return writeJSON(s.out, r)
		}
		fmt.Fprintf(s.out, "access on %s; last review signed: %s; next due: %s%s\n", stamp(r.At), neverOr(r.Last), stamp(r.Due), overdue(r.Overdue))
		if err := writeSnapshot(s.out, auth.Snapshot{Roles: r.Roles, Accounts: r.Accounts, Others: r.Others}); err != nil {
			return err
		}
		if !r.Last.IsZero() {
			writeLines(s.out, "Changes since the last review", r.Changes)
		}
		var findings []string
		for _, f := range r.Findings {
			who := ""
			if f.Account != "" {
				who = f.Account + ": "
			}
			findings = append(findings, who+f.Problem+" ("+f.Control+")")
		}
		writeLines(s.out, "Findings", findings)
		return nil
	})
}

func overdue(is bool) string {
	if is {
		return " (overdue)"
	}
	return ""
}

func writeLines(w io.Writer, title string, lines []string) {
	fmt.Fprintf(w, "\n%s: %d\n", title, len(lines))
	for _, line := range lines {
		fmt.Fprintln(w, "  "+oneLine(line))
	}
}

// writeSnapshot writes roles and accounts as tables.
func writeSnapshot(w io.Writer, snapshot auth.Snapshot) error {
	fmt.Fprintln(w, "\nRoles")
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "  ROLE\tACCOUNTS\tSTAFF\tFACTOR\tPRIVILEGES")
	for _, r := range snapshot.Roles {
		fmt.Fprintf(t, "  %s\t%d\t%s\t%s\t%s\n", cell(string(r.Name)), r.Accounts, yesNo(r.Staff), cell(r.Factor), cell(commas(r.Privileges)))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(w, "\nAccounts")
	t = tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "  NAME\tROLES\tSTATE\tFACTORS\tLAST SIGN-IN\tAPI TOKENS\tORIGIN")
	for _, p := range snapshot.Accounts {
		roles := commas(p.Roles)
		if len(p.Unknown) > 0 {
			roles = strings.TrimPrefix(roles+","+commas(p.Unknown)+" (unknown)", ",")
		}
		fmt.Fprintf(t, "  %s\t%s\t%s\t%s\t%s\t%s\t%s\n", cell(p.Name), cell(roles), stateOf(p.Disabled), factorWords(p), neverOr(p.LastSignIn),
			cell(snapshotTokens(p.Tokens)), cell(p.Origin))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	o := snapshot.Others
	_, err := fmt.Fprintf(w, "\nNot listed: %s without privileges, %d of them disabled, %d never used\n", count(o.Accounts, "account"), o.Disabled, o.NeverUsed)
	return err
}

// names are roles, privileges and the like as texts.
func names[T ~string](list []T) []string {
	texts := make([]string, len(list))
	for i, v := range list {
		texts[i] = string(v)
	}
	return texts
}

func commas[T ~string](list []T) string { return strings.Join(names(list), ",") }

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func neverOr(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return stamp(t)
}

func factorWords(p auth.SnapshotAccount) string {
	var words []string
	if p.TOTP {
		words = append(words, "app")
	}
	if p.Passkeys > 0 {
		words = append(words, count(p.Passkeys, "passkey"))
	}
	if len(words) == 0 {
		return "none"
	}
	return strings.Join(words, ", ")
}

func snapshotTokens(list []auth.SnapshotToken) string {
	var words []string
	for _, t := range list {
		words = append(words, t.Name+" ("+commas(t.Privileges)+")")
	}
	return strings.Join(words, ", ")
}

func newReviewSign(s streams) *cobra.Command {
	c := &cobra.Command{
		Use:   "sign --note TEXT",
		Short: "Sign the access review off and set the date of the next one",
		Long: `Sign keeps who holds what now, with your name and note, in the journal too. The next review is due after review.every
of the configuration file. Read doorward review report first.`,
		Example: `  doorward review sign --note "every account asked about; joe's admin role taken away"`,
		Args:    exactly(),
	}
	note := c.Flags().String("note", "", "what was looked at and decided")
	asJSON := jsonFlag(c)
	return adminCommand(c, s, func(ctx context.Context, client *api.Client, _ []string) error {
		if strings.TrimSpace(*note) == "" {
			return usage("doorward review sign --note \"every account asked about\"", "--note is missing")
		}
		signed, err := client.SignReview(ctx, *note)
		if err != nil {
			return err
		}
		if *asJSON {
			return writeJSON(s.out, signed)
		}
		fmt.Fprintln(s.err, "signed with "+count(signed.Findings, "finding")+"; the next review is due "+stamp(signed.Due))
		return nil
	})
}

func newReviewStatus(s streams) *cobra.Command {
	c := &cobra.Command{
		Use:   "status",
		Short: "Tell when the next access review is due",
		Long: `Status tells when the last review was signed and when the next one is due. The exit code is 1 when it is overdue. Where none
was ever signed, it is due review.every after the first account was made.`,
		Args: exactly(),
	}
	asJSON := jsonFlag(c)
	return adminCommand(c, s, func(ctx context.Context, client *api.Client, _ []string) error {
		status, err := client.ReviewStatus(ctx)
		if err != nil {
			return err
		}
		if *asJSON {
			if err := writeJSON(s.out, status); err != nil {
				return err
			}
		} else {
			fmt.Fprintf(s.out, "last signed: %s\nnext due:    %s%s\n", neverOr(status.Last), stamp(status.Due), overdue(status.Overdue))
		}
		if status.Overdue {
			return failure("read doorward review report, then doorward review sign", "the access review is due since %s", stamp(status.Due))
		}
		return nil
	})
}

func newReviewList(s streams) *cobra.Command {
	c := &cobra.Command{Use: "list", Short: "List the signed access reviews, the newest first", Args: exactly()}
	return listCommand(c, s, "ID\tSIGNED\tREVIEWER\tORIGIN\tFINDINGS\tDUE\tNOTE",
		func(ctx context.Context, client *api.Client, _ []string) ([]api.Review, error) {
			return client.Reviews(ctx)
		},
		func(r api.Review) []string {
			return []string{r.ID, stamp(r.Signed), r.Reviewer, r.Origin, strconv.Itoa(r.Findings), stamp(r.Due), r.Note}
		})
}

func newReviewShow(s streams) *cobra.Command {
	c := &cobra.Command{Use: "show ID", Short: "Show a signed access review with who held what then", Args: exactly("ID")}
	asJSON := jsonFlag(c)
	return adminCommand(c, s, func(ctx context.Context, client *api.Client, args []string) error {
		r, err := client.Review(ctx, args[0])
		if err != nil {
			return err
		}
		if *asJSON {
			return writeJSON(s.out, r)
		}
		fmt.Fprintf(s.out, "signed %s by %s from %s, with %s: %s\n", stamp(r.Signed), cell(r.Reviewer), cell(r.Origin), count(r.Findings, "finding"), oneLine(r.Note))
		if r.Snapshot == nil {
			return nil
		}
		return writeSnapshot(s.out, *r.Snapshot)
	})
}

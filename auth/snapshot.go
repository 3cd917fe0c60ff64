package auth

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/doorward/doorward/store"
)

// Snapshot is who holds what at one moment. It lists the accounts that a review is about: of staff, with privileges over
// Doorward, with API tokens, or with roles that do not exist. All others are only counted: a helpdesk has thousands of customers.
type Snapshot struct {
	Roles    []SnapshotRole    `json:"roles"`
	Accounts []SnapshotAccount `json:"accounts"`
	Others   SnapshotOthers    `json:"others"`
}

// SnapshotRole is a role as it was.
type SnapshotRole struct {
	Name       Role        `json:"name"`
	Privileges []Privilege `json:"privileges"`
	Staff      bool        `json:"staff"`
	Factor     string      `json:"factor"` // what it demands: none, any or passkey
	Accounts   int         `json:"accounts"`
}

// SnapshotAccount is an account as it was.
type SnapshotAccount struct {
	Name       string          `json:"name"`
	Roles      []Role          `json:"roles"`
	Unknown    []Role          `json:"unknown_roles,omitempty"`
	Privileges []Privilege     `json:"privileges"`
	Origin     string          `json:"origin"`
	Disabled   bool            `json:"disabled"`
	TOTP       bool            `json:"totp"`
	Passkeys   int             `json:"passkeys"`
	Created    time.Time       `json:"created"`
	LastSignIn time.Time       `json:"last_sign_in,omitzero"` // zero: never
	Tokens     []SnapshotToken `json:"tokens,omitempty"`
}

// SnapshotToken is an API token as it was.
type SnapshotToken struct {
	ID         string      `json:"id"`
	Name       string      `json:"name"`
	Privileges []Privilege `json:"privileges"`
	Created    time.Time   `json:"created"`
	Expires    time.Time   `json:"expires"`
	LastUsed   time.Time   `json:"last_used,omitzero"`
}

// SnapshotOthers counts the accounts that the snapshot does not list.
type SnapshotOthers struct {
	Accounts  int `json:"accounts"`
	Disabled  int `json:"disabled"`
	NeverUsed int `json:"never_used"`
}

// takeSnapshot reads who holds what.
func (a *Auth) takeSnapshot(ctx context.Context, cfg *settings) (*Snapshot, error) {
	all, err := a.Principals(ctx)
	if err != nil {
		return nil, err
	}
	counts, err := a.factorCounts(ctx)
	if err != nil {
		return nil, err
	}
	// Without a limit: expired tokens are listed too, and must not push out one that still opens something.
	tokens, err := a.listTokens(ctx, sqlAllAPITokens)
	if err != nil {
		return nil, err
	}
	byAccount := make(map[string][]SnapshotToken)
	for _, t := range tokens {
		byAccount[t.Account] = append(byAccount[t.Account], SnapshotToken{t.ID, t.Name, t.Privileges, t.Created, t.Expires, t.LastUsed})
	}
	s := &Snapshot{Accounts: []SnapshotAccount{}}
	perRole := make(map[Role]int)
	for _, p := range all {
		for _, role := range p.Roles {
			perRole[role]++
		}
		n, held := counts[p.ID], byAccount[p.Name]
		known := cfg.known(p.Roles)
		if len(known) == len(p.Roles) && len(held) == 0 && len(cfg.powers(p.Roles)) == 0 && !cfg.isStaff(p.Roles) {
			s.Others.add(p, n)
			continue
		}
		s.Accounts = append(s.Accounts, SnapshotAccount{Name: p.Name, Roles: nonNil(known), Privileges: nonNil(cfg.privileges(p.Roles)),
			Unknown: cfg.unknown(p.Roles), Origin: p.Origin, Disabled: p.Disabled, TOTP: n.totp, Passkeys: n.passkeys, Created: p.Created, LastSignIn: n.last, Tokens: held})
	}
	for _, name := range cfg.order {
		s.Roles = append(s.Roles, SnapshotRole{Name: name, Privileges: cfg.privileges([]Role{name}), Staff: cfg.roles[name].staff,
			Factor: factorName(cfg.roles[name].factor), Accounts: perRole[name]})
	}
	return s, nil
}

func (o *SnapshotOthers) add(p Principal, n factorCount) {
	o.Accounts++
	if p.Disabled {
		o.Disabled++
	}
	if n.last.IsZero() {
		o.NeverUsed++
	}
}

func nonNil[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// factorName is factorLevel the other way round.
func factorName(l Level) string {
	switch l {
	case FactorLevel:
		return "any"
	case PasskeyLevel:
		return "passkey"
	}
	return "none"
}

// factorCount is what a review wants to know of an account beside its roles.
type factorCount struct {
	totp     bool
	passkeys int
	last     time.Time // sign-in
}

func (a *Auth) factorCounts(ctx context.Context) (map[string]factorCount, error) {
	rows, err := a.db.QueryContext(ctx, sqlFactorCounts)
	if err != nil {
		return nil, fmt.Errorf("count factors: %w", err)
	}
	defer rows.Close()
	counts := make(map[string]factorCount)
	for rows.Next() {
		var id string
		var last int64
		var totp, passkeys int
		if err := rows.Scan(&id, &last, &totp, &passkeys); err != nil {
			return nil, fmt.Errorf("count factors: %w", err)
		}
		counts[id] = factorCount{totp > 0, passkeys, store.FromMicros(last)}
	}
	return counts, rows.Err()
}

// Report is what a reviewer reads before signing.
type Report struct {
	At       time.Time
	Last     time.Time // the last signed review; zero: none
	Due      time.Time // when a review is due; zero: there are no accounts
	Snapshot Snapshot
	Findings []Finding
	// Changes are sentences about what differs from the last signed review; none without one.
	Changes []string
}

// Finding is something that a reviewer should ask about.
type Finding struct {
	// Control is the guides' control (D-01), or choice for what no guide prescribes.
	Control string
	Account string // empty: the installation as a whole
	Problem string
}

// findings names what stands out, in the order of the accounts.
func (s *Snapshot) findings(cfg *settings, now time.Time) []Finding {
	var list []Finding
	add := func(control, account, format string, args ...any) {
		list = append(list, Finding{control, account, fmt.Sprintf(format, args...)})
	}
	owners, admins := 0, 0
	for _, p := range s.Accounts {
		if len(p.Unknown) > 0 {
			add("F-42", p.Name, "has roles that the configuration has no more and that give no right: %s", join(p.Unknown, ", "))
		}
		if p.Disabled {
			continue
		}
		if slices.Contains(p.Roles, Owner) {
			owners++
		}
		if slices.Contains(p.Privileges, ManageAccounts) {
			admins++
		}
		p.judgeFactor(cfg, add)
		p.judgeUse(cfg.Review.StaleAfter, now, add)
	}
	if admins > cfg.Review.MaxAdmins {
		add("D-01", "", "%d accounts may manage accounts, more than the %d of review.max_admins", admins, cfg.Review.MaxAdmins)
	}
	if owners == 1 {
		add("choice", "", "there is one enabled owner: when that person is away, nobody can give roles but root on this machine")
	}
	return list
}

// judgeFactor asks for second factors of those who administer, and of everybody whose roles demand one.
func (p SnapshotAccount) judgeFactor(cfg *settings, add func(control, account, format string, args ...any)) {
	best := bestLevel(p.TOTP, p.Passkeys)
	if demanded := cfg.factor(p.Roles); best < demanded {
		add("F-41", p.Name, "has not set up the factor that its roles demand (%s): whoever knows the password can", factorName(demanded))
	} else if best == PasswordLevel && slices.ContainsFunc(p.Privileges, func(v Privilege) bool { return v != UseSites }) {
		add("F-26", p.Name, "has privileges and no second factor")
	}
}

// judgeUse asks about accounts and tokens that nobody seems to need.
func (p SnapshotAccount) judgeUse(stale time.Duration, now time.Time, add func(control, account, format string, args ...any)) {
	day := func(t time.Time) string { return t.UTC().Format(time.DateOnly) }
	switch {
	case p.LastSignIn.IsZero() && now.Sub(p.Created) > stale:
		add("F-24", p.Name, "has never signed in since it was made on %s", day(p.Created))
	case !p.LastSignIn.IsZero() && now.Sub(p.LastSignIn) > stale:
		add("F-24", p.Name, "has not signed in since %s", day(p.LastSignIn))
	}
	for _, t := range p.Tokens {
		switch {
		case !now.Before(t.Expires):
			// It opens nothing any more.
		case t.LastUsed.IsZero() && now.Sub(t.Created) > stale:
			add("F-24", p.Name, "has the API token %q, never used since %s", t.Name, day(t.Created))
		case !t.LastUsed.IsZero() && now.Sub(t.LastUsed) > stale:
			add("F-24", p.Name, "has the API token %q, not used since %s", t.Name, day(t.LastUsed))
		}
	}
}

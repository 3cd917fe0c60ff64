package api

import (
	"time"

	"github.com/doorward/doorward/auth"
)

// Details is an account with what belongs to it.
type Details struct {
	Principal
	Privileges      []string  `json:"privileges"`
	Phone           string    `json:"phone,omitempty"`
	Language        string    `json:"language,omitempty"`
	Origin          string    `json:"origin"` // local, registered, oidc:NAME, ldap:NAME
	MustChange      bool      `json:"must_change"`
	PasswordChanged time.Time `json:"password_changed,omitzero"` // absent: it has none
	Factors         Factors   `json:"factors"`
	LastSignIn      time.Time `json:"last_sign_in,omitzero"` // absent: never
	Sessions        []Session `json:"sessions"`
	Tokens          []Token   `json:"tokens"`
}

// Factors are an account's second factors.
type Factors struct {
	TOTP          bool      `json:"totp"`
	TOTPSince     time.Time `json:"totp_since,omitzero"`
	Passkeys      []Passkey `json:"passkeys"`
	RecoveryCodes int       `json:"recovery_codes"` // not used yet
}

// Passkey is one passkey or security key.
type Passkey struct {
	ID       string    `json:"id"`
	Name     string    `json:"name"`
	Created  time.Time `json:"created"`
	LastUsed time.Time `json:"last_used,omitzero"`
}

// Address is a network that a person has signed in from.
type Address struct {
	Network      string    `json:"network"`
	How          string    `json:"how"` // signed-in, mailed-link, administrator
	Created      time.Time `json:"created"`
	LastSeen     time.Time `json:"last_seen"`
	TrustedUntil time.Time `json:"trusted_until,omitzero"` // absent: known, and not trusted
}

// Trusted says how long an address is trusted.
type Trusted struct {
	Until time.Time `json:"until"`
}

// NewToken is the API token that AddToken makes.
type NewToken struct {
	Name       string   `json:"name"`
	Privileges []string `json:"privileges"`
	Hosts      []string `json:"hosts,omitempty"`
	Networks   []string `json:"networks,omitempty"`
	Seconds    int64    `json:"seconds,omitempty"` // how long it is good; absent: 90 days
}

// Token is an API token without its secret.
type Token struct {
	ID         string    `json:"id"`
	User       string    `json:"user"`
	Name       string    `json:"name"`
	Privileges []string  `json:"privileges"`
	Hosts      []string  `json:"hosts,omitempty"`
	Networks   []string  `json:"networks,omitempty"`
	Created    time.Time `json:"created"`
	Expires    time.Time `json:"expires"`
	LastUsed   time.Time `json:"last_used,omitzero"` // up to a minute old; absent: never
}

// AddedToken is a new token with its secret, which is shown this once.
type AddedToken struct {
	Token
	Secret string `json:"token"`
}

// AccessReport is what a reviewer reads before signing.
type AccessReport struct {
	At       time.Time              `json:"at"`
	Last     time.Time              `json:"last,omitzero"` // when the last review was signed; absent: never
	Due      time.Time              `json:"due,omitzero"`
	Overdue  bool                   `json:"overdue"`
	Roles    []auth.SnapshotRole    `json:"roles"`
	Accounts []auth.SnapshotAccount `json:"accounts"`
	Others   auth.SnapshotOthers    `json:"others"`
	Findings []Finding              `json:"findings"`
	Changes  []string               `json:"changes"` // since the last signed review
}

// Finding is something that a reviewer should ask about.
type Finding struct {
	Control string `json:"control"` // of the guides, or choice
	Account string `json:"account,omitempty"`
	Problem string `json:"problem"`
}

// Review is a signed access review.
type Review struct {
	ID       string         `json:"id"`
	Signed   time.Time      `json:"signed"`
	Due      time.Time      `json:"due"`
	Reviewer string         `json:"reviewer"`
	Origin   string         `json:"origin"`
	Note     string         `json:"note"`
	Findings int            `json:"findings"`           // that the report had when it was signed
	Snapshot *auth.Snapshot `json:"snapshot,omitempty"` // not in lists
}

// ReviewStatus is when the next review is due.
type ReviewStatus struct {
	Last    time.Time `json:"last,omitzero"`
	Due     time.Time `json:"due,omitzero"`
	Overdue bool      `json:"overdue"`
}

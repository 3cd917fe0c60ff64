package demo

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"

	"github.com/doorward/doorward/auth"
)

// Account is one person who can sign in. The password is known only here and to whoever reads the output.
type Account struct {
	Name     string `json:"name"`
	Email    string `json:"email"`
	Role     string `json:"role"`
	Password string `json:"password"`
}

// makeAccounts adds one account a role. On a folder of an earlier demo they exist: they get new passwords,
// because the old ones were shown once and are not kept.
func makeAccounts(ctx context.Context, a *auth.Auth) ([]Account, error) {
	known := map[string]bool{}
	principals, err := a.Principals(ctx)
	if err != nil {
		return nil, fmt.Errorf("list accounts: %w", err)
	}
	for _, p := range principals {
		known[p.Name] = true
	}
	actor := auth.Actor{Name: "demo", Origin: "local"}
	var accounts []Account
	for _, role := range []auth.Role{auth.Owner, auth.Admin, auth.Agent, auth.User} {
		account := Account{Name: "demo-" + string(role), Role: string(role), Password: newPassword()}
		account.Email = account.Name + "@demo.example"
		if known[account.Name] {
			err = a.ResetPassword(ctx, actor, account.Name, account.Password, false)
			if err == nil {
				err = a.SetDisabled(ctx, actor, account.Name, false)
			}
		} else {
			_, err = a.AddPrincipal(ctx, actor, auth.NewPrincipal{Name: account.Name, Email: account.Email,
				DisplayName: account.Name, Roles: []auth.Role{role}, Password: account.Password})
		}
		if err != nil {
			return nil, fmt.Errorf("make account %s: %w", account.Name, err)
		}
		accounts = append(accounts, account)
	}
	return accounts, nil
}

// passwordLetters are 32 that nobody confuses when reading them aloud; passwordGroups times four of them
// carry 100 random bits.
const (
	passwordLetters = "abcdefghijkmnpqrstuvwxyz23456789"
	passwordGroups  = 5
)

// newPassword makes a password such as k7mq-w2xd-9fhs-t4ve-nb3z.
func newPassword() string {
	var random [4 * passwordGroups]byte
	rand.Read(random[:]) // never fails (crypto/rand, Go 1.24)
	var b strings.Builder
	for i, r := range random {
		if i > 0 && i%4 == 0 {
			b.WriteByte('-')
		}
		b.WriteByte(passwordLetters[r&31])
	}
	return b.String()
}

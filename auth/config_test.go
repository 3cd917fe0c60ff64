package auth_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/doorward/doorward/auth"
	rules "github.com/doorward/doorward/auth/password"
)

func TestConfigDefaults(t *testing.T) {
	var got auth.Config
	got.SetDefaults()
	rate := auth.RateConfig{Window: 10 * time.Minute, PerAddress: 30, PerAccount: 10}
	want := auth.Config{
		Sessions:     auth.SessionsConfig{Idle: time.Hour, Absolute: 12 * time.Hour},
		SignIn:       auth.SignInConfig{Failures: 3, Wait: 10 * time.Second, Staff: rate, Users: rate},
		Notices:      auth.NoticesConfig{SignIn: "new"},
		Passwords:    rules.Config{Preset: "nist", BreachCheck: rules.BreachConfig{Timeout: 3 * time.Second}},
		PasswordHash: auth.HashConfig{MemoryKiB: 19456, Time: 2, Parallelism: 1, AtOnce: 2, Queue: 64, QueueWait: 10 * time.Second},
		Factors:      auth.FactorsConfig{Name: "Doorward"},
		Registration: auth.RegistrationConfig{Phone: "required", PerAddress: 5, PerDay: 200,
			SMS: auth.SMSConfig{Timeout: 10 * time.Second, PerNumber: 3, PerAddress: 5, PerCountry: 100, PerDay: 200}},
		Review: auth.ReviewConfig{Every: 90 * 24 * time.Hour, StaleAfter: 90 * 24 * time.Hour, MaxAdmins: 5},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("defaults (-want +got):\n%s", diff)
	}
	if problems := validate(got); len(problems) != 0 {
		t.Errorf("the defaults are not valid: %v", problems)
	}
}

func validate(c auth.Config) (problems []string) {
	c.Validate(func(path, format string, args ...any) {
		problems = append(problems, path+": "+fmt.Sprintf(format, args...))
	})
	return problems
}

func TestConfigValidate(t *testing.T) {
	for _, c := range []struct {
		change func(*auth.Config)
		want   []string
	}{
		{func(c *auth.Config) { c.Sessions.Idle = -time.Hour }, []string{"sessions.idle: -1h0m0s is not between 1m0s and 24h0m0s"}},
		{func(c *auth.Config) { c.Sessions.Absolute = 30 * time.Minute }, []string{"sessions.idle: 1h0m0s is longer than sessions.absolute, 30m0s"}},
		{func(c *auth.Config) { c.SignIn.Failures = -1 }, []string{"sign_in.failures: -1 is not between 1 and 20"}},
		{func(c *auth.Config) { c.SignIn.Wait = time.Millisecond }, []string{"sign_in.wait: 1ms is not between 1s and 1h0m0s"}},
		{func(c *auth.Config) { c.PasswordHash.MemoryKiB = 1 << 20 }, []string{"password_hash.memory_kib: 1048576 is not between 64 and 262144"}},
		{func(c *auth.Config) { c.PasswordHash.MemoryKiB, c.PasswordHash.Parallelism = 64, 16 },
			[]string{"password_hash.memory_kib: 64 is less than 8 for each of 16 lanes"}},
		{func(c *auth.Config) {
			c.Review = auth.ReviewConfig{Every: time.Hour, StaleAfter: -time.Hour, MaxAdmins: 1001}
		}, []string{
			"review.every: 1h0m0s is not between 24h0m0s and 17568h0m0s", "review.stale_after: -1h0m0s is not between 24h0m0s and 17568h0m0s",
			"review.max_admins: 1001 is not between 1 and 1000"}},
		{func(c *auth.Config) { c.PasswordHash.Time, c.PasswordHash.AtOnce, c.PasswordHash.Queue = 17, 65, -1 }, []string{
			"password_hash.time: 17 is not between 1 and 16", "password_hash.at_once: 65 is not between 1 and 64",
			"password_hash.queue: -1 is not between 1 and 4096"}},
		{func(c *auth.Config) { c.Factors.Name = "Help: desk" }, []string{`factors.name: "Help: desk" must be 1 to 64 visible characters without a colon`}},
		{func(c *auth.Config) { c.Factors.RPID = "192.0.2.1" },
			[]string{"factors.rp_id: 192.0.2.1 is an address; browsers make passkeys for names only"}},
		{func(c *auth.Config) { c.Factors.RPID = "https://example.org" },
			[]string{`factors.rp_id: "https://example.org" is not a domain in lower case without scheme, port or dot at the end`}},
		{func(c *auth.Config) {
			c.Factors.RPID, c.Factors.Hosts = "example.org", []string{"badexample.org", "192.0.2.1"}
		},
			[]string{"factors.rp_id: no host of this configuration is example.org or below it, so that no passkey could be used"}},
		{func(c *auth.Config) { c.Factors.RPID, c.Factors.Hosts = "co.uk", []string{"desk.example.co.uk"} },
			[]string{"factors.rp_id: co.uk is a suffix under which anybody can have a name; browsers refuse passkeys for it"}},
		{func(c *auth.Config) { c.Factors.RPID, c.Factors.Hosts = "localhost", []string{"localhost"} }, nil},
	} {
		var cfg auth.Config
		cfg.SetDefaults()
		c.change(&cfg)
		if diff := cmp.Diff(c.want, validate(cfg)); diff != "" {
			t.Errorf("problems (-want +got):\n%s", diff)
		}
	}
}

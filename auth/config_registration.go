package auth

import (
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Whether a registration asks for a phone number: the values of RegistrationConfig.Phone.
const (
	PhoneRequired = "required"
	PhoneOptional = "optional"
	PhoneOff      = "off"
)

// RegistrationConfig lets people make accounts for themselves (M-12, M-13). A new account has no role, so that it may do
// nothing, until somebody who may gives it one.
type RegistrationConfig struct {
	// Enabled turns registration on. It takes a mail server, under mail. Invitations work without.
	Enabled bool `yaml:"enabled"`
	// Domains, if any, are the only ones that e-mail addresses may have, such as example.org; names below them are others.
	Domains []string `yaml:"domains"`
	// Phone is required (a number that no other account has is confirmed by a code in a text message), optional or off. Default
	// required: what keeps one person from making many accounts is that a number is good for one (M-12).
	Phone string `yaml:"phone"`
	// Region is the country, such as DE, whose numbers people may write without its calling code. Default: numbers begin with +
	// or 00.
	Region string `yaml:"region"`
	// Countries are those whose numbers are accepted: ISO 3166 codes such as DE, or calling codes such as +49. Every one
	// of them is a place where strangers can make you send text messages. Default: the region.
	Countries []string `yaml:"countries"`
	// SMS is the program or gateway that sends the text messages.
	SMS SMSConfig `yaml:"sms"`
	// PerAddress is how many registrations may be begun from one address (IPv6: one /64) in an hour. Default 5.
	PerAddress int `yaml:"per_address"`
	// PerDay is how many may be begun in all in a day. Default 200.
	PerDay int `yaml:"per_day"`
}

// SMSConfig is the hook that sends text messages, and how many it may be asked for. See docs/registration.md for what it is sent.
type SMSConfig struct {
	// URL takes each message as a POST of JSON: https, or http to this machine.
	URL string `yaml:"url"`
	// TokenFile holds a token that is sent as Authorization: Bearer; it is read again for each message.
	TokenFile string `yaml:"token_file"`
	// Timeout is how long the hook may take to accept a message. Default 10s.
	Timeout time.Duration `yaml:"timeout"`
	// PerNumber is how many messages one number gets in a day. Default 3.
	PerNumber int `yaml:"per_number"`
	// PerAddress is how many one address (IPv6: one /64) may cause in an hour. Default 5.
	PerAddress int `yaml:"per_address"`
	// PerCountry is how many go to one country in a day. Default 100.
	PerCountry int `yaml:"per_country"`
	// PerDay is how many are sent in all in a day. Default 200.
	PerDay int `yaml:"per_day"`
}

func (c *RegistrationConfig) setDefaults() {
	setDefault(&c.Phone, PhoneRequired)
	setDefault(&c.PerAddress, 5)
	setDefault(&c.PerDay, 200)
	setDefault(&c.SMS.Timeout, 10*time.Second)
	setDefault(&c.SMS.PerNumber, 3)
	setDefault(&c.SMS.PerAddress, 5)
	setDefault(&c.SMS.PerCountry, 100)
	setDefault(&c.SMS.PerDay, 200)
	if len(c.Countries) == 0 && c.Region != "" {
		c.Countries = []string{c.Region}
	}
}

func (c RegistrationConfig) validate(report func(path, format string, args ...any)) {
	oneOf(report, "phone", c.Phone, PhoneRequired, PhoneOptional, PhoneOff)
	between(report, "per_address", c.PerAddress, 1, 10_000)
	between(report, "per_day", c.PerDay, 1, 100_000)
	for i, domain := range c.Domains {
		if canonicalName(domain) != domain || !strings.Contains(domain, ".") || strings.ContainsAny(domain, "@/:* ") || strings.HasPrefix(domain, ".") {
			report(item("domains", i), "%q is not a domain in lower case, such as example.org", domain)
		}
	}
	if c.Region != "" && !isRegion(c.Region) {
		report("region", "%q is not the ISO 3166 code of a country, such as DE", c.Region)
	}
	for i, country := range c.Countries {
		if !isRegion(country) && !isCallingCode(country) {
			report(item("countries", i), "%q is neither the ISO 3166 code of a country, such as DE, nor a calling code, such as +49", country)
		}
	}
	c.SMS.validate(below("sms", report))
	if !c.Enabled || c.Phone == PhoneOff {
		return
	}
	if c.SMS.URL == "" {
		report("sms.url", "is missing, and numbers are confirmed by a text message; give the hook that sends them, or set phone: off")
	}
	if len(c.Countries) == 0 {
		report("countries", "is missing; name the countries whose numbers are accepted, such as [DE, AT], or set phone: off")
	}
}

func (c SMSConfig) validate(report func(path, format string, args ...any)) {
	between(report, "timeout", c.Timeout, time.Second, time.Minute)
	between(report, "per_number", c.PerNumber, 1, 100)
	between(report, "per_address", c.PerAddress, 1, 10_000)
	between(report, "per_country", c.PerCountry, 1, 100_000)
	between(report, "per_day", c.PerDay, 1, 100_000)
	if c.URL == "" {
		if c.TokenFile != "" {
			report("url", "is missing, so the token is of no use; give the hook, or remove the line")
		}
		return
	}
	hook, err := url.Parse(c.URL)
	switch {
	case err != nil || hook.Host == "" || hook.Scheme != "https" && hook.Scheme != "http" || hook.User != nil || hook.Fragment != "":
		report("url", "%q is not an https address without a name and a password", c.URL)
	case hook.Scheme == "http" && !isLoopback(hook.Hostname()):
		report("url", "%s is not this machine, and messages hold codes: use https", hook.Hostname())
	}
}

// isLoopback tells whether the host is this machine for everybody.
func isLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return strings.EqualFold(host, "localhost") || err == nil && addr.Unmap().IsLoopback()
}

// allowsDomain tells whether an e-mail address is of a domain that may register.
func (c RegistrationConfig) allowsDomain(email string) bool {
	_, domain, _ := strings.Cut(fold(email), "@")
	return len(c.Domains) == 0 || slices.Contains(c.Domains, domain)
}

func item(path string, i int) string { return fmt.Sprintf("%s[%d]", path, i) }

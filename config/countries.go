package config

import (
	"fmt"

	"github.com/doorward/doorward/gateway"
	"github.com/doorward/doorward/geo"
)

// reportCountries finds rules about countries that could not be kept: of codes that are no country's, and without a
// database to ask, where every address would be of an unknown country.
func (c *Config) reportCountries(report func(string, string, ...any)) {
	for i, site := range c.Gateway.Sites {
		c.reportCountryRule(fmt.Sprintf("sites[%d].countries", i), site.Countries, report)
		for j, rule := range site.Access {
			c.reportCountryRule(fmt.Sprintf("sites[%d].access[%d].countries", i, j), rule.Countries, report)
		}
	}
}

func (c *Config) reportCountryRule(path string, rule gateway.CountryConfig, report func(string, string, ...any)) {
	if rule.Set() && c.Geo.Database == "" {
		report(path, "cannot be kept without a database of countries; name its file under geo.database")
	}
	reportCountryCodes(path+".allow", rule.Allow, report)
	reportCountryCodes(path+".deny", rule.Deny, report)
}

func reportCountryCodes(path string, codes []string, report func(string, string, ...any)) {
	for i, code := range codes {
		item := fmt.Sprintf("%s[%d]", path, i)
		if country, err := geo.ParseCountry(code); err != nil {
			report(item, "%v", err)
		} else if country.String() != code {
			report(item, "%q: write %s", code, country)
		}
	}
}

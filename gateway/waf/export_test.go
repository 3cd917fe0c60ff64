package waf

import (
	"sync"

	"github.com/doorward/doorward/seclang"
)

// Break makes the engine panic at the next step of the inspection: there are no rules behind its transaction.
func (i *Inspection) Break() { i.tx = new(seclang.Transaction) }

// BreakRules makes the site's rules ones that cannot be read, which shows when they are asked for first.
func (s *Site) BreakRules() {
	s.rules = &ruleset{load: sync.Once{}, before: []Text{{Name: "broken.conf", Text: "SecNonsense"}}}
}

// CompareBy has comparisons made with another site's rules; nil: with none at all.
func (s *Site) CompareBy(other *Site) error {
	site := new(seclang.Site)
	if other != nil {
		var err error
		if site, err = other.plainSite(); err != nil {
			return err
		}
	}
	s.plain.Store(site)
	return nil
}

package gateway

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/doorward/doorward/gateway/waf"
)

// newSiteWAF builds the firewall of a site; nil when it is off.
func newSiteWAF(engine *waf.Engine, sc SiteConfig, app *App) (*waf.Site, error) {
	c := sc.WAF
	if c.Mode == string(waf.Off) || c.Mode == "" {
		return nil, nil
	}
	o := waf.SiteOptions{Mode: waf.Mode(c.Mode), Answers: waf.Mode(c.Answers), ParanoiaLevel: c.ParanoiaLevel, InboundThreshold: c.InboundThreshold,
		OutboundThreshold: c.OutboundThreshold, BodyLimit: int(c.BodyLimit), FieldsLimit: int(c.FieldsLimit), Parameters: c.ParameterLimit, AnswerLimit: int(c.AnswerLimit)}
	var err error
	if o.Before, err = readRules(c.Before); err != nil {
		return nil, err
	}
	if o.After, err = readRules(c.After); err != nil {
		return nil, err
	}
	if !strings.Contains(app.Name, "/") { // a folder of Doorward's own, of which a test tries each exclusion
		o.Tried = len(app.Exclusions)
	}
	for _, e := range append(slices.Clone(app.Exclusions), c.Exclude...) {
		o.Exclusions = append(o.Exclusions, e.compile())
	}
	return engine.Site(o)
}

// maxRuleFile caps a file of rules, in bytes.
const maxRuleFile = 4 << 20

func readRules(names []string) ([]waf.Text, error) {
	var all []waf.Text
	for _, name := range names {
		info, err := os.Stat(name)
		if err == nil && info.Size() > maxRuleFile {
			err = fmt.Errorf("%s is larger than %d bytes", name, maxRuleFile)
		}
		if err != nil {
			return nil, fmt.Errorf("read rules: %w", err)
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("read rules: %w", err)
		}
		all = append(all, waf.Text{Name: name, Text: string(text)})
	}
	return all, nil
}

// compile writes the exclusion in the words of rules.
func (e WAFExclusion) compile() waf.Exclusion {
	out := waf.Exclusion{Path: e.Path, Tags: e.Tags, Target: e.Target}
	if e.Parameter != "" {
		out.Target = waf.TargetOf("ARGS", e.Parameter)
	}
	for _, r := range e.Rules {
		out.Rules = append(out.Rules, waf.IDs(r))
	}
	return out
}

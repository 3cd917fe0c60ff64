package gateway

import (
	"fmt"
	"strings"
	"time"

	"github.com/doorward/doorward/gateway/waf"
)

// Bounds of the firewall's settings.
const (
	minWAFMemory = 16 << 20
	maxWAFBody   = 1 << 30
	maxWAFAnswer = 64 << 20
	maxWAFScore  = 10_000

	maxWAFParameters = 100_000
)

func (c WAFConfig) validate(report reporter) {
	oneOf(report, "waf.rules", c.Rules, waf.RuleSets()...)
	if c.Memory != 0 && c.Memory < minWAFMemory {
		report("waf.memory", "%s is too little: a body is held three times while it is looked at; give 16MiB at least", c.Memory)
	}
	if c.Compare < 0 || c.Compare > 1 {
		report("waf.compare", "is %v, but must be a share of requests from 0 to 1, such as 0.001", c.Compare)
	}
}

func (c SiteWAFConfig) validate(path string, maxBody Size, report reporter) {
	oneOf(report, path+".mode", c.Mode, string(waf.Block), string(waf.Detect), string(waf.Off))
	oneOf(report, path+".answers", c.Answers, string(waf.Block), string(waf.Detect), string(waf.Off))
	if c.Answers == string(waf.Block) && c.Mode != string(waf.Block) {
		report(path+".answers", "answers cannot be refused where requests are not (mode: %s); set mode: block", c.Mode)
	}
	if problem := c.LearnUntil.problem(c.Mode, time.Now()); problem != "" {
		report(path+".learn_until", "%s", problem)
	}
	between := func(key string, value, first, last int) {
		if value != 0 && (value < first || value > last) {
			report(path+"."+key, "is %d, but must be from %d to %d", value, first, last)
		}
	}
	between("paranoia_level", c.ParanoiaLevel, 1, 4)
	between("inbound_threshold", c.InboundThreshold, 1, maxWAFScore)
	between("outbound_threshold", c.OutboundThreshold, 1, maxWAFScore)
	between("parameter_limit", c.ParameterLimit, 1, maxWAFParameters)
	switch {
	case c.BodyLimit > maxWAFBody:
		report(path+".body_limit", "%s is more than bodies in memory can be; give 1GiB at most", c.BodyLimit)
	case c.BodyLimit > maxBody && maxBody != 0:
		report(path+".body_limit", "%s has no use beside max_body: %s; raise that, or lower this", c.BodyLimit, maxBody)
	}
	if c.FieldsLimit > c.BodyLimit && c.BodyLimit != 0 {
		report(path+".fields_limit", "%s has no use beside body_limit: %s, which bounds the whole body; raise that, or lower this", c.FieldsLimit, c.BodyLimit)
	}
	if c.AnswerLimit > maxWAFAnswer {
		report(path+".answer_limit", "%s is more than is useful; give 64MiB at most", c.AnswerLimit)
	}
	for i, e := range c.Exclude {
		e.validate(fmt.Sprintf("%s.exclude[%d]", path, i), report)
	}
	if c.Mode != string(waf.Off) && (len(c.Before)+len(c.After)+len(c.Exclude)) > 0 {
		c.compile(path, report)
	}
}

// compile tries the site's own rules and exclusions, so that whoever checks a file learns of their mistakes.
func (c SiteWAFConfig) compile(path string, report reporter) {
	engine, err := waf.NewEngine(waf.CRS, minWAFMemory, nil)
	if err != nil {
		report(path, "%v", err)
		return
	}
	c.setDefaults(1 << 20)
	c.BodyLimit, c.FieldsLimit = min(c.BodyLimit, 1<<20), min(c.FieldsLimit, 1<<20)
	if _, err := newSiteWAF(engine, SiteConfig{WAF: c}, &App{}); err != nil {
		report(path, "%s", strings.ReplaceAll(err.Error(), "\n", "; "))
	}
}

func (e WAFExclusion) validate(path string, report reporter) {
	if e.Path != "" {
		if message := appPathProblem(kindAttachmentPaths, e.Path); message != "" && e.Path != "/" {
			report(path+".path", "%s", message)
		}
	}
	if len(e.Rules) == 0 && len(e.Tags) == 0 {
		report(path, "names no rule; give rules: [942100], or tags: [attack-sqli]")
	}
	if e.Parameter != "" && e.Target != "" {
		report(path+".target", "parameter %q names a value already; remove one of them", e.Parameter)
	}
}

// validateAnyHost lets nobody but this machine reach a site to which every host leads: a page of another site could be made to
// speak with it by a name of its own (DNS rebinding), and it would never be told 421.
func (c Config) validateAnyHost(report reporter) {
	for i, s := range c.Sites {
		path := fmt.Sprintf("sites[%d].any_host", i)
		switch {
		case !s.AnyHost:
		case len(c.Sites) > 1:
			report(path, "every host would lead to this site, and none to the others; make it the only site")
		case len(c.Listen.HTTPS)+len(c.Listen.HTTP) > 0:
			report(path, "is for test tools on this machine; serve them by listen.plain on 127.0.0.1 or [::1] alone, without listen.https and listen.http")
		case len(c.ForwardAuth.Trusted)+len(c.TrustedProxies) > 0:
			report(path, "is for test tools on this machine, not for what comes by way of proxies; remove forward_auth.trusted and trusted_proxies")
		}
	}
}

package waf

import (
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"

	"github.com/doorward/doorward/seclang"
	"github.com/doorward/doorward/seclang/syntax"
)

// Mode says what follows when rules match.
type Mode string

// The modes.
const (
	Off    Mode = "off"    // nothing is looked at
	Detect Mode = "detect" // matches are told, nothing is refused
	Block  Mode = "block"  // what reaches the threshold is refused
)

// SiteOptions is what differs between sites. All fields have to be set.
type SiteOptions struct {
	Mode    Mode // of requests
	Answers Mode // of the application's answers; no stricter than Mode
	// ParanoiaLevel is 1 to 4: how much of the Core Rule Set is asked.
	ParanoiaLevel int
	// InboundThreshold and OutboundThreshold are the anomaly scores at which a request or an answer is refused.
	InboundThreshold, OutboundThreshold int
	BodyLimit                           int // bytes of a request's body; a longer one is refused
	FieldsLimit                         int // bytes of it besides the contents of files; 0: as many as BodyLimit. One with more is refused
	AnswerLimit                         int // bytes of an answer's body that are looked at
	// Parameters is how many pairs of the query, of the body and of a line of cookies are looked at; 0: 1000.
	Parameters    int
	Before, After []Text
	Exclusions    []Exclusion
	// Tried is how many of the exclusions, from the first on, are known to fit the rules: those that come with Doorward. With nothing else
	// the rules are not needed before the first request.
	Tried int
}

// Site is the firewall of one site. Nothing changes it.
type Site struct {
	engine  *Engine
	rules   *ruleset
	config  seclang.SiteConfig
	options SiteOptions

	current atomic.Pointer[bound]
	plain   atomic.Pointer[seclang.Site] // to compare with; nil until it is asked for
}

// bound is a program as the site uses it.
type bound struct {
	program *seclang.Program
	site    *seclang.Site
}

// Site makes the firewall of a site. Rules and exclusions of its own are compiled at once, so that an error tells of their
// mistakes; the published rules, which have none, when the first request comes: who is not asked anything needs no memory for them.
func (e *Engine) Site(o SiteOptions) (*Site, error) {
	if o.Mode == Off {
		return nil, errors.New("a site whose firewall is off needs none")
	}
	if o.ParanoiaLevel < 1 || o.ParanoiaLevel > 4 {
		return nil, fmt.Errorf("paranoia level %d is not from 1 to 4", o.ParanoiaLevel)
	}
	mode, answers := syntax.EngineDetects, syntax.Off
	if o.Mode == Block {
		mode = syntax.EngineOn
	}
	if o.Answers != Off {
		answers = syntax.On
	}
	level := strconv.Itoa(o.ParanoiaLevel)
	own := e.rules == Doorward
	c := seclang.SiteConfig{Views: own, StrictMultipart: own, Mode: mode, RequestBody: syntax.On, ResponseBody: answers, Arguments: o.Parameters, RequestBodyLimit: o.BodyLimit, RequestFieldsLimit: o.FieldsLimit, ResponseBodyLimit: o.AnswerLimit,
		Variables: []seclang.Variable{{Name: "blocking_paranoia_level", Value: level}, {Name: "detection_paranoia_level", Value: level},
			{Name: "inbound_anomaly_score_threshold", Value: strconv.Itoa(o.InboundThreshold)},
			{Name: "outbound_anomaly_score_threshold", Value: strconv.Itoa(o.OutboundThreshold)}}}
	for _, x := range o.Exclusions {
		c.Exclusions = append(c.Exclusions, seclang.Exclusion{Rules: x.Rules, Tags: x.Tags, Target: x.Target})
	}
	s := &Site{engine: e, rules: e.ruleset(o.Before, o.After), config: c, options: o}
	if len(o.Before)+len(o.After) > 0 || len(o.Exclusions) > o.Tried {
		if _, err := s.bind(); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// bind returns the site's view of the best program there is now.
func (s *Site) bind() (*seclang.Site, error) {
	p, err := s.rules.program()
	if err != nil {
		return nil, err
	}
	if b := s.current.Load(); b != nil && b.program == p {
		return b.site, nil
	}
	site, err := p.NewSite(s.config)
	if err != nil {
		return nil, err
	}
	s.current.Store(&bound{program: p, site: site})
	return site, nil
}

// Ready waits until the rules are prepared for the fast way; benchmarks and tests ask for it.
func (s *Site) Ready() error {
	if _, err := s.bind(); err != nil {
		return err
	}
	<-s.rules.ready
	_, err := s.bind()
	return err
}

// Mode tells what follows when rules match in a request.
func (s *Site) Mode() Mode { return s.options.Mode }

// InspectsAnswers tells whether answers are looked at.
func (s *Site) InspectsAnswers() bool { return s.options.Answers != Off }

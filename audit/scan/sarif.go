package scan

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// readJSON reads SARIF 2.1.0 or ZAP's traditional report: the keys tell which.
func readJSON(file []byte, c *collector) (Report, error) {
	w := newWalker(file)
	s, z := &sarif{w: w, c: c}, &zap{w: w, c: c}
	err := w.object(func(key string) error {
		switch key {
		case "version":
			return w.text(&s.version)
		case "runs":
			s.found = true
			return w.list(s.run)
		case "@programName":
			return w.text(&z.program)
		case "@version":
			return w.text(&z.version)
		case "@generated":
			return w.text(&z.generated)
		case "created":
			return w.text(&z.created)
		case "site":
			z.found = true
			return w.list(z.site)
		}
		return w.skip()
	})
	if err != nil {
		return Report{}, err
	}
	if err := w.end(); err != nil {
		return Report{}, err
	}
	switch {
	case s.found && z.found:
		return Report{}, errors.New("the file is SARIF and a report of ZAP at once")
	case s.found:
		return s.report()
	case z.found:
		return z.report()
	}
	return Report{}, errors.New("the JSON is neither SARIF (runs) nor the traditional report of ZAP (site)")
}

// sarif is a file of SARIF 2.1.0 as far as it was read.
type sarif struct {
	w       *walker
	c       *collector
	found   bool
	version string
	tool    string
	release string
	runs    int
	time    time.Time // the earliest end of a run
	noTime  bool      // of one run at least
}

// sarifRule is what a result takes from its rule (3.49, 3.50).
type sarifRule struct{ id, level, score string }

// sarifResult is one result (3.27).
type sarifResult struct {
	rule, level, kind, message, uri, line, logical, baseline, score string
	index                                                           int
	suppressed                                                      bool
}

// run reads one run (3.14). Its keys stand in any order, so that the rules are put to the results at its end.
func (s *sarif) run() error {
	if err := s.c.spend(); err != nil {
		return err
	}
	s.runs++
	var tool, release, semantic string
	var rules []sarifRule
	var results []sarifResult
	var ended time.Time
	err := s.w.object(func(key string) error {
		switch key {
		case "tool":
			return s.w.object(func(key string) error {
				if key != "driver" {
					return s.w.skip()
				}
				return s.w.object(func(key string) error {
					switch key {
					case "name":
						return s.w.text(&tool)
					case "version":
						return s.w.text(&release)
					case "semanticVersion":
						return s.w.text(&semantic)
					case "rules":
						return s.w.list(func() error { return s.rule(&rules) })
					}
					return s.w.skip()
				})
			})
		case "invocations":
			return s.w.list(func() error { return s.invocation(&ended) })
		case "versionControlProvenance":
			return s.w.list(s.provenance)
		case "results":
			return s.w.list(func() error { return s.result(&results) })
		}
		return s.w.skip()
	})
	if err != nil {
		return err
	}
	if release == "" {
		release = semantic
	}
	return s.settle(tool, release, ended, rules, results)
}

// settle puts what a run said together.
func (s *sarif) settle(tool, release string, ended time.Time, rules []sarifRule, results []sarifResult) error {
	switch {
	case tool == "":
		return errors.New("a run of the file does not name its tool")
	case s.tool != "" && s.tool != tool:
		return fmt.Errorf("the file has runs of several tools, %s and %s; import those of each tool alone", plain(s.tool, maxWord), plain(tool, maxWord))
	}
	s.tool, s.release = tool, release
	if ended.IsZero() {
		s.noTime = true
	} else if s.time.IsZero() || ended.Before(s.time) {
		s.time = ended
	}
	byID := make(map[string]sarifRule, len(rules))
	for _, r := range rules {
		byID[r.id] = r
	}
	for _, r := range results {
		rule, known := byID[r.rule]
		if !known && r.index >= 0 && r.index < len(rules) {
			rule = rules[r.index]
		}
		if r.rule == "" {
			r.rule = rule.id
		}
		switch {
		case r.kind != "" && !slices.Contains([]string{"fail", "open", "review"}, r.kind), r.baseline == "absent":
		case r.suppressed:
			s.c.suppressed++
		default:
			s.c.add(r.rule, r.location(), r.message, r.severity(rule))
		}
	}
	return nil
}

func (s *sarif) rule(all *[]sarifRule) error {
	if err := s.c.spend(); err != nil {
		return err
	}
	var r sarifRule
	err := s.w.object(func(key string) error {
		switch key {
		case "id":
			return s.w.text(&r.id)
		case "defaultConfiguration":
			return s.w.object(func(key string) error {
				if key == "level" {
					return s.w.text(&r.level)
				}
				return s.w.skip()
			})
		case "properties":
			return s.score(&r.score)
		}
		return s.w.skip()
	})
	*all = append(*all, r)
	return err
}

func (s *sarif) score(into *string) error {
	return s.w.object(func(key string) error {
		if key == "security-severity" {
			return s.w.text(into)
		}
		return s.w.skip()
	})
}

// invocation reads one invocation (3.20). One that failed says nothing about what was scanned.
func (s *sarif) invocation(ended *time.Time) error {
	var start, end, successful string
	err := s.w.object(func(key string) error {
		switch key {
		case "startTimeUtc":
			return s.w.text(&start)
		case "endTimeUtc":
			return s.w.text(&end)
		case "executionSuccessful":
			return s.w.text(&successful)
		}
		return s.w.skip()
	})
	if err != nil {
		return err
	}
	if successful == "false" {
		return errors.New("the file says that the scan did not succeed (executionSuccessful: false)")
	}
	if end == "" {
		end = start
	}
	if end == "" {
		return nil
	}
	at, err := time.Parse(time.RFC3339Nano, end)
	if err != nil {
		return fmt.Errorf("the time of the scan cannot be read: %q", plain(end, maxWord))
	}
	if at.After(*ended) {
		*ended = at
	}
	return nil
}

// provenance reads where the scanned code comes from (3.14.14).
func (s *sarif) provenance() error {
	if err := s.c.spend(); err != nil {
		return err
	}
	return s.w.object(func(key string) error {
		if key != "repositoryUri" {
			return s.w.skip()
		}
		var uri string
		err := s.w.text(&uri)
		s.c.target(uri)
		return err
	})
}

func (s *sarif) report() (Report, error) {
	switch {
	case s.version != "2.1.0":
		return Report{}, fmt.Errorf("the file is SARIF %q, and only 2.1.0 is read", plain(s.version, maxWord))
	case s.runs == 0:
		return Report{}, errors.New("the file has no run: nothing was scanned")
	}
	r := Report{Format: "sarif", Kind: Code, Tool: s.tool, Version: s.release, Time: s.time}
	if s.noTime {
		r.Time = time.Time{}
	}
	switch strings.ToLower(s.tool) {
	case "nuclei":
		r.Kind = Vulnerability
	case "zap", "owasp zap", "wapiti", "nikto":
		r.Kind = Web
	}
	return r, nil
}

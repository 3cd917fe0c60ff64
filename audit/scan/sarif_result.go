package scan

import (
	"strconv"
)

func (r sarifResult) location() string {
	if r.uri == "" {
		return r.logical
	}
	if r.line == "" {
		return r.uri
	}
	return r.uri + ":" + r.line
}

// severity is the CVSS score of the result or its rule, where there is one as GitHub, CodeQL and Trivy write it, and else the level
// (3.27.10), which falls back to the rule's (3.50.3) and then to warning.
func (r sarifResult) severity(rule sarifRule) Severity {
	for _, score := range []string{r.score, rule.score} {
		if n, err := strconv.ParseFloat(score, 64); err == nil {
			return byScore(n)
		}
	}
	level := r.level
	if level == "" {
		level = rule.level
	}
	switch level {
	case "error":
		return High
	case "note":
		return Low
	case "none":
		return Info
	}
	return Medium
}

// byScore is the qualitative rating of a CVSS score (CVSS 3.1 section 5). What is no score is taken as grave.
func byScore(n float64) Severity {
	switch {
	case n == 0:
		return Info
	case n > 0 && n < 4:
		return Low
	case n >= 4 && n < 7:
		return Medium
	case n >= 7 && n < 9:
		return High
	}
	return Critical
}

func (s *sarif) result(all *[]sarifResult) error {
	if err := s.c.spend(); err != nil {
		return err
	}
	r := sarifResult{index: -1}
	err := s.w.object(func(key string) error {
		switch key {
		case "ruleId":
			return s.w.text(&r.rule)
		case "ruleIndex":
			return s.index(&r.index)
		case "rule":
			return s.w.object(func(key string) error {
				switch key {
				case "id":
					return s.w.text(&r.rule)
				case "index":
					return s.index(&r.index)
				}
				return s.w.skip()
			})
		case "level":
			return s.w.text(&r.level)
		case "kind":
			return s.w.text(&r.kind)
		case "baselineState":
			return s.w.text(&r.baseline)
		case "message":
			return s.w.object(func(key string) error {
				if key == "text" {
					return s.w.text(&r.message)
				}
				return s.w.skip()
			})
		case "properties":
			return s.score(&r.score)
		case "suppressions":
			return s.w.list(func() error { return s.suppression(&r.suppressed) })
		case "locations":
			return s.w.list(func() error { return s.location(&r) })
		}
		return s.w.skip()
	})
	r.message = plain(r.message, maxTitle)
	*all = append(*all, r)
	return err
}

func (s *sarif) index(into *int) error {
	var text string
	if err := s.w.text(&text); err != nil {
		return err
	}
	if n, err := strconv.Atoi(text); err == nil {
		*into = n
	}
	return nil
}

// suppression reads one suppression (3.35): one that is under review or was rejected suppresses nothing.
func (s *sarif) suppression(suppressed *bool) error {
	var status string
	err := s.w.object(func(key string) error {
		if key == "status" || key == "state" {
			return s.w.text(&status)
		}
		return s.w.skip()
	})
	*suppressed = *suppressed || status == "" || status == "accepted"
	return err
}

// location reads one location (3.28); the first that names a file counts.
func (s *sarif) location(r *sarifResult) error {
	var uri, line, logical string
	err := s.w.object(func(key string) error {
		switch key {
		case "physicalLocation":
			return s.w.object(func(key string) error {
				switch key {
				case "artifactLocation":
					return s.w.object(func(key string) error {
						if key == "uri" {
							return s.w.text(&uri)
						}
						return s.w.skip()
					})
				case "region":
					return s.w.object(func(key string) error {
						if key == "startLine" {
							return s.w.text(&line)
						}
						return s.w.skip()
					})
				}
				return s.w.skip()
			})
		case "logicalLocations":
			return s.w.list(func() error {
				return s.w.object(func(key string) error {
					if key == "fullyQualifiedName" && logical == "" {
						return s.w.text(&logical)
					}
					return s.w.skip()
				})
			})
		}
		return s.w.skip()
	})
	if r.uri == "" {
		r.uri, r.line = uri, line
	}
	if r.logical == "" {
		r.logical = logical
	}
	return err
}

package gateway

import (
	"fmt"
	"slices"
	"strings"
)

// validate judges a file whose shape is right.
func (p *appParser) validate() {
	if strings.TrimSpace(p.file.Title) == "" {
		p.at(1, "title is missing: the application's name for people")
	}
	if p.file.Extends != "" && !slices.Contains(AppNames(), p.file.Extends) {
		p.at(1, "extends: %q is not an application that Doorward knows%s; known: %s", p.file.Extends,
			didYouMean(p.file.Extends, AppNames()), strings.Join(AppNames(), ", "))
	}
	if len(p.file.items) == 0 && p.file.Extends == "" {
		p.at(1, "the file says nothing about the application; without facts use app: generic")
	}
	for i, item := range p.file.items {
		p.origin(item)
		p.value(item)
		for _, earlier := range p.file.items[:i] {
			if earlier.kind == item.kind && earlier.value == item.value && earlier.field == item.field && item.value != "" {
				p.at(item.line, "%s: %s stands here twice, first on line %d", item.kind, item.value, earlier.line)
			}
		}
	}
}

func (p *appParser) at(line int, format string, args ...any) {
	p.problems = append(p.problems, appProblem{line, fmt.Sprintf(format, args...)})
}

// sourceForms are the beginnings that a source may have.
func sourceForms() []string { return []string{"https://", "debian:", "seen:", "choice:"} }

// origin judges where an item says it comes from: a rule that nobody can look up is one nobody dares to change.
func (p *appParser) origin(item appItem) {
	known := slices.ContainsFunc(sourceForms(), func(form string) bool {
		return strings.HasPrefix(item.source, form) && strings.TrimSpace(item.source[len(form):]) != ""
	})
	if !known {
		p.at(item.line, "%s: %s has no source; write source: and an https:// address, debian:PACKAGE FILE, "+
			"seen: and where and when it was observed, or choice: and why", item.kind, item.value)
	}
	switch item.confidence {
	case "", "high":
		if item.why != "" {
			p.at(item.line, "%s: %s: why explains confidence: low; set that, or make it a comment", item.kind, item.value)
		}
	case "low":
		if item.why == "" {
			p.at(item.line, "%s: %s: confidence: low needs why: what is unsure", item.kind, item.value)
		}
	default:
		p.at(item.line, "%s: %s: confidence is low or left out, not %q", item.kind, item.value, item.confidence)
	}
}

func (p *appParser) value(item appItem) {
	switch item.kind {
	case kindSessionCookies, kindRememberCookies:
		if message := cookiePatternProblem(item.value); message != "" {
			p.at(item.line, "%s: %s", item.kind, message)
		}
	case kindDenyNames:
		if message := denyNameProblem(item.value); message != "" {
			p.at(item.line, "%s: %s", item.kind, message)
		}
	case kindIdentity:
		p.identity(item)
	case kindRefusedHeaders:
		if !plainHeader(item.value) || slices.Contains(reservedHeaders(), strings.ToLower(item.value)) {
			p.at(item.line, "refused_headers: %q is not a plain header of the application's own", item.value)
		}
	case kindAllow:
		if forms := []string{"encoded-slash", "semicolon", "double-encoding", "backslash"}; !slices.Contains(forms, item.value) {
			p.at(item.line, "allow: form %q is not one of %s", item.value, strings.Join(forms, ", "))
		}
	default:
		for _, path := range append([]string{item.value}, item.aliases...) {
			if message := appPathProblem(item.kind, path); message != "" {
				p.at(item.line, "%s: %s", item.kind, message)
			}
		}
		if item.kind == kindRefusedParameters && (len(item.names) == 0 || slices.Contains(item.names, "")) {
			p.at(item.line, "%s: %s needs names: the parameters to refuse", item.kind, item.value)
		}
	}
}

// appPathProblem says what is wrong with a folder's path, or nothing.
func appPathProblem(kind, path string) string {
	switch {
	case path == "":
		return "an item has no path"
	case !strings.HasPrefix(path, "/"):
		return fmt.Sprintf("path %q does not begin with /", path)
	case strings.Contains(path, "*"):
		return fmt.Sprintf("path %q has a wildcard; a path is a prefix of whole segments: /admin also means /admin/x", path)
	case strings.ContainsAny(path, "?#%\\;") || strings.Contains(path, "//") ||
		strings.ContainsFunc(path, func(r rune) bool { return r <= ' ' || r == 0x7f }):
		return fmt.Sprintf("path %q is not plain: write it decoded, without query, encoding or spaces", path)
	case slices.Contains(strings.Split(path, "/"), "..") || slices.Contains(strings.Split(path, "/"), "."):
		return fmt.Sprintf("path %q has a dot segment, which no request that is let through has", path)
	}
	if folded := strings.ToLower(path); strings.HasPrefix(folded+"/", ownPrefix) {
		return fmt.Sprintf("path %q is Doorward's own", path)
	}
	wide := []string{kindDenyPaths, kindDataPaths, kindPublicPaths, kindPrefixes, kindWebhookPaths, kindAttachmentPaths}
	if path == "/" && slices.Contains(wide, kind) {
		return "path / is the whole site; name the part that is meant"
	}
	return ""
}

func cookiePatternProblem(pattern string) string {
	name := strings.TrimSuffix(pattern, "*")
	switch {
	case name == "":
		return "an item has no cookie name"
	case strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(`*"(),/:;<=>?@[\]{}`, r) }):
		return fmt.Sprintf("%q is not a cookie name; only a final * is special", pattern)
	}
	return ""
}

func (p *appParser) identity(item appItem) {
	fields := []string{"user", "email", "name", "roles", "secret", "assertion"}
	if !slices.Contains(fields, item.field) {
		p.at(item.line, "identity: field %q is not one of %s", item.field, strings.Join(fields, ", "))
	}
	if !plainHeader(item.value) {
		p.at(item.line, "identity: header %q is not a plain name of letters, digits and dashes", item.value)
		return
	}
	for _, earlier := range p.file.items {
		if earlier.kind == kindIdentity && earlier.line < item.line {
			if earlier.field == item.field {
				p.at(item.line, "identity: field %s has a header already, on line %d", item.field, earlier.line)
			} else if strings.EqualFold(earlier.value, item.value) {
				p.at(item.line, "identity: header %s already carries %s, on line %d", item.value, earlier.field, earlier.line)
			}
		}
	}
	if slices.Contains(reservedHeaders(), strings.ToLower(item.value)) {
		p.at(item.line, "identity: header %s already has a meaning of its own", item.value)
	}
}

func plainHeader(name string) bool {
	return name != "" && !strings.ContainsFunc(name, func(r rune) bool {
		return r != '-' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	})
}

// reservedHeaders are the names whose meaning no application can change.
func reservedHeaders() []string {
	return []string{"host", "cookie", "authorization", "connection", "content-length", "content-type", "transfer-encoding",
		"forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-forwarded-port", "origin", "referer"}
}

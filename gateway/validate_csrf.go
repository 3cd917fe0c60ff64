package gateway

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
)

func (e CSRFException) validate(path string, report reporter) {
	oneOf(report, path+".kind", e.Kind, forgeryWebhook, forgeryEmbedded, forgeryFormPost, forgeryCORS)
	if message := appPathProblem(kindWebhookPaths, e.Path); message != "" {
		report(path+".path", "%s", message)
	}
	switch {
	case e.Kind == forgeryWebhook && len(e.Origins) > 0:
		report(path+".origins", "a webhook comes from a program, which has no page; remove origins, or use kind embedded or cors")
	case e.Kind != forgeryWebhook && len(e.Origins) == 0:
		report(path+".origins", "is missing; name the pages that may, such as [https://www.example.org]")
	}
	for i, origin := range e.Origins {
		if message := originProblem(origin); message != "" {
			report(fmt.Sprintf("%s.origins[%d]", path, i), "%s", message)
		} else if origin == "null" && (e.Kind == forgeryCORS && e.Credentials) {
			report(fmt.Sprintf("%s.origins[%d]", path, i), "null is any page in a frame that hides its origin: it must not have the visitor's cookies; remove credentials, or name the origin")
		}
	}
	if e.Kind != forgeryCORS {
		if e.Methods != nil || e.Headers != nil || e.Credentials {
			report(path, "methods, headers and credentials belong to kind cors; remove them")
		}
		return
	}
	for i, method := range e.Methods {
		if !slices.Contains([]string{"POST", "PUT", "PATCH", "DELETE"}, method) {
			report(fmt.Sprintf("%s.methods[%d]", path, i), "%q is not one of POST, PUT, PATCH, DELETE; GET and HEAD need no entry", method)
		}
	}
	for i, name := range e.Headers {
		if !plainHeader(name) {
			report(fmt.Sprintf("%s.headers[%d]", path, i), "%q is not a plain name of letters, digits and dashes", name)
		}
	}
}

// originProblem says what is wrong with an origin (RFC 6454 7), or nothing.
func originProblem(origin string) string {
	const form = "write scheme and host as browsers send them, such as https://www.example.org, with a port only where it is not the scheme's own"
	if origin == "null" {
		return ""
	}
	u, err := url.Parse(origin)
	switch {
	case err != nil, u.Scheme != "https" && u.Scheme != "http", u.Host == "", u.User != nil:
		return fmt.Sprintf("%q is not an origin; %s", origin, form)
	case u.Path != "" || u.RawQuery != "" || u.Fragment != "" || strings.HasSuffix(origin, "/"):
		return fmt.Sprintf("%q has more than an origin; %s", origin, form)
	case u.Scheme == "https" && u.Port() == "443", u.Scheme == "http" && u.Port() == "80":
		return fmt.Sprintf("%q names the scheme's own port, which browsers leave out; %s", origin, form)
	case u.Scheme == "http" && u.Hostname() != "localhost":
		return fmt.Sprintf("%q comes without TLS: whoever sits on the network can write its pages; use https", origin)
	}
	return ""
}

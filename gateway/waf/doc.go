// Package waf is the web application firewall of a site: which rules are loaded, what differs between sites, and what a
// request and its answer look like to the rules.
//
// It knows requests, answers, rule sets (the OWASP Core Rule Set, and Doorward's own on top of it) and exclusions. It knows
// no chain, no session, no event and no configuration file: the gateway asks it about one request and does what it says.
//
// Rules are compiled once: sites whose rules are the same share one program, whatever their paranoia levels, thresholds and
// exclusions are. What a request can make it hold is capped: bodies by the site's limit, all bodies together by the
// engine's memory.
package waf

// Package syntax reads the rules of a web application firewall: the language that ModSecurity brought into the world, as
// far as the OWASP Core Rule Set and its users' files speak it.
//
// It knows the language and nothing else: no request, no engine, no site. What it returns is checked: ids are unique, chains
// have an end, places to jump to exist, every name is one that the engine knows. What it does not know is a problem with its
// file and line, never passed over; a directive that is about another program's log or disk is accepted and noted.
//
// The files come from whoever runs the firewall and are trusted more than requests, but what they may hold is capped all the
// same.
package syntax

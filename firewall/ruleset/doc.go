// Package ruleset is the host's base ruleset: what is let in by default, in a table of Doorward's own, for IPv4 and IPv6 alike. It
// writes the rules in nft's own language, puts them into force by nft, takes them back by itself unless somebody confirms them, and
// says how what is in force differs from what is wanted.
//
// It knows ports and networks. It must not know bans, which have a table of their own, nor change any table but its own.
package ruleset

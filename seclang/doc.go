// Package seclang runs the rules of a web application firewall over requests and their answers: the engine for the OWASP
// Core Rule Set and the files of its users.
//
// It knows transactions as texts that somebody feeds to it, and rules; no HTTP server, no site, no store, no event. Rules are
// compiled once into a Program that nothing changes and that all sites and goroutines share. A Transaction belongs to one
// request and one goroutine, is taken from a pool and goes back to it.
//
// There are two ways to evaluate the same rules. The plain one runs every rule over every value, one by one, as the rules
// are written: it is the measure. The fast one leaves out what cannot match. A test compares the two.
//
// Order is the order of the rules and of the request, so that the same request always has the same outcome. What a
// stranger can make grow (arguments, variables that rules make of names, matches) is capped, and each cap is counted.
package seclang

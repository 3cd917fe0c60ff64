// Package exclusion is the way from a refusal of the firewall to what is left out of its rules: it reads findings, knows the narrowest
// exclusion for each match, and keeps those that administrators took over, in the store and with an entry in the journal for each change.
//
// It knows events, rules' names for values and the store. It knows no request, no configuration and no gateway: whoever uses the
// exclusions is told of each change.
package exclusion

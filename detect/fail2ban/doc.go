// Package fail2ban reads the configuration of fail2ban 1.0.2 as it is and runs its filters on lines: jail.conf, jail.local,
// jail.d, filter.d and action.d with all their ways of referring to each other, and then the regular expressions, the
// dates and the state from line to line, so that what fail2ban would have found is found here.
//
// It knows text, time and configuration files. It knows no decision, no event and no firewall; it resolves no name and runs no
// command of a configuration: what it can't do is said in the Report of a jail, and nothing is dropped in silence.
package fail2ban

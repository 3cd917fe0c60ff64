// Package api is how commands talk to the running Doorward: HTTP and JSON over a unix socket in the data
// folder, which only root and the daemon's own user may use. The same handler serves a command that works
// on the store itself while no daemon runs, so that both ways behave alike.
//
// It knows the domains' methods and who is on the other end of the socket. It must not hold rules about
// accounts, sessions or the journal: those belong to the domains.
package api

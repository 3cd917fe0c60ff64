// Package gateway guards web applications: it ends TLS, judges every request and passes the allowed ones
// to the application, with the signed-in person's identity.
//
// It knows HTTP, sites, upstreams and the order in which a request is judged (chain.go). It must not know
// how accounts are stored, how the configuration file is read, or what the console shows.
package gateway

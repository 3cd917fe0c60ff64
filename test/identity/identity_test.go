// Package identity_test lets people sign in with the accounts that they have elsewhere: in a directory, Debian's slapd,
// and with an OpenID Connect provider, dex, that asks the same directory.
package identity_test

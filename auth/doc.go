// Package auth knows who people are: accounts and their roles, passwords, sign-ins and the sessions that
// follow from them, and the wait after failed sign-ins (M-40, M-41).
//
// The truth about sessions and accounts is the store; a session in use is also held in memory, so that a
// request costs no database. It must not know HTTP, cookies or pages (package pages does), nor sites' access
// rules (package gateway does).
package auth

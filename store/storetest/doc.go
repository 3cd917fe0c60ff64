// Package storetest gives tests real databases: SQLite in a temporary file, and PostgreSQL 15 started once
// for the test process from Debian's package.
//
// It knows how to start, stop and remove a PostgreSQL server of its own. It must not be imported by
// anything but tests.
package storetest

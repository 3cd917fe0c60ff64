// Package store opens Doorward's database, brings its schema forward and runs transactions on it.
//
// It knows two dialects, SQLite and PostgreSQL, and how to tell a database that cannot be used right now
// from a statement that is wrong. It must not know any domain type: each domain owns its queries in its
// own sql.go. One SQL text serves both dialects: placeholders are $1, $2, …, times are BIGINT
// microseconds (Micros, FromMicros), ids are UUIDv7 text made in Go (NewID).
package store

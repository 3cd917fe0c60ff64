// Package ingest reads what others wrote down: log files, the journal, syslog, and what applications keep in their own
// tables. It makes records of it, and events of those records that its parsers know.
//
// It knows files, formats and programs' ways of writing. It knows nothing of detections, decisions and bans: what it
// reads is given on, in order, together with the place at which to go on once that counts. Everything it reads was
// written by strangers, or with words that strangers chose.
package ingest

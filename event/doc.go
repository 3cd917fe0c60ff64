// Package event keeps the log of what happened: requests, sign-ins, findings, incidents.
//
// Append never blocks and never fails loudly, because the gateway calls it on every request: events wait in
// a bounded queue, and what does not fit is dropped and counted. Run writes them in batches, cleaned of
// bytes that a stranger chose to hide or forge a line with, into one SQLite file a day, or into daily
// partitions on PostgreSQL; retention removes whole days. The events of a day stand in the order of time
// and carry no further index: keeping one would cost several times the insert.
//
// The package knows nothing of who produces events or what they mean together; that is detection's work.
package event

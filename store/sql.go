package store

// The statements of this package; the probes run unchanged on both dialects.
const (
	sqlReadProbe  = `SELECT at FROM store_probe WHERE id = 1`
	sqlWriteProbe = `UPDATE store_probe SET at = $1 WHERE id = 1`
	// PostgreSQL only; the number is ours and arbitrary.
	sqlLockSchema   = `SELECT pg_advisory_lock(7233185901)`
	sqlUnlockSchema = `SELECT pg_advisory_unlock(7233185901)`
	sqlUnwaited     = `SET LOCAL synchronous_commit = off`
	// SQLite only.
	sqlEmptyLog = `PRAGMA wal_checkpoint(TRUNCATE)`
	sqlMoveLog  = `PRAGMA wal_checkpoint(PASSIVE)`
	sqlUnsynced = `PRAGMA synchronous = NORMAL`
	sqlSynced   = `PRAGMA synchronous = FULL`
)

package event

// The statements of this package. The rows of a day file stand in the order of time by their rowid, so
// SQLite and PostgreSQL differ here, as nowhere else.
const (
	// The view is for people with a SQLite shell. No column has an index.
	sqlFileSchema = `CREATE TABLE IF NOT EXISTS event (
			id INTEGER PRIMARY KEY, tail INTEGER NOT NULL, kind INTEGER NOT NULL,
			action TEXT, source TEXT, user_name TEXT, site TEXT, extra BLOB);
		CREATE VIEW IF NOT EXISTS event_view AS SELECT
			datetime((%[1]d + (id >> %[2]d)) / 1000000, 'unixepoch') AS utc, kind / 65536 AS class,
			(kind / 256) %% 256 AS outcome, kind %% 256 AS severity, action, source, user_name, site, extra
			FROM event`
	sqlFileInsert = `INSERT INTO event (id, tail, kind, action, source, user_name, site, extra) VALUES `
	sqlFileValues = `(?, ?, ?, ?, ?, ?, ?, ?)`
	sqlFileTail   = `SELECT tail FROM event WHERE id = $1`
	sqlFileQuery  = `SELECT id, tail, kind, action, source, user_name, site, extra FROM event
		WHERE id >= $1 AND id < $2%s ORDER BY id DESC LIMIT $3`

	sqlTableLock   = `SELECT pg_advisory_xact_lock(7233185902)`
	sqlTableSchema = `CREATE TABLE IF NOT EXISTS event (
		at BIGINT NOT NULL, tail BIGINT NOT NULL, kind INTEGER NOT NULL,
		action TEXT, source TEXT, user_name TEXT, site TEXT, extra BYTEA) PARTITION BY RANGE (at)`
	sqlPartition = `CREATE TABLE IF NOT EXISTS %s PARTITION OF event FOR VALUES FROM (%d) TO (%d)`
	sqlIsThere   = `SELECT COUNT(*) FROM %s WHERE at = $1 AND tail = $2`
	sqlDrop      = `DROP TABLE IF EXISTS %s`
	sqlDays      = `SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
		WHERE i.inhparent = to_regclass('event')`
	sqlTableQuery = `SELECT at, tail, kind, action, source, user_name, site, extra FROM %s
		WHERE at >= $1 AND at < $2%s ORDER BY at DESC, tail DESC LIMIT $3`
)

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

	// Both dialects; %s is the type of bytes. In a day file the day is always the same.
	sqlTallySchema = `CREATE TABLE IF NOT EXISTS event_minute (minute BIGINT NOT NULL, kind INTEGER NOT NULL,
			site TEXT NOT NULL, count BIGINT NOT NULL, PRIMARY KEY (minute, kind, site));
		CREATE TABLE IF NOT EXISTS event_hour (hour BIGINT NOT NULL, part INTEGER NOT NULL, data %[1]s NOT NULL);
		CREATE INDEX IF NOT EXISTS event_hour_hour ON event_hour (hour, part);
		CREATE TABLE IF NOT EXISTS event_batch (day BIGINT NOT NULL, seq BIGINT NOT NULL, rows_of %[1]s NOT NULL,
			PRIMARY KEY (day, seq))`
	sqlMinuteAdd = `INSERT INTO event_minute (minute, kind, site, count) VALUES ($1, $2, $3, $4)
		ON CONFLICT (minute, kind, site) DO UPDATE SET count = event_minute.count + excluded.count`
	sqlMinutes = `SELECT minute, kind, site, count FROM event_minute WHERE minute >= $1 AND minute < $2 ORDER BY minute DESC`
	sqlSites   = `SELECT DISTINCT site FROM event_minute WHERE minute >= $1 AND minute < $2 AND site <> ''`
	// part is 1 for the summaries of a single batch, 0 for those that were put together.
	sqlHourAdd   = `INSERT INTO event_hour (hour, part, data) VALUES ($1, $2, $3)`
	sqlHourTake  = `DELETE FROM event_hour WHERE hour >= $1 AND hour < $2 AND part = $3 RETURNING hour, data`
	sqlHours     = `SELECT data FROM event_hour WHERE hour >= $1 AND hour < $2`
	sqlBatchLast = `SELECT COALESCE(MAX(seq), 0) FROM event_batch WHERE day = $1`
	sqlBatchAdd  = `INSERT INTO event_batch (day, seq, rows_of) VALUES ($1, $2, $3)`
	sqlBatchNext = `SELECT seq, rows_of FROM event_batch WHERE day = $1 AND seq > $2 ORDER BY seq LIMIT 1`

	sqlFileCounted  = `SELECT COUNT(*) FROM sqlite_master WHERE name = 'event_batch'`
	sqlTableCounted = `SELECT COUNT(*) FROM pg_class WHERE oid = to_regclass('event_batch')`
	// Writers of all gateways take turns, so that batches become visible in the order of their numbers and
	// no two wait for each other's rows.
	sqlTallyLock        = `SELECT pg_advisory_xact_lock(7233185903)`
	sqlTallyMinutesDrop = `DELETE FROM event_minute WHERE minute >= $1 AND minute < $2`
	sqlTallyHoursDrop   = `DELETE FROM event_hour WHERE hour >= $1 AND hour < $2`
	sqlTallyBatchesDrop = `DELETE FROM event_batch WHERE day = $1`

	sqlTableLock   = `SELECT pg_advisory_xact_lock(7233185902)`
	sqlTableSchema = `CREATE TABLE IF NOT EXISTS event (
		at BIGINT NOT NULL, tail BIGINT NOT NULL, kind INTEGER NOT NULL,
			action TEXT, source TEXT, user_name TEXT, site TEXT, extra BYTEA) PARTITION BY RANGE (at);
		CREATE INDEX IF NOT EXISTS event_at ON event USING brin (at) WITH (autosummarize = on)`
	sqlPartition = `CREATE TABLE IF NOT EXISTS %s PARTITION OF event FOR VALUES FROM (%d) TO (%d)`
	sqlIsThere   = `SELECT COUNT(*) FROM %s WHERE at = $1 AND tail = $2`
	sqlDrop      = `DROP TABLE IF EXISTS %s`
	sqlDays      = `SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
		WHERE i.inhparent = to_regclass('event')`
	sqlTableQuery = `SELECT at, tail, kind, action, source, user_name, site, extra FROM %s
		WHERE at >= $1 AND at < $2%s ORDER BY at DESC, tail DESC LIMIT $3`
)

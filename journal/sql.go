package journal

// The statements of this package; they run unchanged on SQLite and PostgreSQL.
const (
	// The row lock this takes gives appends one order, whatever the database and however many gateways.
	sqlTakeHead = `UPDATE journal_head SET size = size + 1 WHERE id = 1 RETURNING size, note`
	sqlSetNote  = `UPDATE journal_head SET note = $1 WHERE id = 1`
	sqlGetHead  = `SELECT size, note FROM journal_head WHERE id = 1`

	sqlAddEntry = `INSERT INTO journal_entry (idx, at, actor, origin, action, target, before_json, after_json)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`
	sqlEntries = `SELECT idx, at, actor, origin, action, target, before_json, after_json
		FROM journal_entry WHERE idx >= $1 ORDER BY idx LIMIT $2`

	sqlAddHash   = `INSERT INTO journal_hash (idx, hash) VALUES ($1, $2)`
	sqlSomeHash  = `SELECT idx, hash FROM journal_hash WHERE idx IN (%s)`
	sqlHashesOn  = `SELECT idx, hash FROM journal_hash WHERE idx >= $1 ORDER BY idx LIMIT $2`
	sqlInventory = `SELECT (SELECT COUNT(*) FROM journal_head), COALESCE((SELECT size FROM journal_head WHERE id = 1), -1),
		COALESCE((SELECT note FROM journal_head WHERE id = 1), ''),
		(SELECT COUNT(*) FROM journal_entry), COALESCE((SELECT MIN(idx) FROM journal_entry), 0),
		COALESCE((SELECT MAX(idx) FROM journal_entry), -1),
		(SELECT COUNT(*) FROM journal_hash), COALESCE((SELECT MIN(idx) FROM journal_hash), 0),
		COALESCE((SELECT MAX(idx) FROM journal_hash), -1)`
)

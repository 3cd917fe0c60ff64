package decision

const (
	// The head's row is locked by its update, so that changes are numbered in the order of their commits.
	sqlTakeHead = `UPDATE decision_head SET revision = revision WHERE id = 1 RETURNING revision`
	sqlSetHead  = `UPDATE decision_head SET revision = $1 WHERE id = 1`
	sqlHead     = `SELECT revision, secret FROM decision_head WHERE id = 1`
	sqlSetKey   = `UPDATE decision_head SET secret = $1 WHERE id = 1 AND secret = ''`

	columns = `id, number, revision, target, action, origin, reason, created_at, until_at, repeats, spoofable, ended_at`

	sqlCountAll = `SELECT COUNT(*) FROM decision WHERE ended_at = 0`
	sqlStanding = `SELECT ` + columns + ` FROM decision WHERE ended_at = 0 AND (until_at = 0 OR until_at > $1)`
	sqlChanged  = `SELECT ` + columns + ` FROM decision WHERE revision > $1 AND revision <= $2 ORDER BY revision`
	sqlExpired  = `SELECT ` + columns + ` FROM decision WHERE until_at > $1 AND until_at <= $2 AND ended_at = 0 ORDER BY until_at`
	sqlPage     = `SELECT ` + columns + `, evidence FROM decision WHERE ended_at = 0 AND (until_at = 0 OR until_at > $1) AND number > $2
		AND ($3 = '' OR action = $3) AND ($4 = '' OR substr(origin, 1, length($4)) = $4) ORDER BY number LIMIT $5`
	sqlOne      = `SELECT ` + columns + `, evidence FROM decision WHERE id = $1`
	sqlEvidence = `SELECT evidence FROM decision WHERE id = $1`
	sqlOfOrigin = `SELECT id FROM decision WHERE ended_at = 0 AND (until_at = 0 OR until_at > $1) AND origin = $2 LIMIT $3`

	sqlInsert = `INSERT INTO decision (id, number, revision, target, action, origin, reason, evidence, created_at, until_at, repeats, spoofable)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) ON CONFLICT (target, action) WHERE ended_at = 0 DO NOTHING`
	// What ran out still holds its target's place until something new takes it.
	sqlVacate = `UPDATE decision SET ended_at = until_at, ended_why = 'expired' WHERE target = $1 AND action = $2 AND ended_at = 0`
	sqlChange = `UPDATE decision SET revision = $1, until_at = $2, origin = $3, reason = $4, evidence = $5, spoofable = $6 WHERE id = $7`
	sqlEnd    = `UPDATE decision SET revision = $1, ended_at = $2, ended_why = $3 WHERE id = $4 AND ended_at = 0`

	sqlAddOffence = `INSERT INTO decision_offence (trigger_key, target, at, stored_at, counted) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (trigger_key) DO NOTHING`
	// No factor and maximum need more than a thousand. As a parameter, SQLite would read the statement anew for each value that is bound.
	sqlCountOffences = `SELECT COUNT(*) FROM (SELECT 1 FROM decision_offence WHERE target = $1 AND at > $2 AND at <= $3 AND counted = 1 LIMIT 1000) AS o`
	sqlForgive       = `UPDATE decision_offence SET counted = 0 WHERE target = $1`
	sqlCountKept     = `SELECT COUNT(*) FROM decision_offence`

	sqlOldestEnded    = `SELECT ended_at FROM decision WHERE ended_at > 0 ORDER BY ended_at LIMIT 1 OFFSET $1`
	sqlCountEnded     = `SELECT COUNT(*) FROM decision WHERE ended_at > 0`
	sqlDropEnded      = `DELETE FROM decision WHERE ended_at > 0 AND ended_at <= $1`
	sqlDropExpired    = `DELETE FROM decision WHERE ended_at = 0 AND until_at > 0 AND until_at < $1`
	sqlDropOffences   = `DELETE FROM decision_offence WHERE stored_at <= $1`
	sqlOldestOffences = `SELECT stored_at FROM decision_offence ORDER BY stored_at LIMIT 1 OFFSET $1`
	sqlNames          = `SELECT name, addresses FROM decision_name`
	sqlForgetName     = `DELETE FROM decision_name WHERE name = $1`
	sqlRememberName   = `INSERT INTO decision_name (name, addresses, resolved_at) VALUES ($1, $2, $3)`

	sqlCountMade     = `SELECT COUNT(*) FROM decision WHERE action = $1 AND created_at >= $2 AND created_at < $3`
	sqlCountStanding = `SELECT COUNT(*) FROM decision WHERE action = $1 AND ended_at = 0 AND (until_at = 0 OR until_at > $2)`
	sqlMadeByOrigin  = `SELECT origin, COUNT(*) FROM decision WHERE action = $1 AND created_at >= $2 AND created_at < $3
		GROUP BY origin ORDER BY COUNT(*) DESC, origin LIMIT $4`
	sqlMadeByTarget = `SELECT target, MAX(repeats) + 1 FROM decision WHERE action = $1 AND created_at >= $2 AND created_at < $3
		GROUP BY target ORDER BY MAX(repeats) DESC, target LIMIT $4`
)

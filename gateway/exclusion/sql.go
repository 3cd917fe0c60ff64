package exclusion

const (
	// The head's row is locked by its update, so that the cap holds and no change is overlooked.
	sqlTakeHead = `UPDATE waf_exclusion_head SET revision = revision + 1 WHERE id = 1`
	sqlHead     = `SELECT revision FROM waf_exclusion_head WHERE id = 1`

	columns = `id, site, path, rule, target, reason, request, created_at, created_by`

	sqlAll   = `SELECT ` + columns + ` FROM waf_exclusion ORDER BY site, path, id LIMIT $1`
	sqlCount = `SELECT COUNT(*) FROM waf_exclusion`
	sqlSame  = `SELECT ` + columns + ` FROM waf_exclusion WHERE site = $1 AND path = $2 AND rule = $3 AND target = $4`
	sqlNamed = `SELECT ` + columns + ` FROM waf_exclusion WHERE id = $1 OR request = $2 ORDER BY id`

	sqlInsert = `INSERT INTO waf_exclusion (` + columns + `) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`
	sqlDelete = `DELETE FROM waf_exclusion WHERE id = $1`
)

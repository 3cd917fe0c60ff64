package bouncer

const (
	sqlKeys = `SELECT name, key_hash, created_at, created_by, used_at, address, agent, revision, pulled_at FROM decision_bouncer
		ORDER BY name LIMIT $1`
	sqlCount  = `SELECT COUNT(*) FROM decision_bouncer`
	sqlExists = `SELECT COUNT(*) FROM decision_bouncer WHERE name = $1`
	sqlAdd    = `INSERT INTO decision_bouncer (name, key_hash, created_at, created_by) VALUES ($1, $2, $3, $4)`
	sqlRemove = `DELETE FROM decision_bouncer WHERE name = $1`
	sqlUsed   = `UPDATE decision_bouncer SET used_at = $1, address = $2, agent = $3 WHERE name = $4 AND key_hash = $5`
	sqlPulled = `UPDATE decision_bouncer SET used_at = $1, address = $2, agent = $3, revision = $4, pulled_at = $5 WHERE name = $6 AND key_hash = $7`
)

package auth

// The statements about how people come by an account, and back into one.
const (
	sqlCountResets = `SELECT COUNT(*) FROM reset_request`

	sqlInsertReset = `INSERT INTO reset_request (id, sealed, created_at) VALUES ($1, $2, $3)`

	sqlResets = `SELECT id, sealed FROM reset_request ORDER BY created_at, id LIMIT $1`

	sqlDeleteReset = `DELETE FROM reset_request WHERE id = $1`

	sqlForgetResets = `DELETE FROM reset_request WHERE created_at < $1`

	sqlKnownToAny = `SELECT COUNT(*) FROM known_address WHERE prefix = $1`

	sqlUseLinksOf = `UPDATE mailed_link SET expires_at = $1 WHERE principal_id = $2 AND kind = $3 AND expires_at > $1`
)

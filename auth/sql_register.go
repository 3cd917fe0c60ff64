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

	sqlInvitationColumns = `SELECT id, email, name, display_name, language, roles, invited_by, created_at, expires_at, ended_at, ended_how
FROM invitation`

	sqlInvitations = sqlInvitationColumns + ` ORDER BY created_at DESC, id DESC LIMIT $1`

	sqlInvitationByID = sqlInvitationColumns + ` WHERE id = $1`

	sqlInvitationByHash = sqlInvitationColumns + ` WHERE hash = $1 AND ended_at = 0 AND expires_at > $2`

	sqlCountInvitations = `SELECT COUNT(*) FROM invitation WHERE ended_at = 0 AND expires_at > $1`

	sqlInsertInvitation = `INSERT INTO invitation (id, hash, email, email_key, name, display_name, language, roles, invited_by, created_at, expires_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`

	sqlReplaceInvitations = `UPDATE invitation SET ended_at = $1, ended_how = 'replaced' WHERE email_key = $2 AND ended_at = 0`

	sqlEndInvitation = `UPDATE invitation SET ended_at = $1, ended_how = $2 WHERE id = $3 AND ended_at = 0`

	sqlForgetInvitations = `DELETE FROM invitation WHERE expires_at < $1`

	sqlDisabledName = `SELECT COUNT(*) FROM principal WHERE name_key = $1 AND disabled_at > 0`
)

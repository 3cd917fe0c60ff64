package auth

// The statements about API tokens, reviews and what administrators see of accounts. A time of 0 means never.
const (
	sqlNoteLastSignIn = `UPDATE principal SET last_sign_in_at = $1 WHERE id = $2`

	sqlLastSignIn = `SELECT last_sign_in_at FROM principal WHERE id = $1`

	sqlTokenColumns = `SELECT t.id, p.name, t.name, t.privileges, t.hosts, t.networks, t.created_at, t.expires_at, t.last_used_at
FROM api_token t JOIN principal p ON p.id = t.principal_id WHERE t.ended_at = 0`

	sqlAllAPITokens = sqlTokenColumns + ` ORDER BY p.name_key, t.created_at, t.id`

	sqlAPITokens = sqlAllAPITokens + ` LIMIT $1`

	sqlAPITokensOf = sqlTokenColumns + ` AND t.principal_id = $2 ORDER BY t.created_at, t.id LIMIT $1`

	sqlGoodTokensOf = `SELECT id, privileges FROM api_token WHERE principal_id = $1 AND ended_at = 0 AND expires_at > $2`

	sqlAPIToken = sqlTokenColumns + ` AND t.id = $1`

	sqlCountTokens = `SELECT COUNT(*), COALESCE(SUM(CASE WHEN name = $2 THEN 1 ELSE 0 END), 0) FROM api_token
WHERE principal_id = $1 AND ended_at = 0 AND expires_at > $3`

	sqlInsertAPIToken = `INSERT INTO api_token (id, principal_id, name, hash, privileges, hosts, networks, created_at, expires_at, changed_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $8)`

	sqlEndToken = `UPDATE api_token SET ended_at = $1, changed_at = $1, ended_why = $2 WHERE id = $3 AND ended_at = 0`

	sqlEndTokensOf = `UPDATE api_token SET ended_at = $1, changed_at = $1, ended_why = $2 WHERE principal_id = $3 AND ended_at = 0`

	sqlTouchTokensOf = `UPDATE api_token SET changed_at = $1 WHERE principal_id = $2 AND ended_at = 0`

	sqlTokensChanged = `SELECT id, changed_at FROM api_token WHERE changed_at >= $1`

	sqlTokenUsed = `UPDATE api_token SET last_used_at = $1 WHERE id = $2 AND last_used_at < $1`

	sqlPruneAPITokens = `DELETE FROM api_token WHERE ended_at > 0 AND ended_at < $1 OR expires_at < $1`

	// An ended or expired token is found too: that it is known tells a slip from a guess.
	sqlTokenByHash = `SELECT ` + sqlPrincipalColumns + `, COALESCE(r.role, ''), t.id, t.privileges, t.hosts, t.networks, t.created_at,
t.expires_at, t.last_used_at, t.ended_at, t.changed_at
FROM api_token t
JOIN principal p ON p.id = t.principal_id
LEFT JOIN principal_role r ON r.principal_id = p.id
WHERE t.hash = $1`

	sqlFactorCounts = `SELECT p.id, p.last_sign_in_at,
(SELECT COUNT(*) FROM totp t WHERE t.principal_id = p.id AND t.confirmed = 1),
(SELECT COUNT(*) FROM passkey k WHERE k.principal_id = p.id) FROM principal p`

	sqlFirstAccount = `SELECT COALESCE(MIN(created_at), 0) FROM principal`

	sqlReviewColumns = `SELECT id, created_at, due_at, reviewer, origin, note, findings FROM access_review`

	sqlReviews = sqlReviewColumns + ` ORDER BY created_at DESC, id DESC LIMIT $1`

	sqlReview = `SELECT id, created_at, due_at, reviewer, origin, note, findings, snapshot FROM access_review WHERE id = $1`

	sqlLastReview = `SELECT id, created_at, due_at, reviewer, origin, note, findings, snapshot FROM access_review
ORDER BY created_at DESC, id DESC LIMIT 1`

	sqlInsertReview = `INSERT INTO access_review (id, created_at, due_at, reviewer, origin, note, findings, snapshot)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`
)

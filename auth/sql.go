package auth

// The statements of this package; they run unchanged on both dialects. A time of 0 means never.
const (
	sqlPrincipalColumns = `p.id, p.name, p.email, p.display_name, p.disabled_at, p.created_at, p.changed_at,
p.phone, p.language, p.origin, p.must_change`

	sqlAccountByName = `SELECT ` + sqlPrincipalColumns + `, COALESCE(w.phc, ''), COALESCE(w.created_at, 0)
FROM principal p LEFT JOIN password w ON w.principal_id = p.id AND w.current = 1
WHERE p.name_key = $1`

	sqlAccountByEmail = `SELECT ` + sqlPrincipalColumns + `, COALESCE(w.phc, ''), COALESCE(w.created_at, 0)
FROM principal p LEFT JOIN password w ON w.principal_id = p.id AND w.current = 1
WHERE p.email_key = $1`

	sqlAccountByID = `SELECT ` + sqlPrincipalColumns + `, COALESCE(w.phc, ''), COALESCE(w.created_at, 0)
FROM principal p LEFT JOIN password w ON w.principal_id = p.id AND w.current = 1
WHERE p.id = $1`

	sqlPrincipals = `SELECT ` + sqlPrincipalColumns + `, COALESCE(r.role, '')
FROM principal p LEFT JOIN principal_role r ON r.principal_id = p.id
ORDER BY p.name_key, p.id`

	sqlRoles = `SELECT role FROM principal_role WHERE principal_id = $1`

	sqlInsertPrincipal = `INSERT INTO principal
(id, name, name_key, email, email_key, display_name, disabled_at, created_at, changed_at, phone, phone_key, language, origin, must_change)
VALUES ($1, $2, $3, $4, $5, $6, 0, $7, $8, $9, $10, $11, $12, $13)`

	sqlTaken = `SELECT COUNT(*) FROM principal WHERE name_key = $1`

	sqlTakenEmail = `SELECT COUNT(*) FROM principal WHERE email_key = $1`

	sqlSetDisabled = `UPDATE principal SET disabled_at = $1, changed_at = $2 WHERE id = $3`

	sqlSetChanged = `UPDATE principal SET changed_at = $1 WHERE id = $2`

	sqlDeleteRoles = `DELETE FROM principal_role WHERE principal_id = $1`

	sqlInsertRole = `INSERT INTO principal_role (principal_id, role) VALUES ($1, $2)`

	// An owner whom nobody can be yet is none: their account has no password, and nobody has come to it by another system.
	sqlOtherOwners = `SELECT COUNT(*) FROM principal p JOIN principal_role r ON r.principal_id = p.id
WHERE r.role = 'owner' AND p.disabled_at = 0 AND p.id <> $1
AND (EXISTS (SELECT 1 FROM password w WHERE w.principal_id = p.id)
OR EXISTS (SELECT 1 FROM external_identity e WHERE e.principal_id = p.id)
OR EXISTS (SELECT 1 FROM passkey k WHERE k.principal_id = p.id))`

	sqlNewestPassword = `SELECT COALESCE(MAX(created_at), 0) FROM password WHERE principal_id = $1`

	sqlRetirePassword = `UPDATE password SET current = 0 WHERE principal_id = $1 AND current = 1`

	sqlFormerPasswords = `SELECT phc FROM password WHERE principal_id = $1 ORDER BY created_at DESC LIMIT $2`

	sqlSetMustChange = `UPDATE principal SET must_change = $1, changed_at = $2 WHERE id = $3`

	sqlInsertPassword = `INSERT INTO password (principal_id, created_at, phc, current) VALUES ($1, $2, $3, 1)`

	// The same password with other parameters is no new password, so its row stays.
	sqlRehash = `UPDATE password SET phc = $1 WHERE principal_id = $2 AND current = 1 AND phc = $3`

	sqlInsertSignIn = `INSERT INTO sign_in (id, principal_id, realm, level, address, user_agent, created_at, last_seen_at,
idle_seconds, expires_at, ended_at, ended_why, methods, remember, provider, provider_sid)
VALUES ($1, $2, $3, $4, $5, $6, $7, $7, $8, $9, 0, '', $10, $11, $12, $13)`

	sqlInsertToken = `INSERT INTO session_token (hash, sign_in_id, host, created_at) VALUES ($1, $2, $3, $4)`

	sqlSignInOfToken = `SELECT s.id FROM session_token t JOIN sign_in s ON s.id = t.sign_in_id
WHERE t.hash = $1 AND t.host = $2 AND s.realm = $3 AND s.ended_at = 0`

	sqlEndSignIn = `UPDATE sign_in SET ended_at = $1, ended_why = $2 WHERE id = $3 AND ended_at = 0`

	sqlTooMany = `SELECT id FROM sign_in WHERE principal_id = $1 AND ended_at = 0 AND expires_at > $2
ORDER BY last_seen_at DESC, id DESC LIMIT 1000 OFFSET $3`

	sqlEndedBeyond = `(SELECT id FROM sign_in WHERE principal_id = $1 AND ended_at > 0 AND ended_at < $2
ORDER BY ended_at DESC, id DESC LIMIT $3 OFFSET $4)`

	sqlForgetEndedTokens = `DELETE FROM session_token WHERE sign_in_id IN ` + sqlEndedBeyond

	sqlForgetEnded = `DELETE FROM sign_in WHERE id IN ` + sqlEndedBeyond

	sqlSession = `SELECT ` + sqlPrincipalColumns + `, COALESCE(r.role, ''),
s.id, s.level, s.address, s.user_agent, s.created_at, s.last_seen_at, s.idle_seconds, s.expires_at, s.methods, s.remember
FROM session_token t
JOIN sign_in s ON s.id = t.sign_in_id
JOIN principal p ON p.id = s.principal_id
LEFT JOIN principal_role r ON r.principal_id = p.id
WHERE t.hash = $1 AND t.host = $2 AND s.realm = $3 AND s.ended_at = 0 AND p.disabled_at = 0`

	sqlEndedSince = `SELECT id FROM sign_in WHERE ended_at >= $1`

	sqlLiveOf = `SELECT id FROM sign_in WHERE principal_id = $1 AND ended_at = 0`

	sqlLive = `SELECT id FROM sign_in WHERE ended_at = 0`

	sqlSessionInfoColumns = `SELECT s.id, p.name, s.realm, s.address, s.user_agent, s.created_at, s.last_seen_at, s.expires_at,
COALESCE((SELECT MIN(t.host) FROM session_token t WHERE t.sign_in_id = s.id), ''), s.level, s.methods
FROM sign_in s JOIN principal p ON p.id = s.principal_id
WHERE s.ended_at = 0 AND s.expires_at > $1 AND s.last_seen_at + s.idle_seconds * 1000000 > $1`

	sqlSessionInfos = sqlSessionInfoColumns + ` ORDER BY s.created_at DESC, s.id DESC LIMIT $2`

	sqlSessionInfosOf = sqlSessionInfoColumns + ` AND p.id = $3 ORDER BY s.created_at DESC, s.id DESC LIMIT $2`

	sqlSessionInfo = sqlSessionInfoColumns + ` AND s.id = $2`

	sqlOwnSession = sqlSessionInfo + ` AND p.id = $3`

	sqlSetLanguage = `UPDATE principal SET language = $1, changed_at = $2 WHERE id = $3`

	sqlEndExpired = `UPDATE sign_in SET ended_at = $1, ended_why = 'expired'
WHERE ended_at = 0 AND (expires_at < $1 OR last_seen_at + idle_seconds * 1000000 < $2)`

	sqlPruneTokens = `DELETE FROM session_token WHERE sign_in_id IN
(SELECT id FROM sign_in WHERE ended_at > 0 AND ended_at < $1)`

	sqlPruneSignIns = `DELETE FROM sign_in WHERE ended_at > 0 AND ended_at < $1`

	sqlSeen = `UPDATE sign_in SET last_seen_at = $1 WHERE id = $2 AND ended_at = 0 AND last_seen_at < $1`

	sqlPutFailure = `INSERT INTO sign_in_failure (key, accounts, failures, wait_until, updated_at)
VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (key) DO UPDATE SET accounts = excluded.accounts, failures = excluded.failures,
wait_until = excluded.wait_until, updated_at = excluded.updated_at`

	sqlFailure = `SELECT accounts, wait_until, updated_at FROM sign_in_failure WHERE key = $1`

	sqlDeleteFailure = `DELETE FROM sign_in_failure WHERE key = $1`

	sqlDeleteOldFailures = `DELETE FROM sign_in_failure WHERE updated_at < $1`

	sqlFamiliar = `SELECT address FROM sign_in GROUP BY address ORDER BY MAX(created_at) DESC LIMIT $1`

	sqlFailures = `SELECT key, accounts, wait_until, updated_at FROM sign_in_failure
WHERE updated_at >= $1 ORDER BY updated_at DESC LIMIT $2`
)

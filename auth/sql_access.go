package auth

// The statements about what a sign-in needs besides the password, and where people come from.
const (
	sqlCountFactors = `SELECT (SELECT COUNT(*) FROM totp t WHERE t.principal_id = p.id AND t.confirmed = 1),
(SELECT COUNT(*) FROM passkey k WHERE k.principal_id = p.id) FROM principal p WHERE p.id = $1`

	sqlPendingColumns = `SELECT id, principal_id, phc, realm, host, site, address, user_agent, return_to, previous, device,
level, want, methods, remember, provider, provider_sid, failures, link_hash, released_at, created_at, expires_at FROM pending_sign_in`

	sqlPendingByToken = sqlPendingColumns + ` WHERE hash = $1 AND realm = $2 AND host = $3 AND expires_at > $4`

	sqlPendingByID = sqlPendingColumns + ` WHERE id = $1`

	sqlLivePendingByID = sqlPendingColumns + ` WHERE id = $1 AND expires_at > $2`

	sqlInsertPending = `INSERT INTO pending_sign_in (id, hash, principal_id, phc, realm, host, site, address, user_agent, return_to,
previous, device, level, want, methods, remember, provider, provider_sid, released_at, created_at, expires_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21)`

	sqlUpdatePending = `UPDATE pending_sign_in SET level = $1, methods = $2, phc = $3 WHERE id = $4`

	sqlHoldPending = `UPDATE pending_sign_in SET link_hash = $1, expires_at = $2 WHERE id = $3`

	// A released sign-in has as long again for the steps that follow.
	sqlReleasePending = `UPDATE pending_sign_in SET released_at = $1, expires_at = $2 WHERE id = $3`

	sqlFailPending = `UPDATE pending_sign_in SET failures = failures + 1 WHERE id = $1`

	sqlEndFailedPending = `DELETE FROM pending_sign_in WHERE id = $1 AND failures >= $2`

	sqlDeletePending = `DELETE FROM pending_sign_in WHERE id = $1`

	sqlDeletePendingOf = `DELETE FROM pending_sign_in WHERE principal_id = $1`

	sqlDeleteAllPending = `DELETE FROM pending_sign_in`

	sqlPrunePending = `DELETE FROM pending_sign_in WHERE principal_id = $1 AND id NOT IN
(SELECT id FROM pending_sign_in s WHERE principal_id = $1 ORDER BY
(SELECT COUNT(*) FROM known_device d WHERE d.principal_id = $1 AND d.hash = s.device) DESC, created_at DESC, id DESC LIMIT $2)`

	sqlForgetPending = `DELETE FROM pending_sign_in WHERE expires_at < $1`

	sqlIsTrusted = `SELECT COUNT(*) FROM known_address WHERE principal_id = $1 AND prefix = $2 AND trusted_until > $3`

	sqlCountAddress = `SELECT COUNT(*) FROM known_address WHERE principal_id = $1 AND prefix = $2`

	sqlPutAddress = `INSERT INTO known_address (principal_id, prefix, how, created_at, seen_at, trusted_until)
VALUES ($1, $2, $3, $4, $4, $5)
ON CONFLICT (principal_id, prefix) DO UPDATE SET seen_at = excluded.seen_at,
how = CASE WHEN excluded.trusted_until > known_address.trusted_until THEN excluded.how ELSE known_address.how END,
trusted_until = CASE WHEN excluded.trusted_until > known_address.trusted_until THEN excluded.trusted_until
ELSE known_address.trusted_until END`

	sqlPruneAddresses = `DELETE FROM known_address WHERE principal_id = $1 AND prefix NOT IN
(SELECT prefix FROM known_address WHERE principal_id = $1 ORDER BY seen_at DESC, prefix LIMIT $2)`

	sqlAddressesOf = `SELECT prefix, how, created_at, seen_at, trusted_until FROM known_address
WHERE principal_id = $1 ORDER BY seen_at DESC, prefix`

	sqlDeleteAddress = `DELETE FROM known_address WHERE principal_id = $1 AND prefix = $2`

	sqlDeleteAddressesOf = `DELETE FROM known_address WHERE principal_id = $1`

	sqlSeenDevice = `UPDATE known_device SET seen_at = $1 WHERE principal_id = $2 AND hash = $3`

	sqlInsertDevice = `INSERT INTO known_device (principal_id, hash, user_agent, created_at, seen_at) VALUES ($1, $2, $3, $4, $4)`

	sqlPruneDevices = `DELETE FROM known_device WHERE principal_id = $1 AND hash NOT IN
(SELECT hash FROM known_device WHERE principal_id = $1 ORDER BY seen_at DESC, hash LIMIT $2)`

	sqlDeleteDevicesOf = `DELETE FROM known_device WHERE principal_id = $1`

	sqlFamiliarBy = `SELECT (SELECT COUNT(*) FROM known_address WHERE principal_id = $1 AND prefix = $2),
(SELECT COUNT(*) FROM known_device WHERE principal_id = $1 AND hash = $3)`

	sqlIdentity = `SELECT principal_id FROM external_identity WHERE provider = $1 AND subject = $2`

	sqlPutIdentity = `INSERT INTO external_identity (provider, subject, principal_id, created_at, seen_at) VALUES ($1, $2, $3, $4, $4)
ON CONFLICT (provider, subject) DO UPDATE SET seen_at = excluded.seen_at`

	sqlAskedAfter = `UPDATE external_identity SET seen_at = $1 WHERE provider = $2 AND subject = $3`

	// What makes an account somebody's, besides a password.
	// A password that was made useless counts too: its owner is on the way to another.
	sqlClaims = `SELECT (SELECT COUNT(*) FROM external_identity e WHERE e.principal_id = p.id) +
(SELECT COUNT(*) FROM password w WHERE w.principal_id = p.id) +
(SELECT COUNT(*) FROM totp t WHERE t.principal_id = p.id AND t.confirmed = 1) +
(SELECT COUNT(*) FROM passkey k WHERE k.principal_id = p.id) FROM principal p WHERE p.id = $1`

	sqlIdentitiesOf = `SELECT provider, subject FROM external_identity WHERE principal_id = $1 ORDER BY provider, subject`

	sqlProviderOf = `SELECT provider, provider_sid FROM sign_in WHERE id = $1`

	sqlSessionsOfSID = `SELECT id FROM sign_in WHERE provider = $1 AND provider_sid = $2 AND ended_at = 0 AND created_at <= $3`

	sqlSessionsOfSubject = `SELECT s.id FROM sign_in s JOIN external_identity e ON e.principal_id = s.principal_id AND e.provider = s.provider
WHERE s.provider = $1 AND e.subject = $2 AND s.ended_at = 0 AND s.created_at <= $3`

	sqlEndPendingOfSID = `DELETE FROM pending_sign_in WHERE provider = $1 AND provider_sid = $2`

	sqlEndPendingOfSubject = `DELETE FROM pending_sign_in WHERE provider = $1
AND principal_id IN (SELECT e.principal_id FROM external_identity e WHERE e.provider = $1 AND e.subject = $2)`

	// Who was asked after longest ago comes first, so that everybody's turn comes. An API token is a session too.
	sqlInUseBy = `SELECT e.subject FROM external_identity e WHERE e.provider = $1
AND (EXISTS (SELECT 1 FROM sign_in s WHERE s.principal_id = e.principal_id AND s.ended_at = 0)
OR EXISTS (SELECT 1 FROM api_token t WHERE t.principal_id = e.principal_id AND t.ended_at = 0 AND t.expires_at > $3))
ORDER BY e.seen_at, e.subject LIMIT $2`

	sqlCountLinks = `SELECT COUNT(*) FROM mailed_link WHERE principal_id = $1 AND kind = $2 AND created_at > $3`

	sqlInsertLink = `INSERT INTO mailed_link (hash, kind, principal_id, data, created_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6)`

	sqlLink = `SELECT principal_id, data FROM mailed_link WHERE hash = $1 AND kind = $2 AND expires_at > $3`

	// A link that was used was never good: neither a request that began before the use may find it so, nor a gateway whose clock is
	// behind.
	sqlUseLink = `UPDATE mailed_link SET expires_at = 0 WHERE hash = $1`

	// Those of the last hour stay for its count, used or not.
	sqlForgetLinks = `DELETE FROM mailed_link WHERE expires_at < $1 AND created_at < $1`

	sqlRate = `SELECT count FROM sign_in_rate WHERE key = $1 AND window_start = $2`

	sqlCountRate = `INSERT INTO sign_in_rate (key, window_start, count) VALUES ($1, $2, 1)
ON CONFLICT (key, window_start) DO UPDATE SET count = sign_in_rate.count + 1`

	sqlForgetRates = `DELETE FROM sign_in_rate WHERE window_start < $1`

	// Counts of sign-ins, whose windows are shorter than others'.
	sqlForgetSignInRates = `DELETE FROM sign_in_rate WHERE window_start < $1 AND SUBSTR(key, 1, 6) IN ('staff ', 'users ')`

	sqlFailureAddresses = `SELECT addresses FROM failure_notice WHERE principal_id = $1 AND failures > 0`

	sqlNoteFailure = `INSERT INTO failure_notice (principal_id, failures, addresses, host, realm, first_at, last_at, mailed_at)
VALUES ($1, 1, $2, $4, $5, $3, $3, 0)
ON CONFLICT (principal_id) DO UPDATE SET failures = failure_notice.failures + 1, addresses = excluded.addresses,
host = excluded.host, realm = excluded.realm, last_at = excluded.last_at,
first_at = CASE WHEN failure_notice.failures = 0 THEN excluded.first_at ELSE failure_notice.first_at END`

	sqlDueNotices = `SELECT principal_id FROM failure_notice WHERE failures > 0 AND first_at < $1 AND mailed_at < $2
ORDER BY first_at LIMIT 100`

	sqlNotice = `SELECT failures, addresses, host, realm, first_at, last_at, mailed_at FROM failure_notice WHERE principal_id = $1`

	sqlNoticeTold = `UPDATE failure_notice SET failures = 0, addresses = '', mailed_at = $1 WHERE principal_id = $2`
)

package auth

// The statements about second factors; they run unchanged on both dialects. A time of 0 means never.
const (
	sqlFactorOwner = `SELECT ` + sqlPrincipalColumns + ` FROM principal p WHERE p.id = $1`

	sqlSetting = `SELECT value FROM setting WHERE name = $1`

	sqlPutSetting = `INSERT INTO setting (name, value) VALUES ($1, $2)
ON CONFLICT (name) DO UPDATE SET value = excluded.value`

	sqlTOTP = `SELECT sealed, created_at, last_step FROM totp WHERE principal_id = $1 AND confirmed = $2`

	sqlPutTOTP = `INSERT INTO totp (principal_id, confirmed, sealed, created_at, last_step) VALUES ($1, 0, $2, $3, 0)
ON CONFLICT (principal_id, confirmed) DO UPDATE SET sealed = excluded.sealed, created_at = excluded.created_at,
last_step = excluded.last_step`

	sqlDeleteTOTP = `DELETE FROM totp WHERE principal_id = $1 AND confirmed = $2`

	sqlConfirmTOTP = `UPDATE totp SET confirmed = 1, created_at = $1, last_step = $2 WHERE principal_id = $3 AND confirmed = 0`

	sqlUseTOTP = `UPDATE totp SET last_step = $1 WHERE principal_id = $2 AND confirmed = 1 AND last_step < $1`

	sqlWrongCodes = `SELECT times FROM wrong_code WHERE principal_id = $1`

	sqlPutWrongCodes = `INSERT INTO wrong_code (principal_id, times) VALUES ($1, $2)
ON CONFLICT (principal_id) DO UPDATE SET times = excluded.times`

	sqlDeleteWrongCodes = `DELETE FROM wrong_code WHERE principal_id = $1`

	sqlRecoveryLeft = `SELECT COUNT(*) FROM recovery_code WHERE principal_id = $1 AND used_at = 0`

	sqlDeleteRecovery = `DELETE FROM recovery_code WHERE principal_id = $1`

	sqlInsertRecovery = `INSERT INTO recovery_code (principal_id, mac, created_at, used_at) VALUES ($1, $2, $3, 0)`

	sqlUseRecovery = `UPDATE recovery_code SET used_at = $1 WHERE principal_id = $2 AND mac = $3 AND used_at = 0`

	sqlPasskeyColumns = `SELECT k.id, k.principal_id, k.credential_id, k.public_key, k.name, k.transports, k.attachment,
k.sign_count, k.user_verified, k.backup_eligible, k.backed_up, k.created_at, k.last_used_at
FROM passkey k JOIN principal p ON p.id = k.principal_id`

	sqlPasskeys = sqlPasskeyColumns + ` WHERE k.principal_id = $1 ORDER BY k.id`

	sqlPasskey = sqlPasskeyColumns + ` WHERE k.id = $1 AND k.principal_id = $2`

	sqlPasskeyByCredential = sqlPasskeyColumns + ` WHERE k.credential_id = $1 AND p.disabled_at = 0`

	sqlInsertPasskey = `INSERT INTO passkey (id, principal_id, credential_id, public_key, name, aaguid, transports, attachment,
sign_count, user_verified, backup_eligible, backed_up, created_at, last_used_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, 0)`

	sqlCredentialTaken = `SELECT COUNT(*) FROM passkey WHERE credential_id = $1`

	sqlUsePasskey = `UPDATE passkey SET sign_count = $1, user_verified = $2, backed_up = $3, last_used_at = $4 WHERE id = $5`

	sqlRenamePasskey = `UPDATE passkey SET name = $1 WHERE id = $2 AND principal_id = $3`

	sqlDeletePasskey = `DELETE FROM passkey WHERE id = $1 AND principal_id = $2`

	sqlDeletePasskeys = `DELETE FROM passkey WHERE principal_id = $1`

	sqlCountPasskeys = `SELECT COUNT(*), COUNT(DISTINCT principal_id) FROM passkey`

	sqlUseOnce = `INSERT INTO used_once (hash, expires_at) VALUES ($1, $2) ON CONFLICT (hash) DO NOTHING`

	sqlPruneUsedOnce = `DELETE FROM used_once WHERE expires_at < $1`
)

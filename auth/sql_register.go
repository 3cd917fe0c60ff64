package auth

// The statements about how people come by an account, and back into one.
const (
	sqlCountResets = `SELECT COUNT(*) FROM reset_request`

	sqlInsertReset = `INSERT INTO reset_request (id, sealed, created_at) VALUES ($1, $2, $3)`

	sqlResets = `SELECT id, sealed FROM reset_request ORDER BY created_at, id LIMIT $1`

	sqlDeleteReset = `DELETE FROM reset_request WHERE id = $1`

	sqlForgetResets = `DELETE FROM reset_request WHERE created_at < $1`

	sqlKnownToAny = `SELECT COUNT(*) FROM known_address WHERE prefix = $1`

	sqlUseLinksOf = `UPDATE mailed_link SET expires_at = 0 WHERE principal_id = $1 AND kind = $2`

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

	sqlRegistrationColumns = `SELECT id, host, name, email, display_name, phone, language, phc, email_done, phone_done,
mac, mac_expires_at, tries, codes, names, coded_at, expires_at FROM registration`

	sqlRegistrationByToken = sqlRegistrationColumns + ` WHERE hash = $1 AND host = $2 AND expires_at > $3`

	sqlCountRegistrations = `SELECT COUNT(*) FROM registration WHERE expires_at > $1`

	sqlCountRegistrationsFrom = `SELECT COUNT(*) FROM registration WHERE network = $1 AND expires_at > $2`

	sqlInsertRegistration = `INSERT INTO registration (id, hash, host, network, name, email, display_name, phone, language, phc,
mac, mac_expires_at, codes, coded_at, created_at, expires_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, '', 0, 0, 0, $11, $12)`

	sqlRegistrationCode = `UPDATE registration SET mac = $1, mac_expires_at = $2, tries = 0, codes = codes + 1, coded_at = $3 WHERE id = $4`

	sqlRegistrationTry = `UPDATE registration SET tries = tries + 1 WHERE id = $1`

	sqlRegistrationEmail = `UPDATE registration SET email_done = 1, mac = '', mac_expires_at = 0, tries = 0, codes = 0, coded_at = 0 WHERE id = $1`

	sqlRegistrationPhone = `UPDATE registration SET phone_done = 1, mac = '', mac_expires_at = 0, tries = 0, codes = 0, coded_at = 0 WHERE id = $1`

	sqlRegistrationName = `UPDATE registration SET name = $1, names = names + 1 WHERE id = $2`

	sqlDeleteRegistration = `DELETE FROM registration WHERE id = $1`

	sqlForgetRegistrations = `DELETE FROM registration WHERE expires_at < $1`

	sqlTakenPhone = `SELECT COUNT(*) FROM principal WHERE phone_key = $1`

	sqlCountTexts = `SELECT COUNT(*) FROM text_message`

	sqlInsertText = `INSERT INTO text_message (id, kind, sealed, created_at, next_at, expires_at) VALUES ($1, $2, $3, $4, $4, $5)`

	sqlDueText = `SELECT id, kind, sealed, tries, expires_at FROM text_message WHERE next_at <= $1 ORDER BY next_at, id LIMIT 1`

	sqlClaimText = `UPDATE text_message SET tries = tries + 1, next_at = $1 WHERE id = $2`

	sqlRetryText = `UPDATE text_message SET next_at = $1 WHERE id = $2`

	sqlDeleteText = `DELETE FROM text_message WHERE id = $1`
)

package mail

// The statements of this package; they run unchanged on both dialects. The states are waiting, sent, failed and
// expired; only a waiting message has content. The state is written out in each statement, because a partial index
// is not used for a parameter.
const (
	sqlWaiting = `SELECT COUNT(*), COALESCE(MIN(next_at), 0), COALESCE(MIN(expires_at), 0) FROM mail WHERE state = 'waiting'`

	sqlWaitingFor = `SELECT COUNT(*) FROM mail WHERE recipient_key = $1 AND state = 'waiting'`

	sqlAdd = `INSERT INTO mail
(id, kind, recipient, recipient_key, state, created_at, expires_at, next_at, language, subject, text_body, html_body)
VALUES ($1, $2, $3, $4, 'waiting', $5, $6, $5, $7, $8, $9, $10)`

	sqlDue = `SELECT id FROM mail WHERE state = 'waiting' AND next_at <= $1 AND expires_at > $1 ORDER BY next_at, id LIMIT 1`

	sqlLoad = `SELECT id, kind, recipient, created_at, expires_at, tries, language, subject, text_body, html_body
FROM mail WHERE state = 'waiting' AND next_at <= $1 AND expires_at > $1 ORDER BY next_at, id LIMIT 1`

	sqlClaim = `UPDATE mail SET claim = $1, next_at = $2, tries = tries + 1 WHERE id = $3`

	// A claim that has ended is another process's by now: its holder's word counts no more.
	sqlAgain = `UPDATE mail SET next_at = $1, claim = '', result = $2 WHERE id = $3 AND claim = $4 AND state = 'waiting'`

	sqlEnd = `UPDATE mail SET state = $1, done_at = $2, claim = '', result = $3, subject = '', text_body = '', html_body = ''
WHERE id = $4 AND claim = $5 AND state = 'waiting'`

	sqlExpired = `SELECT id, kind, recipient, tries, result FROM mail
WHERE state = 'waiting' AND expires_at <= $1 AND next_at <= $1 ORDER BY next_at, id LIMIT $2`

	sqlExpire = `UPDATE mail SET state = 'expired', done_at = $1, claim = '', subject = '', text_body = '', html_body = ''
WHERE id = $2 AND state = 'waiting'`

	sqlPrune = `DELETE FROM mail WHERE state <> 'waiting' AND done_at < $1`

	sqlPruneMany = `DELETE FROM mail WHERE state <> 'waiting' AND done_at <=
(SELECT done_at FROM mail WHERE state <> 'waiting' ORDER BY done_at DESC LIMIT 1 OFFSET $1)`

	sqlQueue = `SELECT id, kind, recipient, state, created_at, expires_at, next_at, tries, done_at, result FROM mail
WHERE state <> 'sent' ORDER BY created_at DESC, id DESC LIMIT $1`

	sqlLastSent = `SELECT COALESCE(MAX(done_at), 0) FROM mail WHERE state = 'sent' AND kind = $1`
)

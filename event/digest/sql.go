package digest

const (
	sqlTell   = `INSERT INTO event_digest (due_at, recipient, told_at) VALUES ($1, $2, $3) ON CONFLICT (due_at, recipient) DO NOTHING`
	sqlTold   = `SELECT COUNT(*) FROM event_digest WHERE due_at = $1 AND recipient = $2`
	sqlForget = `DELETE FROM event_digest WHERE due_at < $1`
)

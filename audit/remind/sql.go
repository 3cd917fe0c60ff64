package remind

const (
	sqlTell   = `INSERT INTO audit_told (subject, mark, told_at) VALUES ($1, $2, $3) ON CONFLICT (subject, mark) DO NOTHING`
	sqlForget = `DELETE FROM audit_told WHERE told_at < $1`
)

package detect

const (
	sqlPositions = `SELECT source, place, position FROM watch_position WHERE pipeline = $1`
	sqlPosition  = `SELECT position FROM watch_position WHERE pipeline = $1 AND source = $2 AND place = $3`
	sqlState     = `SELECT state FROM watch_state WHERE pipeline = $1`

	sqlSavePosition = `INSERT INTO watch_position (pipeline, source, place, position, saved_at) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (pipeline, source, place) DO UPDATE SET position = excluded.position, saved_at = excluded.saved_at`
	sqlSaveState = `INSERT INTO watch_state (pipeline, state, saved_at) VALUES ($1, $2, $3)
		ON CONFLICT (pipeline) DO UPDATE SET state = excluded.state, saved_at = excluded.saved_at`
	sqlForgetPositions = `DELETE FROM watch_position WHERE saved_at < $1`
	sqlForgetStates    = `DELETE FROM watch_state WHERE saved_at < $1`
)

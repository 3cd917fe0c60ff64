package store

// The statements of this package; they run unchanged on both dialects.
const (
	sqlReadProbe  = `SELECT at FROM store_probe WHERE id = 1`
	sqlWriteProbe = `UPDATE store_probe SET at = $1 WHERE id = 1`
)

package register

const (
	sqlCountStatements = `SELECT COUNT(*) FROM audit_statement`
	sqlInsertStatement = `INSERT INTO audit_statement (id, kind, control, finding, owner, text, evidence, made_at, until_at, made_by)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`
	sqlStatements = `SELECT id, kind, control, finding, owner, text, evidence, made_at, until_at, made_by FROM audit_statement
		WHERE ended_at = 0 ORDER BY made_at DESC, id DESC LIMIT $1`
	sqlEndStatement = `UPDATE audit_statement SET ended_at = $1 WHERE id = $2 AND ended_at = 0`

	sqlCountAssets = `SELECT COUNT(*) FROM audit_asset`
	sqlInsertAsset = `INSERT INTO audit_asset (name, address, zone, classification, owner, note, reviewed_at, review_until)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`
	sqlAssets = `SELECT name, address, zone, classification, owner, note, reviewed_at, review_until FROM audit_asset
		ORDER BY name LIMIT $1`
	sqlDeleteAsset = `DELETE FROM audit_asset WHERE name = $1`

	sqlCountScans = `SELECT COUNT(*) FROM audit_scan`
	sqlSameScan   = `SELECT COUNT(*) FROM audit_scan WHERE sha256 = $1 AND targets = $2`
	sqlInsertScan = `INSERT INTO audit_scan (id, kind, tool, version, format, targets, scope, scanned_at, stated, counts, findings, file, size, sha256,
		made_at, until_at, made_by) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)`
	sqlScans = `SELECT id, kind, tool, version, format, targets, scope, scanned_at, stated, counts, '', file, size, sha256, made_at, until_at, made_by
		FROM audit_scan ORDER BY scanned_at DESC, id DESC LIMIT $1`
	sqlScan = `SELECT id, kind, tool, version, format, targets, scope, scanned_at, stated, counts, findings, file, size, sha256, made_at, until_at, made_by
		FROM audit_scan WHERE id = $1`
	sqlRemoveScan = `DELETE FROM audit_scan WHERE id = $1`
	// Those of one tool and one set of targets that are older than the newest $4.
	sqlPruneScans = `DELETE FROM audit_scan WHERE kind = $1 AND tool = $2 AND targets = $3 AND scanned_at <
		(SELECT scanned_at FROM audit_scan WHERE kind = $1 AND tool = $2 AND targets = $3 ORDER BY scanned_at DESC LIMIT 1 OFFSET $4)`
)

package register

const (
	sqlCountStatements = `SELECT COUNT(*) FROM audit_statement`
	sqlInsertStatement = `INSERT INTO audit_statement (id, kind, control, owner, text, evidence, made_at, until_at, made_by)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`
	sqlStatements = `SELECT id, kind, control, owner, text, evidence, made_at, until_at, made_by FROM audit_statement
		WHERE ended_at = 0 ORDER BY made_at DESC, id DESC LIMIT $1`
	sqlEndStatement = `UPDATE audit_statement SET ended_at = $1 WHERE id = $2 AND ended_at = 0`

	sqlCountAssets = `SELECT COUNT(*) FROM audit_asset`
	sqlInsertAsset = `INSERT INTO audit_asset (name, address, zone, classification, owner, note, reviewed_at, review_until)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`
	sqlAssets = `SELECT name, address, zone, classification, owner, note, reviewed_at, review_until FROM audit_asset
		ORDER BY name LIMIT $1`
	sqlDeleteAsset = `DELETE FROM audit_asset WHERE name = $1`
)

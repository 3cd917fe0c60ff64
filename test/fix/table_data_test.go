package fix_test

// dataKinds are databases, files, scheduled jobs, accounts and telephony.
func dataKinds() []kind {
	return []kind{mariadbKind(), postgresKind(), sealKind(), systemKind(), asteriskKind()}
}

package fix

// Unified is the difference of two texts.
func Unified(a, b string) string { return unified("a", "b", a, b) }

// IncludesFolder says whether sshd_config reads its folder.
func IncludesFolder(text string) bool { return includesFolder(text) }

// SSHDLine splits a line of sshd_config.
func SSHDLine(line string) (string, string) { return sshdLine(line) }

// AcceptedKey says whose sign-in by key a text of a log shows first.
func AcceptedKey(text string) string {
	if found := acceptedKey.FindStringSubmatch(text); found != nil {
		return found[1]
	}
	return ""
}

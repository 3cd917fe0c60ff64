package auth

// ParsePhone reads a typed phone number.
func ParsePhone(cfg RegistrationConfig, text string) (string, error) {
	n, err := cfg.parsePhone(text)
	return n.e164, err
}

// TypedCode is a code as it is compared; empty when it is none.
func TypedCode(text string) string {
	code, _ := digitsInput(text)
	return code
}

package pages

// ParseForm reads the sign-in form's body; it is a fuzz target.
func ParseForm(body string) (username, password, returnTo string, err error) {
	f, err := parseForm(body)
	return f.username, f.password, f.returnTo, err
}

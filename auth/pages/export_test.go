package pages

// ParseForm reads the sign-in form's body; it is a fuzz target.
func ParseForm(body string) (username, password, returnTo string, err error) {
	f, err := parseForm(body)
	return f.get("username"), f.get("password"), SafeReturn(f.get("return_to")), err
}

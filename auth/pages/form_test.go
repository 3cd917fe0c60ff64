package pages_test

import (
	"net/url"
	"testing"

	"github.com/doorward/doorward/auth/pages"
)

// FuzzForm holds that an accepted form is read as any other program reads it: each field once, whole.
func FuzzForm(f *testing.F) {
	for _, s := range []string{
		"username=zoe&password=correct+horse+battery&return_to=%2F", "username=a&username=b", "username=a;username=b", "%zz", "",
		"username=%00&password=%ff", "USERNAME=a&username=b", "username[]=a&username=b", "&&&", "=", "username", "password=a%26username%3Db",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, body string) {
		username, password, returnTo, err := pages.ParseForm(body)
		if err != nil {
			return
		}
		values, err := url.ParseQuery(body)
		if err != nil {
			t.Fatalf("ParseForm(%q) accepts what is no form: %v", body, err)
		}
		for name, got := range map[string]string{"username": username, "password": password} {
			if n := len(values[name]); n > 1 || values.Get(name) != got {
				t.Errorf("ParseForm(%q): %s = %q, sent %q", body, name, got, values[name])
			}
		}
		if returnTo != pages.SafeReturn(values.Get("return_to")) {
			t.Errorf("ParseForm(%q): return to %q", body, returnTo)
		}
	})
}

package decision_test

import (
	"testing"

	"github.com/doorward/doorward/decision"
)

// FuzzParseTarget: what is read has one form, which is read as itself again, and never a zone or mapped address.
func FuzzParseTarget(f *testing.F) {
	for _, seed := range []string{"192.0.2.7", "192.0.2.7/24", "2001:db8::1/64", "::ffff:192.0.2.7", "::ffff:192.0.2.0/120", "account:Zoë", "country:de", "fe80::1%eth0",
		"account:", "country:", "0.0.0.0/0", "::/0", "224.0.0.1", "account:a\x00", "192.0.2.7/33"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := decision.ParseTarget(text)
		if err != nil {
			return
		}
		again, err := decision.ParseTarget(got.String())
		if err != nil || again != got {
			t.Errorf("%q is %v, which is read as %v, %v", text, got, again, err)
		}
		if short, err := decision.ParseTarget(got.Short()); err != nil || short != got {
			t.Errorf("%q is %s for short, which is read as %v, %v", text, got.Short(), short, err)
		}
		if got.Kind == decision.Address && (got.Prefix.Addr().Is4In6() || got.Prefix.Addr().Zone() != "" || got.Prefix != got.Prefix.Masked()) {
			t.Errorf("%q is %v, which is not canonical", text, got)
		}
	})
}

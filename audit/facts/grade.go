package facts

import "slices"

// grade gives a letter by the rubric of docs/tls-grade.md: what is best, capped by each fault that was found.
func grade(t *TLSTarget) {
	t.Grade = "A"
	cap := func(fault bool, letter, why string) {
		if !fault {
			return
		}
		t.Why = append(t.Why, why)
		if worse(letter, t.Grade) {
			t.Grade = letter
		}
	}
	has := func(version string) bool { return slices.Contains(t.Versions, version) }
	some := func(part func(suite) bool) bool {
		return slices.ContainsFunc(suites(), func(s suite) bool { return part(s) && slices.Contains(t.Suites, s.name) })
	}
	cap(has("SSLv3"), "F", "SSL 3.0 is accepted")
	cap(has("TLSv1") || has("TLSv1.1"), "B", "TLS 1.0 or 1.1 is accepted")
	cap(!has("TLSv1.2") && !has("TLSv1.3"), "F", "neither TLS 1.2 nor 1.3 is accepted")
	cap(!has("TLSv1.3"), "B", "TLS 1.3 is not accepted")
	cap(len(t.Broken) > 0, "C", "suites without protection are accepted")
	cap(some(func(s suite) bool { return s.broken() && !s.triple() }), "F", "a suite is accepted that is NULL, export, anonymous, RC4, DES or MD5")
	cap(len(t.NotForward) > 0, "B", "suites without forward secrecy are accepted")
	cap(len(t.Modern) == 0 && !some(suite.sealed), "C", "no suite with AEAD is accepted")
	cap(t.DHBits > 0 && t.DHBits < 2048, "B", "the group of DHE suites has less than 2048 bits")
	cap(t.DHBits > 0 && t.DHBits < 1024, "F", "the group of DHE suites has less than 1024 bits")
	cap(t.Compression, "C", "compression is accepted")
	cap(!t.SecureRenegotiation, "F", "secure renegotiation is not known")
	cap(!t.Cert.Strong, "C", "the certificate's key is weak")
	cap(t.Cert.Weak, "F", "a certificate is signed with MD5 or SHA-1")
	cap(!t.Cert.Ordered, "B", "the chain is not in order")
	cap(t.Cert.MustStaple && t.Cert.Staple != "good", "F", "the certificate promises a stapled answer, and none comes")
	cap(t.Cert.Staple == "revoked", "F", "the certificate is revoked")
	cap(!t.Cert.Trusted && !t.Cert.Names, "M", "the certificate is for another name")
	cap(!t.Cert.Trusted && t.Cert.Names, "T", "the certificate is not trusted")
}

// worse says whether a is a worse grade than b.
func worse(a, b string) bool {
	order := []string{"A", "B", "C", "T", "M", "F"}
	return slices.Index(order, a) > slices.Index(order, b)
}

package audit_test

import (
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/audit"
	"github.com/doorward/doorward/audit/facts"
)

// TestAccessIsAttested: the rows on who may become root and what is reviewed need the check and a person.
func TestAccessIsAttested(t *testing.T) {
	root := rootOf(t, map[string]string{
		"usr/bin/sudo": "", "var/log/wtmp": "", "etc/sudoers": "%sudo ALL=(ALL:ALL) ALL\n",
		"etc/passwd": "root:x:0:0::/root:/bin/sh\nanna:x:1000:1000::/home/anna:/bin/sh\n",
		"etc/shadow": "root:*:20500::::::\nanna:!:20500::::::\n", "etc/group": "sudo:x:27:anna\n",
	})
	h, err := facts.OpenHost(facts.HostOptions{Root: root})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	said := audit.Records{Attestations: map[string]audit.Attestation{}}
	for _, id := range []string{"F-24", "F-25", "M-04"} {
		said.Attestations[id] = audit.Attestation{Control: id, Owner: "ben", Until: now.Add(time.Hour)}
	}
	for _, c := range []struct {
		id       string
		approved []string
		records  audit.Records
		want     audit.Status
		reason   string
	}{
		{"F-24", []string{"anna"}, said, audit.Attested, ""},
		{"F-24", []string{"anna"}, audit.Records{}, audit.Fail, "nobody has attested it"},
		{"F-24", []string{"ben"}, said, audit.Fail, ""},
		{"F-24", nil, audit.Records{}, audit.Unknown, "audit.administrators names nobody"},
		{"F-25", nil, said, audit.Attested, ""},
		{"F-25", nil, audit.Records{}, audit.Fail, "nobody has attested it"},
		{"M-04", nil, said, audit.Attested, ""},
		{"M-04", nil, audit.Records{}, audit.Fail, "nobody has attested it"},
	} {
		f := facts.Collect(t.Context(), h, facts.Target{Config: facts.Config{Administrators: c.approved}, Now: now}, nil)
		for _, got := range shipped(t).Judge(audit.Profile{}, f, c.records) {
			if got.ID == c.id && (got.Status != c.want || !strings.Contains(got.Reason, c.reason)) {
				t.Errorf("%s with %v: got %s because %q, want %s because %q; %v", c.id, c.approved, got.Status, got.Reason, c.want, c.reason, got.Evidence)
			}
		}
	}
}

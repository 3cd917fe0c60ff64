package audit_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/doorward/doorward/audit/facts"
	"github.com/doorward/doorward/test/real"
)

// TestGatewayProbed: what the probes see of Doorward itself in front of an application that sets no header. Its own authority
// is one that this system does not trust.
func TestGatewayProbed(t *testing.T) {
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<title>Helpdesk</title>the application") }))
	t.Cleanup(up.Close)
	port := real.FreePort(t)
	real.StartDoorward(t, port, fmt.Sprintf("  - hosts: [localhost]\n    upstreams: [%q]\n    app: deskpro\n    headers: {content_security_policy: \"default-src 'self'\"}\n", up.URL))
	f := onHost(t, facts.Config{URLs: []string{fmt.Sprintf("https://localhost:%d/", port)}, ConnectTo: "127.0.0.1"})
	wantVerdicts(t, verdicts(t, f, "I-45=modern"), "I-34:pass I-37:pass I-38:pass I-39:pass I-40:pass I-44:pass I-45:pass I-46:pass I-47:pass I-49:pass I-81:pass D-30:pass M-13:pass")
	wantVerdicts(t, verdicts(t, f), "I-31:fail I-45:pass F-32:unknown D-31:unknown") // strangers get 401, whatever they send
}

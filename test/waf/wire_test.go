package waf_test

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/test/real"
)

// wireAnswer is what came back for bytes that were sent; status 0 is no answer.
type wireAnswer struct {
	status int
	header http.Header
}

func (a wireAnswer) String() string {
	if a.status == 0 {
		return "nothing"
	}
	return strconv.Itoa(a.status)
}

// exchange sends bytes on a new connection and reads one answer.
func exchange(t *testing.T, address, request string) wireAnswer {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatalf("connect to %s: %v", address, err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, request); err != nil {
		return wireAnswer{header: http.Header{}} // it was closed while the request was on its way
	}
	method, _, _ := strings.Cut(request, " ")
	res, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		return wireAnswer{header: http.Header{}}
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, res.Body) // a cut answer is an answer
	return wireAnswer{res.StatusCode, res.Header}
}

// startReflection starts the application of the regression tests: below /reflect it answers with what it is told, elsewhere
// with nothing. It returns its address.
func startReflection(t *testing.T) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Application", "1")
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		var told struct {
			Status  int               `json:"status"`
			Headers map[string]string `json:"headers"`
			Body    string            `json:"body"`
			Encoded string            `json:"encodedBody"`
		}
		body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
		if err != nil || !strings.HasPrefix(r.URL.Path, "/reflect") || json.Unmarshal(body, &told) != nil {
			return
		}
		for name, value := range told.Headers {
			w.Header().Set(name, value)
		}
		if told.Status != 0 {
			w.WriteHeader(told.Status)
		}
		text := told.Body
		if raw, err := base64.StdEncoding.DecodeString(told.Encoded); err == nil && told.Encoded != "" {
			text = string(raw)
		}
		_, _ = io.WriteString(w, text) // whoever left reads nothing
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// startApache starts Debian's Apache before the application and returns its address; empty where it is not installed.
func startApache(t *testing.T, application string) string {
	t.Helper()
	const program, modules = "/usr/sbin/apache2", "/usr/lib/apache2/modules"
	if _, err := exec.LookPath(program); err != nil {
		return ""
	}
	dir, port := real.Folder(t), real.FreePort(t)
	config := real.Write(t, dir, "apache.conf", fmt.Sprintf(`ServerRoot %[1]s
ServerName localhost
Listen 127.0.0.1:%[2]d
PidFile %[1]s/pid
ErrorLog %[1]s/error.log
LoadModule mpm_event_module %[3]s/mod_mpm_event.so
LoadModule authz_core_module %[3]s/mod_authz_core.so
LoadModule proxy_module %[3]s/mod_proxy.so
LoadModule proxy_http_module %[3]s/mod_proxy_http.so
User www-data
Group www-data
ProxyPass / %[4]s/
`, dir, port, modules, application), 0o644)
	p := real.Start(t, "apache", exec.Command(program, "-D", "FOREGROUND", "-f", config))
	address := fmt.Sprintf("127.0.0.1:%d", port)
	p.AwaitListening(address, time.Minute)
	return address
}

// Package waf_test sets the public tools on a deliberately vulnerable application, and on the same application behind
// Doorward's web application firewall; and it drives the Core Rule Set's regression requests through the whole gateway.
package waf_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/test/real"
)

func TestMain(m *testing.M) {
	code := m.Run()
	real.RemoveProgram()
	os.Exit(code)
}

// agent is the name that the tools go by: their own names would give them away.
const agent = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"

// front is a Doorward before an application, without TLS, on this machine only.
type front struct {
	*real.Process
	t      *testing.T
	url    string
	config string
}

// startFront runs Doorward with one site for the application at upstream; options are lines of the site, rest is what else the file holds.
func startFront(t *testing.T, upstream, options, rest string) *front {
	t.Helper()
	dir, port := real.Folder(t), real.FreePort(t)
	f := &front{t: t, url: fmt.Sprintf("http://localhost:%d", port)}
	f.config = real.Write(t, dir, "doorward.yaml", fmt.Sprintf(`data_dir: %s/data
listen: {plain: ["127.0.0.1:%d"]}
console: {listen: ["127.0.0.1:%d"]}
limits: {requests_per_second: 10000, burst: 10000}
sites:
  - hosts: [localhost]
    upstreams: [%s]
%s%s`, dir, port, real.FreePort(t), upstream, options, rest), 0o644)
	f.Process = real.Serve(t, f.config)
	return f
}

// public lets everybody in, so that nothing but the firewall stands before the application.
const public = `    access: [{path: /, public: true}]
    csrf: {off: true}
`

// refused counts the requests that the firewall refused.
func (f *front) refused() int {
	f.t.Helper()
	out := run(f.t, time.Minute, real.Program(f.t), "event", "search", "--config", f.config, "--action", "waf", "--outcome", "refused", "--limit", "0", "--json")
	return strings.Count(out, "\n")
}

// run runs a program and returns what it wrote, however it ended: the tools end with an error when they find nothing.
func run(t *testing.T, limit time.Duration, program string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	var out bytes.Buffer
	home := t.TempDir()
	cmd.Stdout, cmd.Stderr, cmd.Dir, cmd.WaitDelay = &out, &out, home, 2*time.Second
	cmd.Env = append(os.Environ(), "HOME="+home, "XDG_DATA_HOME="+home, "NO_PROXY=*", "no_proxy=*")
	err := cmd.Run()
	if ctx.Err() != nil {
		t.Fatalf("%s did not end within %s: %s", program, limit, tail(out.String()))
	}
	if _, ended := err.(*exec.ExitError); err != nil && !ended {
		t.Fatalf("run %s: %v", program, err)
	}
	return out.String()
}

func tail(s string) string { return s[max(0, len(s)-3000):] }

// ownRules are a site's own beside the published rules, for two probes of wapiti's that those know at paranoia level 4 only: a word
// between semicolons as a command, and a file of the system that is on no list. The rule set doorward has them. What breaks a
// statement without being an injection yet is caught by the application's answer.
const ownRules = `SecRule ARGS "@rx ^/(?:etc|proc|sys|root|var/log)/" \
  "id:1001,phase:2,deny,status:403,log,t:none,t:normalizePath,msg:'A file of the system by its full path',tag:'attack-lfi',severity:'CRITICAL'"
SecRule ARGS "@rx [;|&\x0a]\s*(?:env|set|id|whoami)\s*(?:[;|&\x0a]|$)" \
  "id:1002,phase:2,deny,status:403,log,t:none,msg:'A command alone',tag:'attack-rce',severity:'CRITICAL'"
`

// behind calls use with the application itself, and with it behind the firewall with each rule set.
func behind(t *testing.T, use func(t *testing.T, a *vulnerable, url string, open bool)) {
	t.Run("direct", func(t *testing.T) {
		a := startVulnerable(t)
		use(t, a, strings.Replace(a.url, "127.0.0.1", "localhost", 1), true)
	})
	for _, rules := range []string{"crs", "doorward"} {
		t.Run(rules, func(t *testing.T) {
			a := startVulnerable(t)
			after := ""
			if rules == "crs" {
				after = ", after: [" + real.Write(t, real.Folder(t), "own.conf", ownRules, 0o644) + "]"
			}
			f := startFront(t, a.url, public+"    waf: {mode: block, answers: block"+after+"}\n", "waf: {rules: "+rules+"}\n")
			if got := run(t, time.Minute, "curl", "-s", "-A", agent, f.url+"/items?id=1"); !strings.Contains(got, "chair") {
				t.Fatalf("an honest request is answered with %s", got)
			}
			use(t, a, f.url, false)
			n := f.refused()
			t.Logf("%d requests refused, %d arrived", n, a.requests.Load())
			if n == 0 {
				t.Error("the firewall refused nothing")
			}
		})
	}
}

// TestSqlmap: sqlmap finds the injection, and the row that nobody should see; behind the firewall it finds neither.
func TestSqlmap(t *testing.T) {
	real.Require(t, "sqlmap", "curl")
	behind(t, func(t *testing.T, _ *vulnerable, url string, open bool) {
		out := run(t, 8*time.Minute, "sqlmap", "-u", url+"/items?id=1", "-p", "id", "--batch", "--flush-session", "--level", "1", "--risk", "1", "--technique", "BEU",
			"--dbms", "sqlite", "-T", "secrets", "--dump", "--disable-coloring", "--timeout", "30", "--retries", "0", "--user-agent", agent, "--output-dir", t.TempDir())
		if got := strings.Contains(out, secretRow); got != open {
			t.Errorf("sqlmap found the secret row: %t, want %t:\n%s", got, open, tail(out))
		}
		if got := strings.Contains(out, "identified the following injection point"); got != open {
			t.Errorf("sqlmap found an injection: %t, want %t:\n%s", got, open, tail(out))
		}
	})
}

// TestWapiti: wapiti walks through the application and reports injections; behind the firewall it reports none.
func TestWapiti(t *testing.T) {
	real.Require(t, "wapiti", "curl")
	behind(t, func(t *testing.T, _ *vulnerable, url string, open bool) {
		dir := t.TempDir()
		report := filepath.Join(dir, "report.json")
		out := run(t, 10*time.Minute, "wapiti", "-u", url+"/", "-m", "xss,permanentxss,sql,file,exec", "-f", "json", "-o", report, "--flush-session", "--store-session", dir,
			"--store-config", dir, "--no-bugreport", "--max-scan-time", "300", "--max-attack-time", "120", "-d", "3", "-t", "15", "-S", "insane", "-A", agent, "-v", "0")
		text, err := os.ReadFile(report)
		if err != nil {
			t.Fatalf("wapiti wrote no report: %v\n%s", err, tail(out))
		}
		var found struct {
			Vulnerabilities map[string][]struct {
				Path, Parameter, Info string
				Request               string `json:"http_request"`
			}
		}
		if err := json.Unmarshal(text, &found); err != nil {
			t.Fatalf("read the report: %v", err)
		}
		for _, kind := range []string{"Cross Site Scripting", "SQL Injection", "Path Traversal", "Command execution"} {
			list, told := found.Vulnerabilities[kind]
			if !told {
				t.Errorf("the report has no heading %q: %v", kind, found.Vulnerabilities)
			}
			if got := len(list) > 0; got != open {
				t.Errorf("wapiti found %s: %t, want %t: %+q", kind, got, open, list)
			}
		}
	})
}

// TestHydra: hydra finds the password of a sign-in that counts no failures. Behind Doorward's own sign-in its tries do not arrive.
func TestHydra(t *testing.T) {
	real.Require(t, "hydra")
	words := []string{"123456", "password", "letmein", "qwerty", "dragon", appPassword, "baseball", "welcome1", "monkey", "football"}
	list := real.Write(t, t.TempDir(), "words", strings.Join(words, "\n")+"\n", 0o644)
	try := func(t *testing.T, seconds, url string) string {
		t.Helper()
		return run(t, 3*time.Minute, "timeout", seconds, "hydra", "-l", "anna", "-P", list, "-s", url[strings.LastIndexByte(url, ':')+1:], "-t", "4", "-f", "-I", "localhost", "http-post-form",
			"/login:user=^USER^&pass=^PASS^:S=Welcome, anna")
	}
	t.Run("direct", func(t *testing.T) {
		a := startVulnerable(t)
		if out := try(t, "120", a.url); !strings.Contains(out, "password: "+appPassword) {
			t.Errorf("hydra did not find the password:\n%s", tail(out))
		}
	})
	t.Run("behind", func(t *testing.T) {
		a := startVulnerable(t)
		f := startFront(t, a.url, "", "")
		// It never ends where it is answered 401.
		if out := try(t, "20", f.url); strings.Contains(out, appPassword) {
			t.Errorf("hydra found the password:\n%s", tail(out))
		}
		if n := a.signIns.Load(); n != 0 {
			t.Errorf("%d tries arrived at the application, want none", n)
		}
	})
}

// TestHydraAtTheSignIn sets hydra on Doorward's own sign-in. It finds a password that is among the first tries; with one that stands
// further down in its list, its address has to wait, and is banned.
func TestHydraAtTheSignIn(t *testing.T) {
	real.Require(t, "hydra")
	a := startVulnerable(t)
	// The address of this machine is never banned: hydra comes through a proxy.
	f := startFront(t, a.url, "", "trusted_proxies: [127.0.0.0/8]\n")
	out := run(t, time.Minute, real.Program(t), "user", "add", "anna", "--role", "user", "--generate-password", "--config", f.config)
	_, password, ok := strings.Cut(strings.TrimSpace(out), "password: ")
	if !ok || password == "" {
		t.Fatalf("doorward user add printed %q, want a password", out)
	}
	try := func(from string, words ...string) string {
		list := real.Write(t, t.TempDir(), "words", strings.Join(words, "\n")+"\n", 0o644)
		return run(t, 3*time.Minute, "timeout", "60", "hydra", "-l", "anna", "-P", list, "-s", f.url[strings.LastIndexByte(f.url, ':')+1:], "-t", "4", "-f", "-I", "localhost", "http-post-form",
			"/.doorward/sign-in:username=^USER^&password=^PASS^&return_to=%2F:H=X-Forwarded-For\\: "+from+":S=__Host-doorward")
	}
	if out := try("203.0.113.5", "wrong", password); !strings.Contains(out, "password: "+password) {
		t.Fatalf("hydra does not find the second word of its list:\n%s", tail(out))
	}
	words := make([]string, 300)
	for i := range words {
		words[i] = fmt.Sprintf("guess-%d", i)
	}
	words[200] = password
	if out := try("203.0.113.6", words...); strings.Contains(out, "password: ") {
		t.Errorf("hydra found the password:\n%s", tail(out))
	}
	real.Eventually(t, time.Minute, "hydra's address to be banned", func() bool {
		out := run(t, time.Minute, real.Program(t), "decision", "list", "--config", f.config, "--address", "203.0.113.6", "--json")
		return strings.Contains(out, "signin_guessing")
	})
	looked := run(t, time.Minute, real.Program(t), "event", "search", "--config", f.config, "--action", "sign-in", "--source", "203.0.113.6", "--limit", "0", "--json")
	checked := strings.Count(looked, `"wrong-password"`)
	t.Logf("of 300 passwords %d were checked; %d tries arrived", checked, strings.Count(looked, "\n"))
	if checked == 0 || checked > 30 || strings.Contains(looked, `"success"`) {
		t.Errorf("%d passwords were checked, want some, at most 30, and none that was right", checked)
	}
}

package main

import (
	"crypto/tls"
	"database/sql"
	"errors"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/doorward/doorward/mail/mailtest"
	"github.com/doorward/doorward/racetest"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"doorward": main})
}

// scripts are the files to run. Under the race detector they are those that start a server: a command alone runs on one goroutine, takes
// longer to start then than to do its work, and what it does is watched in the packages that do it.
func scripts(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("testdata/script/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("found %d scripts: %v", len(files), err)
	}
	if !racetest.On {
		return files
	}
	return slices.DeleteFunc(files, func(file string) bool {
		text, err := os.ReadFile(file)
		return err == nil && !startsServer.Match(text)
	})
}

var startsServer = regexp.MustCompile(`\bdoorward (serve|demo|enforce)\b`)

// TestScripts runs each promise of the command line in a process of its own.
func TestScripts(t *testing.T) {
	open, account := mailtest.Start(t, mailtest.Options{}), mailtest.Start(t, mailtest.Options{Username: "desk", Password: "secret"})
	testscript.Run(t, testscript.Params{
		Files: scripts(t),
		// Two mail servers that all scripts share; each script writes to addresses of its own.
		Setup: func(env *testscript.Env) error {
			env.Setenv("MAIL_PORT", strconv.Itoa(open.Port()))
			env.Setenv("MAIL_CA", open.CAFile)
			env.Setenv("MAIL_ACCOUNT_PORT", strconv.Itoa(account.Port()))
			env.Setenv("MAIL_ACCOUNT_CA", account.CAFile)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"await":   await,
			"exits":   exits,
			"ask":     askSite,
			"capture": capture,
			"replace": replace,
			"send":    send,
			"occupy":  occupy,
			"chown":   chown,
			"owner":   owner,
			"tamper":  tamper,
			"mailed":  func(ts *testscript.TestScript, neg bool, args []string) { mailed(ts, neg, args, open, account) },
		},
		Condition: func(name string) (bool, error) { return name == "root" && os.Geteuid() == 0, nil },
	})
}

// exits CODE PROGRAM ARGUMENT... runs the program and wants that exit code.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM ARGUMENT...")
	}
	code := "0"
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var ended *exec.ExitError
		if !errors.As(err, &ended) {
			ts.Fatalf("%v", err)
		}
		code = strconv.Itoa(ended.ExitCode())
	}
	if code != args[0] {
		ts.Fatalf("exit code %s, want %s", code, args[0])
	}
}

// await PATTERN FILE waits until a line of the file matches.
func await(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: await PATTERN FILE")
	}
	wanted := regexp.MustCompile("(?m)" + args[0])
	for end := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		text, _ := os.ReadFile(ts.MkAbs(args[1])) // it may not be there yet
		if wanted.Match(text) {
			return
		}
		if time.Now().After(end) {
			ts.Fatalf("%s has no line like %s:\n%s", args[1], args[0], text)
		}
	}
}

// capture VARIABLE PATTERN FILE sets the variable to what the pattern's first group matches.
func capture(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: capture VARIABLE PATTERN FILE")
	}
	found := regexp.MustCompile("(?m)" + args[1]).FindStringSubmatch(ts.ReadFile(args[2]))
	if len(found) != 2 {
		ts.Fatalf("%s does not match %s:\n%s", args[2], args[1], ts.ReadFile(args[2]))
	}
	ts.Setenv(args[0], found[1])
}

// replace OLD NEW FILE changes a file that is there, in place.
func replace(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: replace OLD NEW FILE")
	}
	text := ts.ReadFile(args[2])
	if !strings.Contains(text, args[0]) {
		ts.Fatalf("%s does not contain %q", args[2], args[0])
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[2]), []byte(strings.ReplaceAll(text, args[0], args[1])), 0o600))
}

// send SIGNAL FILE sends HUP, INT or TERM to the process whose id is in the file.
func send(ts *testscript.TestScript, neg bool, args []string) {
	signals := map[string]syscall.Signal{"HUP": syscall.SIGHUP, "INT": syscall.SIGINT, "TERM": syscall.SIGTERM}
	if neg || len(args) != 2 || signals[args[0]] == 0 {
		ts.Fatalf("usage: send HUP|INT|TERM FILE")
	}
	pid, err := strconv.Atoi(strings.TrimSpace(ts.ReadFile(args[1])))
	ts.Check(err)
	ts.Check(syscall.Kill(pid, signals[args[0]]))
}

// askSite is the script command "ask STATUS ADDRESS HOST [PATH]": GET / or the path of the host at the address.
func askSite(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 && len(args) != 4 {
		ts.Fatalf("usage: ask STATUS ADDRESS HOST [PATH]")
	}
	target := &url.URL{Path: "/"}
	if len(args) == 4 {
		var err error
		target, err = url.Parse(args[3])
		ts.Check(err)
	}
	target.Scheme, target.Host = "https", args[1]
	client := &http.Client{
		Timeout: time.Minute,
		Transport: &http.Transport{TLSClientConfig: &tls.Config{ServerName: args[2], InsecureSkipVerify: true}, // the authority is Doorward's own, made a moment ago
			DisableKeepAlives: true},
	}
	r := &http.Request{Method: http.MethodGet, Host: args[2], URL: target, Header: http.Header{}}
	answer, err := client.Do(r)
	ts.Check(err)
	answer.Body.Close()
	if strconv.Itoa(answer.StatusCode) != args[0] {
		ts.Fatalf("%s at %s answers %d, want %s", args[2], args[1], answer.StatusCode, args[0])
	}
}

// occupy VARIABLE listens on a port of the loopback interface until the script ends.
func occupy(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: occupy VARIABLE")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Defer(func() { l.Close() })
	ts.Setenv(args[0], l.Addr().String())
}

// chown UID FILE... gives files away.
func chown(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: chown UID FILE...")
	}
	uid, err := strconv.Atoi(args[0])
	ts.Check(err)
	for _, name := range args[1:] {
		ts.Check(os.Chown(ts.MkAbs(name), uid, uid))
	}
}

// owner UID FOLDER wants everything in the folder to belong to the user.
func owner(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: owner UID FOLDER")
	}
	n := 0
	ts.Check(walk(ts.MkAbs(args[1]), func(name string, uid uint32) {
		n++
		if strconv.Itoa(int(uid)) != args[0] {
			ts.Fatalf("%s belongs to user %d, want %s", name, uid, args[0])
		}
	}))
	if n < 2 {
		ts.Fatalf("%s is empty", args[1])
	}
}

// tamper FILE STATEMENT changes the database behind Doorward's back; the statement must change something.
func tamper(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: tamper FILE STATEMENT")
	}
	db, err := sql.Open("sqlite", ts.MkAbs(args[0]))
	ts.Check(err)
	defer db.Close()
	result, err := db.Exec(args[1])
	ts.Check(err)
	if n, err := result.RowsAffected(); err != nil || n == 0 {
		ts.Fatalf("%s changed %d rows: %v", args[1], n, err)
	}
}

// mailed ADDRESS SUBJECT waits until one of the servers has a message to the address, with that subject.
func mailed(ts *testscript.TestScript, neg bool, args []string, servers ...*mailtest.Server) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: mailed ADDRESS SUBJECT")
	}
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		for _, s := range servers {
			for _, m := range s.Messages() {
				if m.To == args[0] && m.Subject == args[1] {
					return
				}
			}
		}
	}
	ts.Fatalf("no mail to %s with the subject %q arrived", args[0], args[1])
}

func walk(name string, f func(name string, uid uint32)) error {
	var st syscall.Stat_t
	if err := syscall.Lstat(name, &st); errors.Is(err, os.ErrNotExist) {
		return nil // a file of SQLite's that came and went
	} else if err != nil {
		return err
	}
	f(name, st.Uid)
	if st.Mode&syscall.S_IFMT != syscall.S_IFDIR {
		return nil
	}
	entries, err := os.ReadDir(name)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := walk(name+"/"+e.Name(), f); err != nil {
			return err
		}
	}
	return nil
}

package waf_test

import (
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/doorward/doorward/seclang/crstest"
	"github.com/doorward/doorward/test/real"
)

// stage is one request of a regression test of the Core Rule Set, as bytes on the wire, and what the test expects.
type stage struct {
	name              string // rule-test-stage
	wire              string
	expect, unexpect  []int
	match, matchNever string
	status            int
	mayFail           bool // no answer at all is right, too
}

// stages reads every regression test that comes with the rules.
func stages(t *testing.T) []stage {
	t.Helper()
	var all []stage
	for _, s := range crstest.Stages(t) {
		wire, err := wireOf(s.Input)
		if err != nil {
			t.Fatalf("%s: %v", s.Name, err)
		}
		log := s.Output.Log
		all = append(all, stage{name: s.Name, wire: wire, expect: log.Expect, unexpect: log.Unexpect, match: log.Match, matchNever: log.Never,
			status: s.Output.Status, mayFail: s.Output.Error})
	}
	return all
}

// wireOf writes the request as the tests' own runner does.
func wireOf(in crstest.Input) (string, error) {
	if in.Encoded != "" {
		raw, err := base64.StdEncoding.DecodeString(in.Encoded)
		return string(raw), err
	}
	body := expand(crstest.Or(in.Data, ""))
	var head strings.Builder
	fmt.Fprintf(&head, "%s %s %s\r\n", crstest.Or(in.Method, "GET"), crstest.Or(in.URI, "/"), crstest.Or(in.Version, "HTTP/1.1"))
	seen := map[string]bool{}
	for _, h := range in.Headers {
		name, value := fmt.Sprint(h.Key), ""
		if h.Value != nil {
			value = fmt.Sprint(h.Value)
		}
		seen[strings.ToLower(name)] = true
		fmt.Fprintf(&head, "%s: %s\r\n", name, value)
	}
	if in.Autocomplete == nil || *in.Autocomplete {
		if !seen["connection"] {
			head.WriteString("Connection: close\r\n")
		}
		if body != "" && !seen["content-type"] {
			head.WriteString("Content-Type: application/x-www-form-urlencoded\r\n")
		}
		if body != "" && !seen["content-length"] {
			fmt.Fprintf(&head, "Content-Length: %d\r\n", len(body))
		}
	}
	return head.String() + "\r\n" + body, nil
}

// expand writes out what the files abbreviate: {{ "1" | repeat 64200 }}.
func expand(text string) string {
	return regexp.MustCompile(`\{\{\s*"([^"]*)"\s*\|\s*repeat\s+(\d+)\s*\}\}`).ReplaceAllStringFunc(text, func(found string) string {
		parts := strings.Split(found, `"`)
		n, err := strconv.Atoi(strings.TrimSpace(strings.TrimSuffix(parts[2][strings.LastIndex(parts[2], "repeat")+len("repeat"):], "}}")))
		if err != nil || n > 1<<20 {
			return found
		}
		return strings.Repeat(parts[1], n)
	})
}

// crsOptions are a site for the regression tests: nobody is asked who they are, no host is unknown, and nothing is refused. crsRules are
// the settings that the tests were written for, as the Core Rule Set's own set-up for them has them.
const (
	crsOptions = public + `    any_host: true
    waf: {mode: detect, answers: detect, paranoia_level: 4, before: [%s]}
`
	crsRules = `SecAction "id:900005,phase:1,nolog,pass,setvar:tx.crs_validate_utf8_encoding=1,setvar:tx.arg_name_length=100,\
  setvar:tx.arg_length=400,setvar:tx.total_arg_length=64000,setvar:tx.max_num_args=255,setvar:tx.max_file_size=64100,\
  setvar:tx.combined_file_sizes=65535"
`
)

// TestRegressionRequests sends every request of the Core Rule Set's regression tests through a running Doorward, as bytes on a
// connection, and reads from the match log what the rules said.
func TestRegressionRequests(t *testing.T) {
	application := startReflection(t)
	folder := t.TempDir()
	rules := real.Write(t, folder, "tests.conf", crsRules, 0o644)
	matches := filepath.Join(folder, "matches.log")
	f := startFront(t, application, fmt.Sprintf(crsOptions, rules), "waf: {rules: crs, match_log: "+matches+"}\n")
	apache := startApache(t, application)
	address := strings.TrimPrefix(strings.Replace(f.url, "localhost", "127.0.0.1", 1), "http://")
	all := stages(t)
	answers, ids := make([]wireAnswer, len(all)), make([]string, len(all))
	for i, s := range all {
		answers[i] = exchange(t, address, s.wire)
		ids[i] = answers[i].header.Get("X-Request-Id")
	}
	f.Stop() // every request has ended then, and every match is written
	said := readMatches(t, matches)

	held := 0
	for i, s := range all {
		why := s.judge(answers[i], said[ids[i]])
		known := slices.Contains(strings.Fields(unheld), s.name)
		switch {
		case why == "":
			held++
		case known:
			t.Logf("known: %s: %s", s.name, why)
		default:
			t.Errorf("%s: %s", s.name, why)
		}
		// What neither shows the application has been answered by the server's parser.
		if apache != "" && (ids[i] == "" || why != "") {
			if there := exchange(t, apache, s.wire); there.status != answers[i].status {
				t.Logf("another status than Apache's: %s: %s, Apache %s: %.60q", s.name, answers[i], there, s.wire)
			}
		}
	}
	t.Logf("%d of %d requests got what their test expects", held, len(all))
}

// unheld are the tests that are known not to hold; docs/waf-testing.md says why.
const unheld = "920100-4-1 920270-4-1 920272-5-1 920274-1-1 920280-3-1 920290-1-1 920290-4-1 920430-3-1 920430-5-1 920430-8-1 920430-9-1 920620-1-1"

// judge says what differs from the test's expectation, or nothing.
func (s stage) judge(a wireAnswer, log []string) string {
	if a.status == 0 && !s.mayFail {
		return "no answer"
	}
	text := strings.Join(log, "\n")
	var ids []int
	for _, found := range regexp.MustCompile(`\[id "(\d+)"\]`).FindAllStringSubmatch(text, -1) {
		id, err := strconv.Atoi(found[1])
		if err != nil {
			return err.Error()
		}
		ids = append(ids, id)
	}
	for _, id := range s.expect {
		if !slices.Contains(ids, id) {
			return fmt.Sprintf("answer %s; rule %d did not match", a, id)
		}
	}
	for _, id := range s.unexpect {
		if slices.Contains(ids, id) {
			return fmt.Sprintf("answer %s; rule %d matched", a, id)
		}
	}
	switch {
	case s.match != "" && !regexp.MustCompile(s.match).MatchString(text):
		return fmt.Sprintf("answer %s; the log has nothing like %s", a, s.match)
	case s.matchNever != "" && regexp.MustCompile(s.matchNever).MatchString(text):
		return fmt.Sprintf("answer %s; the log has something like %s", a, s.matchNever)
	case s.status != 0 && a.status != s.status:
		return fmt.Sprintf("answer %s, want %d", a, s.status)
	}
	return ""
}

// readMatches reads the match log by request.
func readMatches(t *testing.T, name string) map[string][]string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	request := regexp.MustCompile(`\[unique_id "([^"]+)"\]`)
	said := map[string][]string{}
	for line := range strings.Lines(string(text)) {
		found := request.FindStringSubmatch(line)
		if found == nil {
			t.Fatalf("a line of the match log names no request: %s", line)
		}
		said[found[1]] = append(said[found[1]], line)
	}
	return said
}

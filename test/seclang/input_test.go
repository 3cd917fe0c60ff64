// Package seclang_test compares Doorward's engine with Coraza, which the published rules are tested with: the same requests,
// rule by rule. Coraza is an oracle here and part of no binary.
package seclang_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/doorward/doorward/seclang/crstest"
)

// header is one header line.
type header struct{ name, value string }

// request is what both engines are fed with, parsed already, and the answer that the application gives to it.
type request struct {
	method, uri, protocol string
	headers               []header
	body                  string
	status                int
	answer                []header
	answerBody            string
}

// input is one stage of a regression test of CRS, with what the test expects.
type input struct {
	name     string // rule-test-stage
	request  request
	expect   []int
	unexpect []int
	status   int // 400 where a server in front of the rules may refuse
}

// inputs reads every regression test of CRS.
func inputs(t testing.TB) []input {
	t.Helper()
	var all []input
	unread := 0
	for _, s := range crstest.Stages(t) {
		r, ok := requestOf(s.Input)
		if !ok {
			unread++
			continue
		}
		all = append(all, input{name: s.Name, request: r, expect: s.Output.Log.Expect, unexpect: s.Output.Log.Unexpect, status: s.Output.Status})
	}
	if unread > 5 {
		t.Fatalf("could not read %d inputs; want none", unread)
	}
	return all
}

func requestOf(in crstest.Input) (request, bool) {
	if in.Encoded != "" {
		raw, err := base64.StdEncoding.DecodeString(in.Encoded)
		if err != nil {
			return request{}, false
		}
		return parseRaw(string(raw))
	}
	r := request{method: crstest.Or(in.Method, "GET"), uri: crstest.Or(in.URI, "/"), protocol: crstest.Or(in.Version, "HTTP/1.1"),
		body: crstest.Or(in.Data, "")}
	for _, h := range in.Headers {
		r.headers = append(r.headers, header{fmt.Sprint(h.Key), text(h.Value)})
	}
	if in.Autocomplete == nil || *in.Autocomplete {
		r.complete()
	}
	r.respond()
	return r, true
}

func text(v any) string {
	if v == nil {
		return ""
	}
	return fmt.Sprint(v)
}

// complete adds the headers that the runner of the regression tests adds.
func (r *request) complete() {
	if !r.has("Connection") {
		r.headers = append(r.headers, header{"Connection", "close"})
	}
	if r.body == "" {
		return
	}
	if !r.has("Content-Type") {
		r.headers = append(r.headers, header{"Content-Type", "application/x-www-form-urlencoded"})
	}
	if !r.has("Content-Length") {
		r.headers = append(r.headers, header{"Content-Length", strconv.Itoa(len(r.body))})
	}
}

func (r *request) has(name string) bool {
	return slices.ContainsFunc(r.headers, func(h header) bool { return strings.EqualFold(h.name, name) })
}

// parseRaw reads a request as it goes over the wire, as far as it can be read.
func parseRaw(raw string) (request, bool) {
	head, body, _ := strings.Cut(strings.ReplaceAll(raw, "\r\n", "\n"), "\n\n")
	lines := strings.Split(head, "\n")
	words := strings.SplitN(lines[0], " ", 3)
	if len(words) != 3 {
		return request{}, false
	}
	r := request{method: words[0], uri: words[1], protocol: words[2]}
	for _, line := range lines[1:] {
		name, value, ok := strings.Cut(line, ":")
		if !ok {
			continue
		}
		r.headers = append(r.headers, header{name, strings.TrimSpace(value)})
	}
	if i := strings.Index(raw, "\r\n\r\n"); i >= 0 {
		body = raw[i+4:]
	}
	r.body = body
	r.respond()
	return r, true
}

// respond is the application of the regression tests: /reflect answers with what it is told, everything else with nothing.
func (r *request) respond() {
	r.status = 200
	path, _, _ := strings.Cut(r.uri, "?")
	var told struct {
		Status  int               `json:"status"`
		Headers map[string]string `json:"headers"`
		Body    string            `json:"body"`
		Encoded string            `json:"encodedBody"`
	}
	kind := "text/plain; charset=utf-8"
	if strings.HasPrefix(path, "/reflect") && json.Unmarshal([]byte(r.body), &told) == nil {
		if told.Status != 0 {
			r.status = told.Status
		}
		r.answerBody = told.Body
		if raw, err := base64.StdEncoding.DecodeString(told.Encoded); err == nil && told.Encoded != "" {
			r.answerBody = string(raw)
		}
		var names []string
		for name := range told.Headers {
			names = append(names, name)
		}
		slices.Sort(names)
		for _, name := range names {
			if strings.EqualFold(name, "content-type") {
				kind = told.Headers[name]
				continue
			}
			r.answer = append(r.answer, header{name, told.Headers[name]})
		}
	}
	r.answer = append(r.answer, header{"Content-Type", kind})
}

package waf_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/doorward/doorward/gateway/waf"
	"github.com/doorward/doorward/racetest"
	"github.com/doorward/doorward/seclang/crstest"
)

// givenUp are the regression tests of the published rules whose requests doorward lets pass: command lines that are the whole
// value and may be words of a search, a text about playout, statements of programs.
const givenUp = " 933100-31 933100-32 933100-37 933100-60 932235-21 932236-42 932236-65 932236-66 932236-67 932236-68 932236-71 932236-72 932236-74 932236-75 932236-78 932236-79 932250-9 932250-15" +
	" 932260-7 932260-12 932260-15 932260-28 932260-31 932260-32 932260-33 932260-34 932260-37 932260-38 932260-40 932260-41 932260-43 932260-44" +
	" 932380-9 934100-11 942120-22 942270-2 942360-13 942362-28 "

// TestNothingPublishedIsLost: what the published rules refuse of their own regression tests on attacks, Doorward's refuse too.
func TestNothingPublishedIsLost(t *testing.T) {
	if racetest.On {
		return // nothing runs at the same time, and the answers are the same
	}
	crs, own := site(t, engine(t, waf.CRS), 1), site(t, engine(t, waf.Doorward), 1)
	refused := 0
	for _, stage := range crstest.Stages(t) {
		if !strings.Contains(stage.File, "-ATTACK-") {
			continue
		}
		in := stage.Input
		method, uri, data := crstest.Or(in.Method, "GET"), crstest.Or(in.URI, "/"), crstest.Or(in.Data, "")
		made := func() *http.Request {
			r := sent(method, uri, data)
			if data != "" {
				r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			}
			for _, h := range in.Headers {
				r.Header.Set(fmt.Sprint(h.Key), fmt.Sprint(h.Value))
			}
			r.Header.Del("Host")
			r.Header.Del("Content-Length")
			return r
		}
		if is, _ := ask(t, own, made()); is {
			refused++
			continue
		}
		id := stage.Name[:strings.LastIndexByte(stage.Name, '-')] // without the stage
		if was, _ := ask(t, crs, made()); was && !strings.Contains(givenUp, " "+id+" ") {
			t.Errorf("%s passes: %s %s %.300q", id, method, uri, data)
		}
	}
	if refused < 1500 {
		t.Errorf("%d requests are refused, want some 2,000", refused)
	}
}

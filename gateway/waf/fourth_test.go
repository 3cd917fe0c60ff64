package waf_test

import (
	"testing"

	"github.com/doorward/doorward/gateway/waf"
	"github.com/doorward/doorward/racetest"
)

// TestFourthRound measures the lists of somebody who had not written the rules, at level 1: the parts that were at hand while rules were
// changed, and the halves that were not. -v shows what errs in the first, and of the second only how much.
func TestFourthRound(t *testing.T) {
	own := site(t, engine(t, waf.Doorward), 1)
	of := func(e entry) string { return e.class }
	for _, c := range []struct {
		attacks, harmless string
		shown             bool
		stopped, let      float64 // in percent, a little below what was measured
	}{
		{"fourth-attacks", "fourth-harmless", true, 95, 93},
		{"fourth-unseen-attacks", "fourth-unseen-harmless", false, 93, 92},
	} {
		tell := func(e entry, refused bool, hits string) {
			if attack := e.language == ""; c.shown && attack != refused {
				t.Logf("errs: %v (%s)", e, hits)
			}
		}
		bad, good := corpus(t, c.attacks, ""), corpus(t, c.harmless, "")
		if racetest.On {
			bad, good = eighth(bad), eighth(good)
		}
		refused, byClass := measure(t, own, bad, of, tell)
		wrong, byKind := measure(t, own, good, of, tell)
		stopped, let := percent(refused), 100-percent(wrong)
		t.Logf("%s: %.1f %% of %d are stopped: %s", c.attacks, stopped, refused.all, list(byClass))
		t.Logf("%s: %.1f %% of %d pass; refused are %s", c.harmless, let, wrong.all, list(byKind))
		if !racetest.On && (stopped < c.stopped || let < c.let) {
			t.Errorf("of %s %.1f %% are stopped and of %s %.1f %% pass, want %v and %v", c.attacks, stopped, c.harmless, let, c.stopped, c.let)
		}
	}
}

// TestHeadersOfClients: lines that browsers, proxies and senders of webhooks add pass although they are looked at.
func TestHeadersOfClients(t *testing.T) {
	own := site(t, engine(t, waf.Doorward), 1)
	r := sent("POST", "/hooks", `{"action":"opened","title":"Don't drop it; select one"}`, "Content-Type", "application/json", "X-Github-Event", "pull_request",
		"X-Github-Delivery", "72d3162e-cc78-11e3-81ab-4c9367dc0958", "X-Hub-Signature-256", "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17",
		"Stripe-Signature", "t=1492774577,v1=5257a869e7ec,v0=6ffbb59b2300", "Traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
		"Sec-Ch-Ua", `"Chromium";v="142", "Not?A_Brand";v="24"`, "X-Forwarded-Host", "desk.example:8443", "X-Forwarded-Proto", "https", "X-User-Name", "Ann O'Hara",
		"Cf-Visitor", `{"scheme":"https"}`, "X-Amzn-Trace-Id", "Root=1-67891233-abcdef012345678912345678;Parent=53995c3f42cd8ad8;Sampled=1")
	if refused, report := ask(t, own, r); refused {
		t.Errorf("a webhook is refused: %+v", report)
	}
	for name, value := range map[string]string{"X-Tenant": "1' or '1'='1", "X-Forwarded-Host": "x/><script>", "X-Report": "<img src=x onerror=alert(1)>"} {
		if refused, report := ask(t, own, sent("GET", "/", "", name, value)); !refused {
			t.Errorf("%s: %s passes: %+v", name, value, report)
		}
	}
}

package audit_test

import (
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/doorward/doorward/audit"
	"github.com/doorward/doorward/audit/facts"
)

var now = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

// catalogue reads controls, written as in a file, and a profile of all of them.
func catalogue(t *testing.T, controls string) (*audit.Catalogue, audit.Profile) {
	t.Helper()
	c, err := load(controls, "title: All\n")
	if err != nil {
		t.Fatal(err)
	}
	p, ok := c.Profile("all")
	if !ok {
		t.Fatal("there is no profile all")
	}
	return c, p
}

func load(controls, profile string) (*audit.Catalogue, error) {
	return audit.Load(audit.Source{
		Controls: fstest.MapFS{"x.yaml": {Data: []byte(controls)}},
		Profiles: fstest.MapFS{"all.yaml": {Data: []byte(profile)}},
	})
}

// control is one control with the usual texts and the lines given.
func control(id string, lines ...string) string {
	return "- id: " + id + "\n  title: It is so\n  severity: high\n  rationale: Because.\n  by: [check]\n  expected: that it is\n  " +
		strings.Join(lines, "\n  ") + "\n"
}

func TestVerdicts(t *testing.T) {
	debian := facts.System{ID: "debian", Version: "12", Name: "Debian 12", Origin: "/etc/os-release"}
	for name, c := range map[string]struct {
		lines   []string
		missing []facts.Missing
		records audit.Records
		want    audit.Status
		reason  string
	}{
		"pass":                   {lines: []string{`expect: system.id == "debian"`}, want: audit.Pass},
		"fail":                   {lines: []string{`expect: system.id == "ubuntu"`}, want: audit.Fail},
		"a missing fact":         {lines: []string{`expect: system.id == "debian"`}, missing: []facts.Missing{{Fact: "system", Reason: "no rights"}}, want: audit.Unknown, reason: "system: no rights"},
		"a missing field":        {lines: []string{`expect: system.version == "12"`}, missing: []facts.Missing{{Fact: "system.version", Reason: "torn"}}, want: audit.Unknown, reason: "system.version: torn"},
		"another field missing":  {lines: []string{`expect: system.id == "debian"`}, missing: []facts.Missing{{Fact: "system.version", Reason: "torn"}}, want: audit.Pass},
		"decided without it":     {lines: []string{`expect: system.version == "12" || system.id == "debian"`}, missing: []facts.Missing{{Fact: "system.version", Reason: "torn"}}, want: audit.Pass},
		"does not apply":         {lines: []string{`when: system.id == "fedora"`, `otherwise: it is not Fedora`, `expect: "false"`}, want: audit.NotApplicable, reason: "it is not Fedora"},
		"when is unknown":        {lines: []string{`when: system.id == "fedora"`, `otherwise: no`, `expect: "true"`}, missing: []facts.Missing{{Fact: "system", Reason: "gone"}}, want: audit.Unknown, reason: "gone"},
		"each of a list":         {lines: []string{`over: "[system.id, system.version]"`, `expect: it != ""`}, want: audit.Pass},
		"one of a list":          {lines: []string{`over: "[system.id, system.version]"`, `expect: it != "12"`}, want: audit.Fail},
		"an empty list":          {lines: []string{`over: '[system.id].filter(x, x == "no")'`, `expect: it != "12"`}, want: audit.Unknown, reason: "there is nothing in"},
		"an empty list that may": {lines: []string{`over: '[system.id].filter(x, x == "no")'`, `expect: it != "12"`, `empty: pass`}, want: audit.Pass},
		"our own defect":         {lines: []string{`expect: "1 / (system.id.size() - 6) == 1"`}, want: audit.Errored, reason: "division by zero"},
		"not attested":           {lines: []string{question}, want: audit.Fail, reason: "nobody has attested it: Is it locked?"},
		"attested": {lines: []string{question}, want: audit.Attested,
			records: audit.Records{Attestations: map[string]audit.Attestation{"X-1": {Owner: "anna", Until: now.Add(time.Hour)}}}},
		"attested too long ago": {lines: []string{question}, want: audit.Fail, reason: "the attestation ended on 2026-11-25",
			records: audit.Records{Attestations: map[string]audit.Attestation{"X-1": {Owner: "anna", Until: now}}}},
		"attestations that cannot be read": {lines: []string{question}, want: audit.Unknown, reason: "the daemon is down",
			records: audit.Records{Unread: "the daemon is down"}},
		"an attestation hides no failure": {lines: []string{`expect: system.id == "ubuntu"`, question}, want: audit.Fail,
			records: audit.Records{Attestations: map[string]audit.Attestation{"X-1": {Owner: "anna", Until: now.Add(time.Hour)}}}},
		"an attestation where nothing can be read": {lines: []string{`expect: system.id == "ubuntu"`, question}, want: audit.Attested,
			missing: []facts.Missing{{Fact: "system", Reason: "gone"}},
			records: audit.Records{Attestations: map[string]audit.Attestation{"X-1": {Owner: "anna", Until: now.Add(time.Hour)}}}},
		"the check passes, and the answer is missing": {lines: []string{`expect: system.id == "debian"`, question, "  required: true"}, want: audit.Fail, reason: "nobody has"},
		"waived": {lines: []string{`expect: system.id == "ubuntu"`}, want: audit.Waived, reason: "until the move (ben)",
			records: audit.Records{Waivers: map[string]audit.Waiver{"X-1": {Reason: "until the move", By: "ben", Until: now.Add(time.Hour)}}}},
		"waived too long ago": {lines: []string{`expect: system.id == "ubuntu"`}, want: audit.Fail, reason: "the waiver ended on 2026-11-25",
			records: audit.Records{Waivers: map[string]audit.Waiver{"X-1": {Reason: "until the move", By: "ben", Until: now}}}},
		"a defect cannot be waived": {lines: []string{`expect: "1 / (system.id.size() - 6) == 1"`}, want: audit.Errored,
			records: audit.Records{Waivers: map[string]audit.Waiver{"X-1": {Until: now.Add(time.Hour)}}}},
	} {
		t.Run(name, func(t *testing.T) {
			cat, p := catalogue(t, "controls:\n"+control("X-1", c.lines...))
			f := facts.Facts{Time: now, Values: map[string]any{"system": debian}, Missing: c.missing}
			for _, m := range c.missing {
				if m.Fact == "system" {
					delete(f.Values, "system")
				}
			}
			got := cat.Judge(p, f, c.records)
			if len(got) != 1 || got[0].Status != c.want || !strings.Contains(got[0].Reason, c.reason) {
				t.Fatalf("got %+v, want %s because %q", got, c.want, c.reason)
			}
		})
	}
}

const question = "attest:\n    text: Is it locked?\n    evidence: a photograph\n    review_days: 365\n  "

func TestEvidence(t *testing.T) {
	cat, p := catalogue(t, "controls:\n"+control("X-1", `over: "[system.id, system.version]"`, `expect: it != "12"`))
	f := facts.Facts{Time: now, Values: map[string]any{"system": facts.System{ID: "debian", Version: "12", Origin: "/etc/os-release"}}}
	got := cat.Judge(p, f, audit.Records{})[0].Evidence
	if len(got) < 2 || got[0] != (audit.Evidence{Fact: "system.id", Value: "12", Offends: true}) {
		t.Errorf("got %+v, want what offends first", got)
	}
	cat, p = catalogue(t, "controls:\n"+control("X-1", `expect: system.version == "12"`))
	want := audit.Evidence{Fact: "system.version", Value: "12", Origin: "/etc/os-release"}
	if got := cat.Judge(p, f, audit.Records{})[0].Evidence; len(got) != 1 || got[0] != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// TestTooMuchToCompare shows that a host with too many accounts is none of our defects, and does not pass.
func TestTooMuchToCompare(t *testing.T) {
	cat, p := catalogue(t, "controls:\n"+control("X-1", `expect: accounts.users.all(a, accounts.users.all(b, a.uid >= 0 && b.uid >= 0))`))
	f := facts.Facts{Time: now, Values: map[string]any{"accounts": facts.Accounts{Users: make([]facts.User, 10_000)}}}
	if got := cat.Judge(p, f, audit.Records{})[0]; got.Status != audit.Unknown || !strings.Contains(got.Reason, "more on the host") {
		t.Errorf("got %s because %q, want unknown", got.Status, got.Reason)
	}
}

// TestHostileText shows that nothing of a host steers the terminal of who reads the report.
func TestHostileText(t *testing.T) {
	const hostile = "a\x1b[2J\u009b2J\u202ex\r\xff"
	cat, p := catalogue(t, "controls:\n"+control("X-1", `expect: system.id == "debian" && system.version == "12"`))
	f := facts.Facts{Time: now, Values: map[string]any{"system": facts.System{ID: "debian", Name: hostile, Origin: hostile}},
		Missing: []facts.Missing{{Fact: "system.version", Reason: hostile}}}
	got := cat.Judge(p, f, audit.Records{})[0]
	text := got.Reason
	for _, e := range got.Evidence {
		text += e.String()
	}
	if len(got.Evidence) == 0 || strings.ContainsAny(text, "\x1b\r\u009b\u202e") || !strings.Contains(got.Reason, "a�[2J") {
		t.Errorf("got %q", text)
	}
}

// TestOverIsNamedByItsFirstFact shows that evidence names the list that is walked, not the first fact of the alphabet.
func TestOverIsNamedByItsFirstFact(t *testing.T) {
	cat, p := catalogue(t, "controls:\n"+control("X-1", `over: '[system.version].filter(v, v != "" && accounts.all_tried)'`, `expect: it != "12"`))
	f := facts.Facts{Time: now, Values: map[string]any{"system": facts.System{Version: "12"}, "accounts": facts.Accounts{AllTried: true}}}
	got := cat.Judge(p, f, audit.Records{})[0].Evidence
	if len(got) == 0 || got[0] != (audit.Evidence{Fact: "system.version", Value: "12", Offends: true}) {
		t.Errorf("got %+v, want system.version", got)
	}
}

func TestBadControls(t *testing.T) {
	for name, c := range map[string]struct{ text, profile, want string }{
		"an unknown key":           {text: control("X-1", `expect: "true"`, "colour: red"), want: "colour"},
		"an unknown fact":          {text: control("X-1", `expect: moon.full`), want: "undeclared reference to 'moon'"},
		"an unknown field":         {text: control("X-1", `expect: system.nome == "x"`), want: "undefined field 'nome'"},
		"a wrong type":             {text: control("X-1", `expect: system.id == 3`), want: "no matching overload"},
		"no truth value":           {text: control("X-1", `expect: system.id`), want: "has to be a bool"},
		"over no list":             {text: control("X-1", `over: system.id`, `expect: it == "x"`), want: "not a list"},
		"twice the same":           {text: control("X-1", `expect: "true"`) + control("X-1", `expect: "true"`), want: "it is in x.yaml and in x.yaml"},
		"it repeats nothing":       {text: control("X-1", `same_as: X-9`), want: `same_as "X-9" is no control`},
		"nothing is asked":         {text: control("X-1"), want: "neither expect nor attest"},
		"when without a reason":    {text: control("X-1", `when: "true"`, `expect: "true"`), want: "otherwise does not say"},
		"an unknown severity":      {text: strings.Replace(control("X-1", `expect: "true"`), "high", "huge", 1), want: `severity "huge"`},
		"a choice without variant": {text: control("X-1", `expect: "true"`), profile: "title: All\nchoose: [{control: X-1, variant: y}]\n", want: `has no variant "y"`},
	} {
		t.Run(name, func(t *testing.T) {
			if c.profile == "" {
				c.profile = "title: All\n"
			}
			_, err := load("controls:\n"+c.text, c.profile)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want an error that tells %q", err, c.want)
			}
		})
	}
}

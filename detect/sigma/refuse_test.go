package sigma_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/doorward/doorward/detect/sigma"
)

// problem reads and compiles rules that must be refused, and returns what is said.
func problem(text string) string {
	c, err := sigma.Parse("r.yml", []byte(text), sigma.Options{Placeholders: map[string][]string{"many": strings.Fields(strings.Repeat("x ", 2000))}})
	if err == nil {
		_, err = sigma.Compile(c, sigma.Limits{})
	}
	var list *sigma.Errors
	switch {
	case err == nil:
		return ""
	case !errors.As(err, &list) || len(list.Problems) == 0:
		return fmt.Sprintf("not an *Errors: %v", err)
	}
	return err.Error()
}

// TestDetectionsRefused: what cannot be meant is refused with its line and the reason.
func TestDetectionsRefused(t *testing.T) {
	for name, c := range map[string]struct{ detection, want string }{
		"unknown modifier":         {"s:\n    A|begins: x\ncondition: s", "r.yml:6: A|begins: there is no modifier begins"},
		"modifier twice":           {"s:\n    A|contains|contains: x\ncondition: s", "written twice"},
		"contains and endswith":    {"s:\n    A|contains|endswith: x\ncondition: s", "endswith cannot be joined with contains"},
		"all of one":               {"s:\n    A|contains|all: x\ncondition: s", "all needs more than one value"},
		"all and neq":              {"s:\n    A|all|neq: [x, y]\ncondition: s", "all and neq cannot be joined"},
		"flag without re":          {"s:\n    A|i: x\ncondition: s", "stands behind re only"},
		"re behind contains":       {"s:\n    A|contains|re: x\ncondition: s", "cannot stand behind contains"},
		"contains behind re":       {"s:\n    A|re|contains: x\ncondition: s", "write ^ and $ into the expression"},
		"re cased":                 {"s:\n    A|re|cased: x\ncondition: s", "cased cannot be joined with re"},
		"look-around":              {"s:\n    A|re: 'a(?=b)'\ncondition: s", "r.yml:6: A|re: the regular expression cannot be used (look-around"},
		"back-reference":           {"s:\n    A|re:\n        - ok\n        - '(a)\\1'\ncondition: s", "r.yml:8: A|re: the regular expression cannot be used"},
		"cidr with host bits":      {"s:\n    A|cidr: 10.0.0.1/8\ncondition: s", "write 10.0.0.0/8"},
		"cidr of a word":           {"s:\n    A|cidr: home\ncondition: s", "cidr needs a network"},
		"cidr keyword":             {"s:\n    '|cidr': 10.0.0.0/8\ncondition: s", "cidr needs a field"},
		"gt of text":               {"s:\n    A|gt: '5'\ncondition: s", "gt needs a number"},
		"gt contains":              {"s:\n    A|gt|contains: 5\ncondition: s", "contains cannot stand behind gt"},
		"hour out of range":        {"s:\n    A|hour: 24\ncondition: s", "hour needs a whole number in its range"},
		"hour with gte":            {"s:\n    A|hour|gte: 22\ncondition: s", "cannot stand behind hour"},
		"exists of text":           {"s:\n    A|exists: 'true'\ncondition: s", "exists needs true or false"},
		"exists of two":            {"s:\n    A|exists: [true, false]\ncondition: s", "exists stands alone"},
		"exists neq":               {"s:\n    A|exists|neq: true\ncondition: s", "exists cannot be negated"},
		"null in a list":           {"s:\n    A:\n        - ''\n        - null\ncondition: s", "r.yml:8: null cannot be one of several values"},
		"null contains":            {"s:\n    A|contains: null\ncondition: s", "contains needs texts or numbers"},
		"null keyword":             {"s: null\ncondition: s", "null needs a field"},
		"true contains":            {"s:\n    A|contains: true\ncondition: s", "contains needs texts or numbers"},
		"base64 of wildcards":      {"s:\n    A|base64: 'a*'\ncondition: s", "cannot encode wildcards"},
		"contains before base64":   {"s:\n    A|contains|base64: a\ncondition: s", "cannot encode wildcards"},
		"base64 of a number":       {"s:\n    A|base64: 5\ncondition: s", "base64 needs texts"},
		"base64offset too short":   {"s:\n    A|base64offset: a\ncondition: s", "base64offset needs a longer value"},
		"wide after base64":        {"s:\n    A|base64|wide: abc\ncondition: s", "must stand before base64"},
		"wide twice":               {"s:\n    A|wide|utf16be: abc\ncondition: s", "once only"},
		"wide question mark":       {"s:\n    A|wide: 'a?'\ncondition: s", "cannot encode the wildcard ?"},
		"windash explosion":        {"s:\n    A|windash: ' -a -b -c -d -e'\ncondition: s", "too many variants"},
		"unknown placeholder":      {"s:\n    A|expand: 'x%Nobody%'\ncondition: s", "%Nobody% has no values"},
		"placeholder explosion":    {"s:\n    A|expand: '%many%'\ncondition: s", "too many values"},
		"fieldref wildcard":        {"s:\n    A|fieldref: 'B*'\ncondition: s", "without wildcards"},
		"value is a map":           {"s:\n    A: {b: c}\ncondition: s", "has keys below it as a value"},
		"list in a list":           {"s:\n    - [a, b]\ncondition: s", "a list in a list"},
		"empty list":               {"s:\n    A: []\ncondition: s", "has an empty list"},
		"empty search":             {"s: []\ncondition: s", "s is an empty list"},
		"empty map":                {"s: {}\ncondition: s", "s is empty"},
		"key twice":                {"s:\n    A: 1\n    A: 2\ncondition: s", "r.yml:7: A is written twice, first in line 6"},
		"timeframe":                {"s:\n    A: 1\ntimeframe: 5m\ncondition: s", "write a correlation"},
		"no condition":             {"s:\n    A: 1", "detection has no condition"},
		"no search":                {"condition: s", "no search identifier"},
		"unknown search":           {"s:\n    A: 1\ncondition: t", `there is no search identifier "t"`},
		"aggregation":              {"s:\n    A: 1\ncondition: s | count() > 5", "write a correlation"},
		"bracket open":             {"s:\n    A: 1\ncondition: (s", "a bracket is not closed"},
		"bracket close":            {"s:\n    A: 1\ncondition: s)", `")" is not expected`},
		"ends early":               {"s:\n    A: 1\ncondition: s and", `it ends behind "and"`},
		"two names":                {"s:\n    A: 1\ncondition: s s", `"s" is not expected behind "s"`},
		"2 of":                     {"s:\n    A: 1\ncondition: 2 of s*", "knows 1 of and all of"},
		"1 of nothing":             {"s:\n    A: 1\ncondition: 1 of x*", `no search identifier is meant by "x*"`},
		"only hidden":              {"_s:\n    A: 1\ncondition: 1 of them", "no search identifier is meant"},
		"empty condition":          {"s:\n    A: 1\ncondition: ''", "it is empty"},
		"deep condition":           {"s:\n    A: 1\ncondition: " + strings.Repeat("(", 100) + "s" + strings.Repeat(")", 100), "nested too deep"},
		"many nots":                {"s:\n    A: 1\ncondition: " + strings.Repeat("not ", 100) + "s", "nested too deep"},
		"a word of the condition":  {"not:\n    A: 1\ncondition: not not", "is a word of the condition"},
		"many modifiers":           {"s:\n    A|contains|all|cased|neq|expand|windash|wide|base64|re: [x, y]\ncondition: s", "A|"},
		"one question, many times": {"s:\n    A: [" + strings.Repeat("x,", 2000) + "x]\ncondition: " + strings.Repeat("s or ", 100) + "s", "asks more than 50000 questions"},
	} {
		if got := problem(rule(c.detection)); !strings.Contains(got, c.want) {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}

// TestHeadsRefused: keys that are not of the format, or not of its form.
func TestHeadsRefused(t *testing.T) {
	const detection = "\ndetection:\n    s:\n        A: 1\n    condition: s\n"
	const good = "title: t\nlogsource: {service: test}" + detection
	for name, c := range map[string]struct{ text, want string }{
		"unknown key":        {good + "levels: high\n", `r.yml:7: there is no key "levels"`},
		"no title":           {"logsource: {service: x}" + detection, "r.yml:1: the rule has no title"},
		"no logsource":       {"title: t" + detection, "has no logsource"},
		"empty logsource":    {"title: t\nlogsource: {definition: x}" + detection, "needs a category, a product or a service"},
		"logsource typo":     {"title: t\nlogsource: {servce: x}" + detection, `logsource has no key "servce"`},
		"logsource case":     {"title: t\nlogsource: {service: Sshd}" + detection, "lower case"},
		"level":              {good + "level: bad\n", `level "bad" is none of`},
		"status":             {good + "status: new\n", `status "new" is none of`},
		"date":               {good + "date: 2024-13-02\n", "date must be a date, written YYYY-MM-DD"},
		"id":                 {good + "id: 7\n", "id must be a UUID"},
		"name":               {good + "name: \"a\\tb\"\n", "name must be a word or some words"},
		"taxonomy":           {good + "taxonomy: ecs\n", `taxonomy "ecs" is not known`},
		"tag":                {good + "tags: [Attack]\n", "namespace.value"},
		"related":            {good + "related:\n    - id: x\n      type: brother\n", "related needs an id, and a type"},
		"long title":         {strings.Replace(good, "title: t", "title: "+strings.Repeat("t", 257), 1), "more than 256 bytes"},
		"both sections":      {good + "correlation: {}\n", "one of detection, correlation and filter; this one has 2"},
		"no section":         {"title: t\n", "this one has 0"},
		"not a mapping":      {"- a\n", "a rule has a list, but needs keys below it"},
		"not YAML":           {"title: [\n", "not valid YAML"},
		"anchor":             {"title: &a t" + detection, "anchors and aliases"},
		"alias":              {"title: *a" + detection, "anchors and aliases"},
		"tag of YAML":        {"title: !!str t" + detection, "YAML tags"},
		"tab":                {"title: t\nlogsource:\n\tservice: x", "tab"},
		"deep":               {"title: " + strings.Repeat("[", 100), "nested too deep"},
		"large":              {strings.Repeat("#", 1<<20+1), "more than 1048576 bytes"},
		"many tokens":        {"title: [" + strings.Repeat("a,", 60_000) + "]", "too many keys"},
		"many documents":     {strings.Repeat(good+"---\n", 1001), "more than 1000 rules"},
		"same name":          {good + "name: x\n---\n" + good + "name: x\n", "r.yml:9: the id or name x is that of another rule too"},
		"filter of nobody":   {good + "---\ntitle: f\nlogsource: {service: test}\nfilter:\n    rules: [nobody]\n    s: x\n    condition: s\n", "no rule of that id or name"},
		"filter elsewhere":   {good + "name: x\n---\ntitle: f\nlogsource: {service: other}\nfilter:\n    rules: [x]\n    s: x\n    condition: s\n", "has another logsource"},
		"filter of no rules": {"title: f\nlogsource: {service: other}\nfilter:\n    s: x\n    condition: s\n", "the filter has no rules"},
		"filter with level":  {"title: f\nlevel: high\nlogsource: {service: other}\nfilter:\n    rules: any\n    s: x\n    condition: s\n", `there is no key "level"`},
	} {
		if got := problem(c.text); !strings.Contains(got, c.want) {
			t.Errorf("%s: got %.300q, want %q", name, got, c.want)
		}
	}
}

// correlated is a correlation with further lines, behind the rules a, b and c.
func correlated(lines string) string {
	text := ""
	for _, name := range []string{"a", "b", "c"} {
		text += "title: " + name + "\nname: " + name + "\nlogsource: {service: test}\ndetection:\n    s:\n        E: " + name + "\n    condition: s\n---\n"
	}
	return text + "title: many\nname: many\ncorrelation:\n    " + strings.ReplaceAll(strings.TrimSpace(lines), "\n", "\n    ") + "\n"
}

// TestCorrelationsRefused is about correlations and what they refer to.
func TestCorrelationsRefused(t *testing.T) {
	const good = "type: event_count\nrules: [a]\ngroup-by: [ip]\ntimespan: 10m\ncondition: {gte: 3}"
	with := func(old, new string) string { return correlated(strings.Replace(good, old, new, 1)) }
	for name, c := range map[string]struct{ text, want string }{
		"good":                {correlated(good), ""},
		"type":                {with("event_count", "count"), `type "count" is none of`},
		"no type":             {with("type: event_count\n", ""), "has no type"},
		"no rules":            {with("rules: [a]\n", ""), "has no rules"},
		"unknown rule":        {with("[a]", "[zz]"), "there is no rule zz"},
		"rule twice":          {with("[a]", "[a, a]"), "or one twice"},
		"many rules":          {with("[a]", "["+strings.Repeat("a,", 40)+"]"), "more than 32 rules"},
		"no timespan":         {with("timespan: 10m\n", ""), "has no timespan"},
		"timespan":            {with("10m", "10 minutes"), "timespan must be a number"},
		"timespan of months":  {with("10m", "1M"), "timespan must be a number"},
		"timespan too long":   {with("10m", "99999999w"), "timespan must be a number"},
		"no condition":        {with("condition: {gte: 3}", ""), "has no condition"},
		"condition key":       {with("gte", "min"), `no key "min"`},
		"condition text":      {with("{gte: 3}", "a"), "needs keys such as gte: 10"},
		"threshold":           {with("3", "3.5"), "whole number"},
		"threshold too large": {with("3", "100001"), "whole number from 0 to 100000"},
		"impossible":          {with("{gte: 3}", "{gt: 3, lt: 4}"), "can never hold"},
		"field of count":      {with("{gte: 3}", "{gte: 3, field: x}"), "event_count counts no field"},
		"no field":            {with("event_count", "value_count"), "value_count needs a field"},
		"two fields":          {correlated("type: value_sum\nrules: [a]\ntimespan: 1m\ncondition: {gte: 3, field: [x, y]}"), "too many fields"},
		"percentile":          {with("{gte: 3}", "{gte: 3, percentile: 5}"), "percentile belongs to"},
		"unknown key":         {with("group-by", "groupby"), `no key "groupby"`},
		"many groups":         {with("[ip]", "[1,2,3,4,5,6,7,8,9]"), "more than 8 fields"},
		"alias of nobody":     {correlated(good + "\naliases: {ip: {zz: src}}"), "which is none of the correlation's rules"},
		"alias left out":      {correlated("type: temporal\nrules: [a, b]\ngroup-by: [ip]\ntimespan: 10m\naliases: {ip: {a: src}}"), "names no field for the rule b"},
		"temporal too many":   {correlated("type: temporal\nrules: [a, b]\ntimespan: 10m\ncondition: {gte: 3}"), "whole number from 0 to 2"},
		"temporal expression": {correlated("type: temporal\nrules: [a, b]\ntimespan: 10m\ncondition: a and c"), `no search identifier "c"`},
		"temporal left out":   {correlated("type: temporal\nrules: [a, b]\ntimespan: 10m\ncondition: a"), "the rule b is not named"},
		"itself":              {with("[a]", "[many]"), "the correlation many is made of itself"},
		"circle": {correlated(strings.Replace(good, "[a]", "[more]", 1)) + "---\ntitle: more\nname: more\ncorrelation:\n    " +
			strings.ReplaceAll(strings.Replace(good, "[a]", "[many]", 1), "\n", "\n    "), "is made of itself"},
		"respond unheard": {strings.Replace(correlated(good), "title: a\n", "title: a\nrespond: {ban: 10m, target: ip}\n", 1),
			"respond would never be carried out: the correlation many"},
		"same title": {correlated(good) + "---\ntitle: x\ncorrelation: {type: event_count, rules: [a], timespan: 1m, condition: {gte: 1}}\n" +
			"---\ntitle: x\ncorrelation: {type: event_count, rules: [a], timespan: 1m, condition: {gte: 2}}\n", "another correlation is called x too"},
	} {
		if got := problem(c.text); c.want == "" && got != "" || !strings.Contains(got, c.want) {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
	text := correlated(good)
	for i, below := 0, "many"; i < 10; i++ {
		name := fmt.Sprintf("up%d", i)
		text += "---\ntitle: " + name + "\nname: " + name + "\ncorrelation: {type: event_count, rules: [" + below + "], timespan: 1m, condition: {gte: 2}}\n"
		below = name
	}
	if got := problem(text); !strings.Contains(got, "nested more than 8 deep") {
		t.Errorf("ten correlations above each other: got %q", got)
	}
}

// TestRespond reads our own section.
func TestRespond(t *testing.T) {
	respond := func(lines string) string {
		return rule("s:\n    A: 1\ncondition: s") + "respond:\n    " + strings.ReplaceAll(lines, "\n", "\n    ") + "\n"
	}
	for name, c := range map[string]struct{ text, want string }{
		"no action":         {respond("target: ip"), "respond needs one of ban"},
		"two actions":       {respond("ban: 1m\nalert: 1m\ntarget: ip"), "respond has both ban and alert"},
		"no duration":       {respond("ban: soon\ntarget: ip"), `"soon" is no duration`},
		"zero":              {respond("ban: 0m\ntarget: ip"), `"0m" is no duration`},
		"throttled forever": {respond("throttle: permanent\ntarget: ip"), "is no duration"},
		"no target":         {respond("ban: 1m"), "respond needs a target"},
		"scope":             {respond("ban: 1m\ntarget: ip\nscope: city"), `scope "city" is none of`},
		"spoofable":         {respond("ban: 1m\ntarget: ip\nspoofable: maybe"), "needs true or false"},
		"unknown":           {respond("ban: 1m\ntarget: ip\nreason: x"), `respond has no key "reason"`},
		"factor":            {respond("ban: 1m\ntarget: ip\nescalate: {factor: 1, max: 1d}"), "factor must be a number over 1"},
		"no max":            {respond("ban: 1m\ntarget: ip\nescalate: {factor: 2}"), "escalate needs factor and max"},
		"max":               {respond("ban: 1h\ntarget: ip\nescalate: {factor: 2, max: 1m}"), "max is less than the first duration"},
		"escalated forever": {respond("ban: permanent\ntarget: ip\nescalate: {factor: 2, max: 1d}"), "escalate needs an action that ends"},
		"escalated alert":   {respond("alert: 1m\nescalate: {factor: 2, max: 1d}"), "escalate needs an action that ends"},
		"account forever":   {respond("ban: permanent\ntarget: user\nscope: account"), "cannot be banned for good"},
		"target not grouped": {strings.Replace(correlated("type: event_count\nrules: [a]\ngroup-by: [user, x]\ntimespan: 10m\ncondition: {gte: 3}"),
			"title: many\n", "title: many\nrespond: {ban: 1m, target: ip}\n", 1), "none of the fields in group-by"},
	} {
		if got := problem(c.text); !strings.Contains(got, c.want) {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
	e := engine(t, respond("ban: 10m\ntarget: src_ip\nescalate: {factor: 1.5, max: 2w}\nscope: subnet64\nspoofable: true")+"level: high\n", sigma.Limits{})
	got := e.Rules()[0]
	want := sigma.Response{Action: sigma.Ban, For: 600e9, EscalateFactor: 1.5, EscalateMax: 14 * 24 * 3600e9, Scope: sigma.ScopeSubnet64,
		Target: "src_ip", Spoofable: true, Line: 8}
	if *got.Respond != want || got.Level != sigma.High {
		t.Errorf("got %+v level %v, want %+v", *got.Respond, got.Level, want)
	}
	e = engine(t, strings.Replace(correlated("type: event_count\nrules: [a]\ngroup-by: [ip]\ntimespan: 10m\ncondition: {gte: 3}"),
		"title: many\n", "title: many\nrespond: {ban: permanent}\n", 1), sigma.Limits{})
	if r := e.Correlations()[0].Respond; r.Target != "ip" || r.For != 0 || r.Scope != sigma.ScopeAddress {
		t.Errorf("got %+v, want a ban for good of the only field in group-by", *r)
	}
}

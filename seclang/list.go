package seclang

import (
	"strings"

	"github.com/doorward/doorward/seclang/syntax"
)

// The collections that a transaction keeps. Several variables show one of them: ARGS is argsGet and then argsPost, and
// the variables that end in _NAMES show the keys as values.
const (
	argsGet = iota
	argsPost
	cookies
	requestHeaders
	responseHeaders
	environment
	files
	filesNames
	filesSizes
	partHeaders
	partNames
	fileNames
	fileCharsets
	fileLanguages
	xml
	listCount
)

// view says how a keyed variable shows the collections.
type view struct {
	lists [2]int // -1 is none
	names bool   // the keys are the values
}

func viewOf(v syntax.Variable) (view, bool) {
	one := func(list int, names bool) (view, bool) { return view{lists: [2]int{list, -1}, names: names}, true }
	switch v {
	case syntax.Args:
		return view{lists: [2]int{argsGet, argsPost}}, true
	case syntax.ArgsNames:
		return view{lists: [2]int{argsGet, argsPost}, names: true}, true
	case syntax.ArgsGet:
		return one(argsGet, false)
	case syntax.ArgsGetNames:
		return one(argsGet, true)
	case syntax.ArgsPost:
		return one(argsPost, false)
	case syntax.ArgsPostNames:
		return one(argsPost, true)
	case syntax.RequestCookies:
		return one(cookies, false)
	case syntax.RequestCookiesNames:
		return one(cookies, true)
	case syntax.RequestHeaders:
		return one(requestHeaders, false)
	case syntax.RequestHeadersNames:
		return one(requestHeaders, true)
	case syntax.ResponseHeaders:
		return one(responseHeaders, false)
	case syntax.ResponseHeadersNames:
		return one(responseHeaders, true)
	case syntax.Env:
		return one(environment, false)
	case syntax.Files:
		return one(files, false)
	case syntax.FilesNames:
		return one(filesNames, false)
	case syntax.FilesSizes:
		return one(filesSizes, false)
	case syntax.MultipartPartHeaders:
		return one(partHeaders, false)
	case syntax.MultipartName:
		return one(partNames, false)
	case syntax.MultipartFilename:
		return one(fileNames, false)
	case syntax.MultipartFilenameCharset:
		return one(fileCharsets, false)
	case syntax.MultipartFilenameLanguage:
		return one(fileLanguages, false)
	case syntax.XML:
		return one(xml, false)
	}
	return view{}, false
}

// item is one value that a link looks at.
type item struct {
	variable syntax.Variable
	key      string
	low      string
	value    string
	view     string
}

// collect appends the values of a target, without those that are excluded.
func (t *Transaction) collect(all []item, g *target) []item {
	v := g.Variable
	switch {
	case v == syntax.TX:
		return t.collectTX(all, g)
	case v == syntax.MatchedVars, v == syntax.MatchedVarsNames:
		return collectPairs(all, g, t.matchedPairs(), v == syntax.MatchedVarsNames)
	case v == syntax.RuleFields:
		return collectPairs(all, g, t.ruleFields(), false)
	case !v.Keyed():
		return append(all, item{variable: v, value: t.singleValue(v)})
	}
	view, _ := viewOf(v)
	for _, list := range view.lists {
		if list >= 0 {
			all = collectPairs(all, g, t.lists[list], view.names)
		}
	}
	return all
}

// matchedPairs is the collection MATCHED_VARS.
func (t *Transaction) matchedPairs() []pair {
	pairs := make([]pair, len(t.matchedVars))
	for i := range t.matchedVars {
		name := t.matchedVars[i].Name()
		pairs[i] = pair{key: name, low: strings.ToLower(name), value: t.matchedVars[i].Value}
	}
	return pairs
}

func collectPairs(all []item, g *target, pairs []pair, names bool) []item {
	for i := range pairs {
		p := &pairs[i]
		switch {
		case names && p.view != "" && p.view != viewSemicolon:
			continue
		case g.Pattern != nil:
			if !g.Pattern.MatchString(p.low) {
				continue
			}
		case g.low != "" && g.low != p.low:
			continue
		}
		value := p.value
		if names {
			value = p.key
		}
		all = append(all, item{variable: g.Variable, key: p.key, low: p.low, value: value, view: p.view})
	}
	return all
}

func (t *Transaction) collectTX(all []item, g *target) []item {
	if g.slot < int32(len(captureNames)) { // one of TX.0 to TX.9, or any
		t.settle()
	}
	if g.slot >= 0 {
		if v := &t.tx.slots[g.slot]; v.set {
			all = append(all, item{variable: syntax.TX, key: v.key, low: strings.ToLower(v.key), value: v.value})
		}
		return all
	}
	for _, slot := range t.tx.order {
		v := &t.tx.slots[slot]
		if !t.site.plain && int(slot) < len(g.known) {
			if g.known[slot] {
				all = append(all, item{variable: syntax.TX, key: v.key, low: strings.ToLower(v.key), value: v.value})
			}
			continue
		}
		low := strings.ToLower(v.key)
		if !t.site.plain && ascii(low) && !strings.Contains(low, g.must) {
			continue
		}
		if g.Pattern == nil || g.Pattern.MatchString(low) {
			all = append(all, item{variable: syntax.TX, key: v.key, low: low, value: v.value})
		}
	}
	return all
}

// first is the first value of a collection with that key; of all when the key is empty.
func (t *Transaction) first(v syntax.Variable, key string) (string, bool) {
	g := target{Target: syntax.Target{Variable: v, Key: key}, low: key, slot: -1}
	if v == syntax.TX && key != "" {
		if g.slot = t.slotNamed(key, false); g.slot < 0 {
			return "", false
		}
	}
	all := t.collect(nil, &g)
	if len(all) == 0 {
		return "", false
	}
	return all[0].value, true
}

func (t *Transaction) setEnvironment(name, value string) {
	low := strings.ToLower(name)
	for i := range t.lists[environment] {
		if t.lists[environment][i].low == low {
			t.lists[environment][i].value = value
			return
		}
	}
	if len(t.lists[environment]) < maxEnvironment {
		t.lists[environment] = append(t.lists[environment], pair{key: name, low: low, value: value})
	} else {
		t.Dropped.Variables++
	}
}

// maxEnvironment is how many variables setenv may make in one transaction.
const maxEnvironment = 1000

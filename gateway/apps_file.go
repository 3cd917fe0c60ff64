package gateway

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// The kinds of fact: the keys of gateway.yaml that hold lists.
const (
	kindAdminPaths         = "admin_paths"
	kindAgentPaths         = "agent_paths"
	kindAPIPaths           = "api_paths"
	kindDataPaths          = "data_paths"
	kindDenyPaths          = "deny_paths"
	kindPublicPaths        = "public_paths"
	kindPrefixes           = "prefixes"
	kindAuthorizationPaths = "authorization_paths"
	kindWebSocketPaths     = "websocket_paths"
	kindPollPaths          = "poll_paths"
	kindWebhookPaths       = "webhook_paths"
	kindAttachmentPaths    = "attachment_paths"
	kindDenyNames          = "deny_names"
	kindSessionCookies     = "session_cookies"
	kindRememberCookies    = "remember_cookies"
	kindIdentity           = "identity"
	kindRefusedParameters  = "refused_parameters"
	kindRefusedHeaders     = "refused_headers"
	kindAllow              = "allow"
)

// itemKeys says which keys an item of each kind has beside source, confidence and why. The first is required
// and holds the fact's value.
func itemKeys(kind string) []string {
	switch kind {
	case kindSessionCookies, kindRememberCookies, kindDenyNames:
		return []string{"name"}
	case kindIdentity:
		return []string{"header", "field"}
	case kindRefusedParameters:
		return []string{"path", "aliases", "names"}
	case kindRefusedHeaders:
		return []string{"header"}
	case kindAllow:
		return []string{"form"}
	case kindAdminPaths, kindAgentPaths, kindAPIPaths, kindDataPaths, kindDenyPaths, kindPublicPaths, kindPrefixes,
		kindAuthorizationPaths, kindWebSocketPaths, kindPollPaths, kindWebhookPaths, kindAttachmentPaths:
		return []string{"path", "aliases"}
	}
	return nil
}

func appFileKeys() []string {
	return []string{"title", "extends", kindAdminPaths, kindAgentPaths, kindAPIPaths, kindDataPaths, kindDenyPaths, kindPublicPaths,
		kindPrefixes, kindAuthorizationPaths, kindWebSocketPaths, kindPollPaths, kindWebhookPaths, kindAttachmentPaths, kindDenyNames, kindSessionCookies, kindRememberCookies,
		kindIdentity, kindRefusedParameters, kindRefusedHeaders, kindAllow}
}

// appFile is a gateway.yaml as written.
type appFile struct {
	Title   string
	Extends string
	items   []appItem
}

// appItem is one item of one of the file's lists.
type appItem struct {
	kind, value, field string
	aliases, names     []string
	source, confidence string
	why                string
	line               int
}

func (f *appFile) facts(file string) []AppFact {
	var facts []AppFact
	for _, item := range f.items {
		value := item.value
		if item.kind == kindIdentity {
			value = item.field + "=" + item.value
		}
		facts = append(facts, AppFact{Kind: item.kind, Value: value, Aliases: item.aliases, Names: item.names,
			Source: item.source, Low: item.confidence == "low", Why: item.why, File: file})
	}
	return facts
}

// appProblem is one thing wrong with a gateway.yaml.
type appProblem struct {
	line int
	text string
}

func joinProblems(file string, problems []appProblem) string {
	slices.SortStableFunc(problems, func(a, b appProblem) int { return a.line - b.line })
	var lines []string
	for _, p := range problems {
		lines = append(lines, fmt.Sprintf("%s:%d: %s", file, p.line, p.text))
	}
	return strings.Join(lines, "; ")
}

// appParser walks the file's tree and collects what is wrong with it, all at once.
type appParser struct {
	file     appFile
	problems []appProblem
}

// parseAppFile reads a gateway.yaml. With any problem the file must not be used.
func parseAppFile(text []byte) (*appFile, []appProblem) {
	p := &appParser{}
	body, problem := documentOf(text, p)
	if problem != nil {
		return nil, []appProblem{*problem}
	}
	p.top(body)
	if len(p.problems) == 0 {
		p.validate()
	}
	return &p.file, p.problems
}

// documentOf is the file's one document; nil when it is empty.
func documentOf(text []byte, p *appParser) (ast.Node, *appProblem) {
	tree, err := parser.ParseBytes(text, 0)
	if err != nil {
		line, message := 1, err.Error()
		var syntax yaml.Error
		if errors.As(err, &syntax) {
			message = syntax.GetMessage()
			if tk := syntax.GetToken(); tk != nil && tk.Position != nil {
				line = tk.Position.Line
			}
		}
		message, _, _ = strings.Cut(message, "\n")
		return nil, &appProblem{line, "this is not valid YAML: " + message}
	}
	var body ast.Node
	for _, doc := range tree.Docs {
		if doc.Body == nil || doc.Body.Type() == ast.CommentType {
			continue
		}
		if body != nil {
			p.problem(doc.Body, "the file holds more than one document; remove the line --- and what follows it")
			break
		}
		body = doc.Body
	}
	return body, nil
}

func (p *appParser) problem(n ast.Node, format string, args ...any) {
	line := 1
	if n != nil && n.GetToken() != nil && n.GetToken().Position != nil {
		line = n.GetToken().Position.Line
	}
	p.problems = append(p.problems, appProblem{line, fmt.Sprintf(format, args...)})
}

func (p *appParser) top(body ast.Node) {
	if body == nil {
		p.problem(nil, "the file is empty; docs/app-folders.md says what belongs in it")
		return
	}
	p.eachKey(body, appFileKeys(), func(key string, value ast.Node) {
		switch key {
		case "title":
			p.file.Title = p.scalar(value)
		case "extends":
			p.file.Extends = p.scalar(value)
		default:
			p.list(key, value)
		}
	})
}

// eachKey calls use for every known key of a mapping, once.
func (p *appParser) eachKey(n ast.Node, known []string, use func(key string, value ast.Node)) {
	var values []*ast.MappingValueNode
	switch m := n.(type) {
	case *ast.MappingNode:
		values = m.Values
	case *ast.MappingValueNode:
		values = []*ast.MappingValueNode{m}
	default:
		p.problem(n, "here belongs a mapping with the keys %s", strings.Join(known, ", "))
		return
	}
	seen := make(map[string]bool)
	for _, v := range values {
		key := p.scalar(v.Key)
		switch {
		case !slices.Contains(known, key):
			p.problem(v.Key, "unknown key %q%s; known: %s", key, didYouMean(key, known), strings.Join(known, ", "))
		case seen[key]:
			p.problem(v.Key, "key %q stands here twice", key)
		default:
			seen[key] = true
			use(key, v.Value)
		}
	}
}

func (p *appParser) scalar(n ast.Node) string {
	switch s := n.(type) {
	case *ast.StringNode:
		return s.Value
	case *ast.LiteralNode:
		return s.Value.Value
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		return n.GetToken().Value
	}
	p.problem(n, "here belongs a text")
	return ""
}

func (p *appParser) list(kind string, n ast.Node) {
	sequence, ok := n.(*ast.SequenceNode)
	if !ok {
		p.problem(n, "%s is a list of items, each with %s and source", kind, itemKeys(kind)[0])
		return
	}
	for _, value := range sequence.Values {
		p.item(kind, value)
	}
}

func (p *appParser) item(kind string, n ast.Node) {
	keys := itemKeys(kind)
	item := appItem{kind: kind, line: 1}
	if tk := n.GetToken(); tk != nil && tk.Position != nil {
		item.line = tk.Position.Line
	}
	p.eachKey(n, append(slices.Clone(keys), "source", "confidence", "why"), func(key string, value ast.Node) {
		switch key {
		case keys[0]:
			item.value = p.scalar(value)
		case "field":
			item.field = p.scalar(value)
		case "aliases":
			item.aliases = p.scalars(value)
		case "names":
			item.names = p.scalars(value)
		case "source":
			item.source = p.scalar(value)
		case "confidence":
			item.confidence = p.scalar(value)
		case "why":
			item.why = strings.TrimSpace(p.scalar(value))
		}
	})
	p.file.items = append(p.file.items, item)
}

func (p *appParser) scalars(n ast.Node) []string {
	sequence, ok := n.(*ast.SequenceNode)
	if !ok {
		p.problem(n, "here belongs a list, such as [/a, /b]")
		return nil
	}
	var out []string
	for _, value := range sequence.Values {
		out = append(out, p.scalar(value))
	}
	return out
}

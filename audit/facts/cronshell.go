package facts

import (
	"path"
	"slices"
	"strings"
)

// maxNested is how deep the groups of a command may lie in each other. Deeper ones are taken to go to cron.
const maxNested = 30

// Where a stream goes while a command is read: to the standard output or errors of what stands around it.
const (
	toOutput = "1"
	toErrors = "2"
)

// cronToken is a word or an operator of a shell command.
type cronToken struct {
	text     string
	operator bool
}

// cronEnd is one program of a command, and where its streams go.
type cronEnd struct{ program, output, errors string }

// through sends the ends' streams on to where those around them go.
func through(ends []cronEnd, output, errors string) []cronEnd {
	on := func(to string) string {
		switch to {
		case toOutput:
			return output
		case toErrors:
			return errors
		}
		return to
	}
	var all []cronEnd
	for _, e := range ends {
		all = append(all, cronEnd{e.program, on(e.output), on(e.errors)})
	}
	return all
}

// commandStreams tells where output and errors of a shell command go; what is not redirected goes to rest. Of several programs the
// one counts whose streams are thrown away; those that only test or pass on do not count. bash says that the shell is bash, which
// reads &>file as no other shell does.
func commandStreams(command, rest string, bash bool) (output, errors string) {
	p := cronParser{tokens: cronTokens(command, bash), bash: bash}
	ends := through(p.list(""), rest, rest)
	if p.broken {
		return rest, rest // the shell complains, and runs nothing
	}
	real := slices.DeleteFunc(slices.Clone(ends), func(e cronEnd) bool { return testsOnly(e.program) })
	if len(real) == 0 {
		real = ends
	}
	if len(real) == 0 {
		return rest, rest
	}
	output, errors = real[0].output, real[0].errors
	for _, e := range real {
		if e.output == "discarded" {
			output = e.output
		}
		if e.errors == "discarded" {
			errors = e.errors
		}
	}
	return output, errors
}

// testsOnly says that nobody misses what a program has to say: it tests something, or passes on what another says.
func testsOnly(program string) bool {
	return slices.Contains([]string{"", "awk", "cat", "cut", "egrep", "grep", "head", "logger", "mail", "sed", "sort", "tail", "tee", "tr", "ts", "wc",
		"true", "false", "test", "[", ":", "command", "which", "type", "hash", "cd", "exit", "exec", "sleep", "export", "set", "umask", "fi", "done", "esac"}, program)
}

// cronParser reads the lists, pipes and groups of a shell command, and no more of the shell: case and functions are words to it.
type cronParser struct {
	tokens []cronToken
	depth  int
	bash   bool
	broken bool
}

func (p *cronParser) next() cronToken {
	t := p.tokens[0]
	p.tokens = p.tokens[1:]
	return t
}

// list reads commands up to the token that ends the group around them.
func (p *cronParser) list(end string) []cronEnd {
	var all []cronEnd
	output, errors := toOutput, toErrors // since an exec
	if p.depth++; p.depth > maxNested {
		p.broken, p.tokens = true, nil
	}
	defer func() { p.depth-- }()
	for len(p.tokens) > 0 {
		t := p.tokens[0]
		switch {
		case t.operator && t.text == end:
			p.next()
			return all
		case t.operator && slices.Contains([]string{";", "&", "&&", "||", ")", "}", "|", "|&"}, t.text):
			p.next()
			continue
		}
		ends := through(p.pipeline(), output, errors)
		if len(ends) == 1 && ends[0].program == "exec" {
			output, errors = ends[0].output, ends[0].errors
		}
		if len(ends) == 1 && slices.Contains([]string{"fi", "done", "esac"}, ends[0].program) { // it redirects all that stands in it
			all = through(all, ends[0].output, ends[0].errors)
		}
		all = append(all, ends...)
	}
	return all
}

func (p *cronParser) pipeline() []cronEnd {
	all := p.command()
	for len(p.tokens) > 0 && p.tokens[0].operator && (p.tokens[0].text == "|" || p.tokens[0].text == "|&") {
		if p.next().text == "|&" {
			p.broken = p.broken || !p.bash
			all = through(all, toOutput, toOutput)
		}
		into := p.command()
		sink := toOutput
		if len(into) > 0 {
			last := into[len(into)-1]
			sink = last.output
			if goes := map[string]string{"logger": "log", "systemd-cat": "log", "mail": "mail", "mailx": "mail", "tee": "file"}[last.program]; goes != "" {
				sink = goes
			}
		}
		all = append(through(all, sink, toErrors), into...)
	}
	return all
}

// command reads a simple command, or a group with its redirections.
func (p *cronParser) command() []cronEnd {
	for len(p.tokens) > 0 && !p.tokens[0].operator && slices.Contains([]string{"if", "then", "else", "elif", "while", "until", "do", "!", "time"}, p.tokens[0].text) {
		p.next()
	}
	if len(p.tokens) > 0 && p.tokens[0].operator && (p.tokens[0].text == "(" || p.tokens[0].text == "{") {
		ends := p.list(map[string]string{"(": ")", "{": "}"}[p.next().text])
		group := cronEnd{"", toOutput, toErrors}
		for len(p.tokens) > 0 && p.redirect(&group) {
		}
		return through(ends, group.output, group.errors)
	}
	e, words := cronEnd{"", toOutput, toErrors}, 0
	for len(p.tokens) > 0 {
		t := p.tokens[0]
		switch {
		case p.redirect(&e):
			continue
		case t.operator && t.text == "(": // what a $(…) puts in
			p.next()
			p.list(")")
			continue
		case t.operator && t.text != "{" && t.text != "}":
			return e.named(words)
		}
		p.next()
		if e.program == "" && !strings.Contains(t.text, "=") {
			e.program = path.Base(t.text)
		} else {
			words++
		}
	}
	return e.named(words)
}

// named finishes a simple command of so many further words.
func (e cronEnd) named(words int) []cronEnd {
	switch {
	case e.program == "systemd-cat" && words > 0:
		e.output, e.errors = "log", "log"
	case e.program == "exec" && words > 0:
		e.program = "program of exec"
	}
	return []cronEnd{e}
}

// redirect reads one redirection, if one is next.
func (p *cronParser) redirect(e *cronEnd) bool {
	t := p.tokens[0]
	if !t.operator || !strings.ContainsAny(t.text, "<>") {
		return false
	}
	p.next()
	if fd, to, ok := strings.Cut(t.text, ">&"); ok && to != "" { // a copy of another stream, or its end
		into := map[string]string{"1": e.output, "2": e.errors, "-": "discarded"}[to]
		switch {
		case into == "": // another file's
		case fd == "2":
			e.errors = into
		case fd == "" || fd == "1":
			e.output = into
		}
		return true
	}
	if strings.Contains(t.text, "<&") && !strings.HasSuffix(t.text, "&") {
		return true
	}
	name := ""
	if len(p.tokens) > 0 && !p.tokens[0].operator {
		name = p.next().text
	}
	target := "file"
	if name == "/dev/null" {
		target = "discarded"
	}
	switch strings.TrimRight(t.text, ">|") + ">" {
	case ">", "1>":
		e.output = target
	case "2>":
		e.errors = target
	case "&>":
		e.output, e.errors = target, target
	}
	if t.text == ">&" {
		p.broken = p.broken || !p.bash
		e.output, e.errors = target, target
	}
	return true
}

// cronTokens splits a shell command. It knows quotes and comments, and no more of the shell.
func cronTokens(s string, bash bool) []cronToken {
	var all []cronToken
	var word strings.Builder
	quoted := false // the word has quotes, and is one even if it is empty
	flush := func() {
		if word.Len() > 0 || quoted {
			all = append(all, cronToken{word.String(), false})
			word.Reset()
			quoted = false
		}
	}
	for i := 0; i < len(s); {
		c := s[i]
		switch {
		case c == '\'' || c == '"':
			end := strings.IndexByte(s[i+1:], c)
			if end < 0 {
				end = len(s) - i - 1
			}
			word.WriteString(s[i+1 : i+1+end])
			quoted = true
			i = min(len(s), i+end+2)
		case c == '\\' && i+1 < len(s):
			word.WriteByte(s[i+1])
			quoted = true
			i += 2
		case c == '#' && word.Len() == 0 && !quoted:
			return all
		case c == ' ' || c == '\t':
			flush()
			i++
		case strings.IndexByte("<>|&;(){}", c) >= 0:
			digit := ""
			if text := word.String(); (c == '<' || c == '>') && !quoted && len(text) == 1 && text[0] >= '0' && text[0] <= '9' {
				digit = text
				word.Reset()
			}
			flush()
			op := cronOperator(s[i:], bash)
			all = append(all, cronToken{digit + op, true})
			i += len(op)
		default:
			word.WriteByte(c)
			i++
		}
	}
	flush()
	return all
}

// cronOperator is the operator with which s begins.
func cronOperator(s string, bash bool) string {
	for _, op := range []string{"&>>", "&>", "|&"} {
		if strings.HasPrefix(s, op) && (bash || op == "|&") {
			return op
		}
	}
	for _, op := range []string{"<<<", "<<", ">>", ">|", "&&", "||"} {
		if strings.HasPrefix(s, op) {
			return op
		}
	}
	if len(s) > 2 && (s[0] == '>' || s[0] == '<') && s[1] == '&' && strings.IndexByte("0123456789-", s[2]) >= 0 {
		return s[:3]
	}
	if strings.HasPrefix(s, ">&") {
		return ">&"
	}
	return s[:1]
}

// cronWords are the words and operators of a command.
func cronWords(s string) []string {
	var all []string
	for _, t := range cronTokens(s, true) {
		all = append(all, t.text)
	}
	return all
}

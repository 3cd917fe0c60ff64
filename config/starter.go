package config

import (
	"bytes"
	_ "embed"
	"fmt"
	"strconv"
	"strings"
	"text/template"
)

//go:embed starter.yaml.tmpl
var starterText string

// Starter is what `doorward init` knows about the configuration that it writes.
type Starter struct {
	Hosts     []string
	Upstreams []string
	App       string
	Listen    string // address for HTTPS; empty: the default ports
	DataDir   string // empty: the default
}

// Render returns the commented file, which Load accepts, or *Errors that name the values by the path they
// would have in the file.
func (s Starter) Render(file string) ([]byte, error) {
	t, err := template.New("starter").Funcs(template.FuncMap{"value": yamlValue, "list": yamlList}).Parse(starterText)
	if err != nil {
		return nil, fmt.Errorf("read template: %w", err)
	}
	var out bytes.Buffer
	if err := t.Execute(&out, s); err != nil {
		return nil, fmt.Errorf("fill template: %w", err)
	}
	if _, err := Parse(file, out.Bytes()); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// yamlValue writes text as one YAML value: as it is where that is safe, else in double quotes.
func yamlValue(s string) string {
	plain := s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-./:_", r))
	}) && !strings.HasPrefix(s, "-") && !strings.HasPrefix(s, ":") && !strings.HasSuffix(s, ":") && !strings.ContainsAny(s[:1], "0123456789.")
	if plain && s != "true" && s != "false" && s != "null" {
		return s
	}
	return strconv.QuoteToASCII(s)
}

func yamlList(values []string) string {
	quoted := make([]string, len(values))
	for i, v := range values {
		quoted[i] = yamlValue(v)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

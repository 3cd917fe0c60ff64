package facts

import (
	"errors"
	"fmt"
	"strings"
)

const (
	maxConfigFile  = 1 << 20 // bytes of an application's configuration
	maxConfigKeys  = 20_000
	maxConfigName  = 1000    // bytes of a key
	maxConfigValue = 1 << 16 // bytes of a value that is put together
	maxNesting     = 20      // arrays within each other
)

// unreadable is the value of a key that the file computes in a way that is not understood here.
const unreadable = "\x00computed"

// ReadAppConfig reads the text of an application's configuration file, at most 1 MiB of it, into values under dotted keys:
// $db['user'] of PHP is db.user. format is php, perl, env, ini or yaml. It understands what configuration files state, and runs
// nothing: a value that is computed by code is none that a file could state.
func ReadAppConfig(format, file string, text []byte, values map[string]Setting) error {
	if len(text) > maxConfigFile {
		return fmt.Errorf("%s: longer than %d MiB", file, maxConfigFile>>20)
	}
	set := func(key, value string, line int) error {
		if len(values) >= maxConfigKeys {
			return fmt.Errorf("%s: more than %d keys", file, maxConfigKeys)
		}
		values[key] = Setting{value, fmt.Sprintf("%s:%d", file, line)}
		return nil
	}
	switch format {
	case "php", "perl":
		c := &codeReader{tokens: tokenize(string(text), format == "perl"), perl: format == "perl", set: set, known: map[string]string{}}
		if !c.perl {
			for key, value := range values {
				c.known[key] = value.Value
			}
		}
		return c.read()
	case "env", "ini":
		return readLines(string(text), set)
	case "yaml":
		return readIndented(string(text), set)
	}
	return errors.New("unknown format " + format)
}

// readLines reads KEY=value, with [section] before the key where there are sections.
func readLines(text string, set func(string, string, int) error) error {
	section, n := "", 0
	for line := range strings.Lines(text) {
		n++
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' || line[0] == ';' {
			continue
		}
		if line[0] == '[' && line[len(line)-1] == ']' {
			section = strings.TrimSpace(line[1:len(line)-1]) + "."
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		if !ok {
			continue
		}
		key = strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(key), "export "))
		if err := set(section+key, unquote(value), n); err != nil {
			return err
		}
	}
	return nil
}

// readIndented reads the part of YAML that configuration files use: nested keys with one value each.
func readIndented(text string, set func(string, string, int) error) error {
	type level struct {
		indent int
		key    string
	}
	var stack []level
	n := 0
	for line := range strings.Lines(text) {
		n++
		trimmed := strings.TrimLeft(strings.TrimRight(line, "\r\n"), " ")
		indent := len(strings.TrimRight(line, "\r\n")) - len(trimmed)
		if trimmed == "" || trimmed[0] == '#' || trimmed[0] == '-' {
			continue
		}
		key, value, ok := strings.Cut(trimmed, ":")
		if !ok {
			continue
		}
		for len(stack) > 0 && stack[len(stack)-1].indent >= indent {
			stack = stack[:len(stack)-1]
		}
		if len(stack) >= maxNesting {
			continue
		}
		full := unquote(key)
		if len(stack) > 0 {
			full = stack[len(stack)-1].key + "." + full
		}
		if len(full) > maxConfigName {
			continue
		}
		value = strings.TrimSpace(value)
		if value == "" || value[0] == '&' || value[0] == '#' {
			stack = append(stack, level{indent, full})
			continue
		}
		if err := set(full, unquote(value), n); err != nil {
			return err
		}
	}
	return nil
}

// unquote takes off quotes, or, where there are none, a comment.
func unquote(value string) string {
	value = strings.TrimSpace(value)
	if value != "" && (value[0] == '"' || value[0] == '\'') {
		if end := strings.IndexByte(value[1:], value[0]); end >= 0 {
			return value[1 : 1+end]
		}
	}
	if at := strings.Index(value, " #"); at >= 0 {
		value = strings.TrimSpace(value[:at])
	}
	return value
}

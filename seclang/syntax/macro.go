package syntax

import (
	"fmt"
	"strings"
)

// Macro is text with places to fill: "score is %{tx.score}".
type Macro []Token

// Token is a piece of a macro: plain text, or a variable with the key in lower case.
type Token struct {
	Text     string // of a variable: what stood between the braces, which stays when it has no value
	Variable Variable
	Key      string
}

// Plain returns the text of a macro that has nothing to fill.
func (m Macro) Plain() (string, bool) {
	switch {
	case len(m) == 0:
		return "", true
	case len(m) == 1 && m[0].Variable == NoVariable:
		return m[0].Text, true
	}
	return "", false
}

// String is the macro as it was written.
func (m Macro) String() string {
	var b strings.Builder
	for _, t := range m {
		if t.Variable == NoVariable {
			b.WriteString(t.Text)
			continue
		}
		b.WriteString("%{" + t.Text + "}")
	}
	return b.String()
}

// macro reads text with %{variable} or %{collection.key} in it.
func macro(text string) (Macro, error) {
	var m Macro
	for text != "" {
		before, rest, found := strings.Cut(text, "%{")
		if before != "" {
			m = append(m, Token{Text: before})
		}
		if !found {
			break
		}
		inside, after, closed := strings.Cut(rest, "}")
		if !closed {
			return nil, fmt.Errorf("%%{%.40s: the closing brace is missing", rest)
		}
		name, key, dotted := strings.Cut(inside, ".")
		if !dotted {
			name, key, dotted = strings.Cut(inside, ":")
		}
		v, err := variableNamed(name)
		if err != nil {
			return nil, fmt.Errorf("%%{%.40s}: %w", inside, err)
		}
		switch {
		case dotted && key == "":
			return nil, fmt.Errorf("%%{%.40s}: the name after the dot is missing", inside)
		case dotted && !v.Keyed():
			return nil, fmt.Errorf("%%{%.40s}: %s is one value and has no parts", inside, v)
		}
		m = append(m, Token{Text: inside, Variable: v, Key: strings.ToLower(key)})
		text = after
	}
	return m, nil
}

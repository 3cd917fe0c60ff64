package waf

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/doorward/doorward/seclang/syntax"
)

// Exclusion leaves rules, or one value, out of the requests below a path.
type Exclusion struct {
	Path   string // a prefix of whole segments; empty: everywhere
	Rules  []IDs
	Tags   []string
	Target string // ARGS:text, in the words of rules; empty: the rules do not run
}

// IDs is a range of rule ids, both ends in it.
type IDs = syntax.IDRange

// TargetOf writes the target of one name in a collection: ARGS:text. A name that the words of rules take for an expression, or for a
// name in quotes, stands for itself: a stranger chooses the names of parameters.
func TargetOf(variable, key string) string {
	const marks = "/'"
	if len(key) > 1 && strings.IndexByte(marks, key[0]) >= 0 && key[0] == key[len(key)-1] {
		key = "/^" + strings.ReplaceAll(regexp.QuoteMeta(strings.ToLower(key)), "/", `\x2f`) + "$/"
	}
	return variable + ":" + key
}

// Check tells what is wrong with the exclusion whatever rules are loaded.
func (e Exclusion) Check() error {
	if e.Target == "" {
		return nil
	}
	target, err := syntax.ParseTarget(e.Target)
	if err != nil {
		return err
	}
	if target.Exclude || target.Count {
		return fmt.Errorf("target %q: write the variable alone, without ! and &", e.Target)
	}
	return nil
}

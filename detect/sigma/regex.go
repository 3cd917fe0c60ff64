package sigma

import (
	"fmt"
	"regexp"
	"regexp/syntax"
	"unicode"
)

// Caps on a regular expression.
const (
	maxRegexBytes = 4096
	maxRegexSteps = 5000 // of the compiled expression: the time for a byte grows with them
)

// compileRegex compiles an expression for Go's regexp, which knows all that the specification allows (appendix
// "Modifiers") and more, and whose time is linear in the length of the value.
func compileRegex(expr, flags string) (*regexp.Regexp, error) {
	if len(expr) > maxRegexBytes {
		return nil, fmt.Errorf("the regular expression has more than %d bytes", maxRegexBytes)
	}
	full := expr
	if flags != "" {
		full = "(?" + flags + ")" + expr
	}
	tree, err := syntax.Parse(full, syntax.Perl)
	if err == nil {
		var steps *syntax.Prog
		if steps, err = syntax.Compile(tree.Simplify()); err == nil && len(steps.Inst) > maxRegexSteps {
			return nil, fmt.Errorf("the regular expression has more than %d steps; lower its repetitions", maxRegexSteps)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("the regular expression cannot be used (look-around, back-references, atomic groups and possessive quantifiers are not part of Sigma): %w", err)
	}
	return regexp.Compile(full)
}

// regexTexts returns texts one of which is in everything that re matches, or nil.
func regexTexts(re *syntax.Regexp) []string {
	switch re.Op {
	case syntax.OpLiteral:
		return []string{regexLiteral(re)}
	case syntax.OpCapture, syntax.OpPlus:
		return regexTexts(re.Sub[0])
	case syntax.OpRepeat:
		if re.Min > 0 {
			return regexTexts(re.Sub[0])
		}
	case syntax.OpConcat:
		var best []string
		for _, sub := range re.Sub {
			if texts := regexTexts(sub); texts != nil && shortest(texts) > shortest(best) {
				best = texts
			}
		}
		return best
	case syntax.OpAlternate:
		var all []string
		for _, sub := range re.Sub {
			texts := regexTexts(sub)
			if texts == nil || len(all)+len(texts) > maxLiterals {
				return nil
			}
			all = append(all, texts...)
		}
		return all
	}
	return nil
}

func shortest(texts []string) int {
	if len(texts) == 0 {
		return 0
	}
	least := len(texts[0])
	for _, t := range texts {
		least = min(least, len(t))
	}
	return least
}

// regexLiteral is the longest ASCII part of a literal. Where case is ignored, s is left out: the long s matches it, and is
// not its upper case.
func regexLiteral(re *syntax.Regexp) string {
	runes := make([]rune, 0, len(re.Rune))
	for _, r := range re.Rune {
		if re.Flags&syntax.FoldCase != 0 && (r == 's' || r == 'S') {
			r = unicode.MaxRune
		}
		runes = append(runes, r)
	}
	return longestASCII(string(runes))
}

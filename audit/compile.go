package audit

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/ext"

	"github.com/doorward/doorward/audit/facts"
)

// costLimit bounds what one evaluation of one expression may do: a list of 100,000 entries is walked, two within each
// other are not.
const costLimit = 50_000_000

// expression is a compiled condition, and which facts it names.
type expression struct {
	text    string
	program cel.Program
	names   []chain // sorted
	first   chain   // of names, the one that the text names first
}

// compiled is a control whose conditions are ready.
type compiled struct {
	Control
	when, over, expect *expression // nil: not there
	show               []*expression
	variants           map[string]*expression
}

// compiler knows the facts' types.
type compiler struct {
	env   *cel.Env
	facts map[string]bool
}

func newCompiler() (*compiler, error) {
	known := facts.Types()
	options := []cel.EnvOption{
		ext.Strings(), ext.Lists(), ext.Sets(), ext.Math(), ext.Network(),
		cel.Variable("now", cel.TimestampType),
		cel.HomogeneousAggregateLiterals(),
	}
	native := []any{ext.ParseStructTags(true)}
	c := &compiler{facts: map[string]bool{}}
	for _, name := range slices.Sorted(maps.Keys(known)) {
		c.facts[name] = true
		native = append(native, known[name])
	}
	options = append(options, ext.NativeTypes(native...))
	for name, t := range known {
		options = append(options, cel.Variable(name, cel.ObjectType(typeName(t))))
	}
	env, err := cel.NewEnv(options...)
	if err != nil {
		return nil, fmt.Errorf("declare the facts: %w", err)
	}
	c.env = env
	return c, nil
}

// typeName is the name that CEL gives a struct of package facts.
func typeName(t reflect.Type) string { return t.String() }

func (c *compiler) control(control Control) (compiled, error) {
	built := compiled{Control: control, variants: map[string]*expression{}}
	var errs []error
	build := func(key string, env *cel.Env, text string, want *cel.Type) (*expression, *cel.Type) {
		if text == "" {
			return nil, nil
		}
		x, got, err := c.compile(env, text, want)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", key, err))
		}
		return x, got
	}
	built.when, _ = build("when", c.env, control.When, cel.BoolType)
	env := c.env
	over, list := build("over", c.env, control.Over, nil)
	if built.over = over; over != nil && list != nil {
		if list.Kind() != types.ListKind {
			return built, fmt.Errorf("over: it is a %s, not a list", list)
		}
		extended, err := c.env.Extend(cel.Variable("it", list.Parameters()[0]))
		if err != nil {
			return built, fmt.Errorf("over: %w", err)
		}
		env = extended
	}
	built.expect, _ = build("expect", env, control.Expect, cel.BoolType)
	for _, text := range control.Show {
		x, _ := build("show", c.env, text, nil)
		built.show = append(built.show, x)
	}
	for _, v := range control.Variants {
		built.variants[v.Name], _ = build("variant "+v.Name, env, v.Expect, cel.BoolType)
	}
	return built, errors.Join(errs...)
}

// compile checks text against the facts' types. A nil want takes every type.
func (c *compiler) compile(env *cel.Env, text string, want *cel.Type) (*expression, *cel.Type, error) {
	checked, issues := env.Compile(text)
	if err := issues.Err(); err != nil {
		return nil, nil, err
	}
	got := checked.OutputType()
	if want != nil && !got.IsExactType(want) {
		return nil, got, fmt.Errorf("it is a %s, and has to be a %s: %s", got, want, text)
	}
	program, err := env.Program(checked, cel.EvalOptions(cel.OptPartialEval), cel.CostLimit(costLimit), cel.InterruptCheckFrequency(1000))
	if err != nil {
		return nil, got, err
	}
	first, names := c.chains(checked.NativeRep())
	return &expression{text, program, names, first}, got, nil
}

// chain is a path into a fact: accounts.users, or php.settings["expose_php"].
type chain []string

// chains lists the longest paths into facts that the expression names, and tells which stands first in its text.
func (c *compiler) chains(checked *ast.AST) (first chain, found []chain) {
	at := int32(-1)
	var walk func(e ast.Expr)
	walk = func(e ast.Expr) {
		if path := c.path(e); path != nil {
			found = append(found, path)
			inner := e // a path is located at its last dot; its first word tells where it begins
			for c.path(inner) != nil && inner.Kind() != ast.IdentKind {
				if inner.Kind() == ast.SelectKind {
					inner = inner.AsSelect().Operand()
				} else {
					inner = inner.AsCall().Args()[0]
				}
			}
			if offset := checked.SourceInfo().OffsetRanges()[inner.ID()].Start; first == nil || offset < at {
				first, at = path, offset
			}
			return
		}
		for _, child := range children(e) {
			walk(child)
		}
	}
	walk(checked.Expr())
	slices.SortFunc(found, slices.Compare)
	return first, slices.CompactFunc(found, slices.Equal)
}

// path reads e as a path into a fact; nil if it is none.
func (c *compiler) path(e ast.Expr) chain {
	switch e.Kind() {
	case ast.IdentKind:
		if c.facts[e.AsIdent()] {
			return chain{e.AsIdent()}
		}
	case ast.SelectKind:
		if inner := c.path(e.AsSelect().Operand()); inner != nil {
			return append(inner, e.AsSelect().FieldName())
		}
	case ast.CallKind:
		call := e.AsCall()
		if call.FunctionName() != operators.Index || call.Args()[1].Kind() != ast.LiteralKind {
			return nil
		}
		key, ok := call.Args()[1].AsLiteral().Value().(string)
		if inner := c.path(call.Args()[0]); inner != nil && ok {
			return append(inner, key)
		}
	}
	return nil
}

func children(e ast.Expr) []ast.Expr {
	switch e.Kind() {
	case ast.SelectKind:
		return []ast.Expr{e.AsSelect().Operand()}
	case ast.CallKind:
		all := slices.Clone(e.AsCall().Args())
		if e.AsCall().IsMemberFunction() {
			all = append(all, e.AsCall().Target())
		}
		return all
	case ast.ListKind:
		return e.AsList().Elements()
	case ast.MapKind:
		var all []ast.Expr
		for _, entry := range e.AsMap().Entries() {
			all = append(all, entry.AsMapEntry().Key(), entry.AsMapEntry().Value())
		}
		return all
	case ast.ComprehensionKind:
		c := e.AsComprehension()
		return []ast.Expr{c.IterRange(), c.AccuInit(), c.LoopCondition(), c.LoopStep(), c.Result()}
	}
	return nil
}

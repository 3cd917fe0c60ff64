package config

import (
	"encoding"
	"fmt"
	"math"
	"net/netip"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"
)

// isScalar says whether a setting of type t is written as one value rather than as settings below it.
func isScalar(t reflect.Type) bool {
	if reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]()) {
		return true
	}
	switch t.Kind() {
	case reflect.String, reflect.Bool, reflect.Int, reflect.Int64, reflect.Float64, reflect.Uint8, reflect.Uint32:
		return true
	}
	return false
}

// scalar reads one value. Zero is refused wherever it is the mark of "not set": it would silently become
// the default.
func (r reader) scalar(n ast.Node, v reflect.Value, path string) {
	where := placeOf(n)
	text, isText := plainText(n)
	switch {
	case n.Type() == ast.NullType:
		r.at(where, path, "has no value; write one after the colon, or remove the line to get the default")
		return
	case n.Type() == ast.MappingType || n.Type() == ast.MappingValueType || n.Type() == ast.SequenceType:
		r.at(where, path, fmt.Sprintf("has %s, but needs one value", describe(n)))
		return
	}
	var message string
	switch target := v.Addr().Interface().(type) {
	case *time.Duration:
		*target, message = readDuration(text)
	case *netip.Prefix:
		*target, message = readPrefix(text)
	case encoding.TextUnmarshaler:
		if err := target.UnmarshalText([]byte(text)); err != nil {
			message = err.Error()
		} else if v.IsZero() {
			message = zeroMessage
		}
	default:
		message = readPlain(n, v, text, isText)
	}
	if message != "" {
		r.at(where, path, message)
	}
}

const zeroMessage = "may not be 0; remove the line to get the default"

// plainText is the value as it was written, without quotes; isText tells whether YAML takes it for text.
func plainText(n ast.Node) (text string, isText bool) {
	switch s := n.(type) {
	case *ast.StringNode:
		return s.Value, true
	case *ast.LiteralNode:
		return s.Value.Value, true
	}
	if tk := n.GetToken(); tk != nil {
		return tk.Value, false
	}
	return n.String(), false
}

func readPlain(n ast.Node, v reflect.Value, text string, isText bool) string {
	switch v.Kind() {
	case reflect.String:
		if !isText {
			return fmt.Sprintf("has %s, but needs text; put it in quotes: %q", describe(n), text)
		}
		if strings.ContainsRune(text, 0) {
			return "holds a NUL character"
		}
		v.SetString(text)
	case reflect.Bool:
		b, ok := n.(*ast.BoolNode)
		if !ok {
			return fmt.Sprintf("has %s, but needs true or false", quoted(n, text))
		}
		v.SetBool(b.Value)
	case reflect.Float64:
		f, err := strconv.ParseFloat(text, 64)
		if err != nil || isText || math.IsNaN(f) || math.IsInf(f, 0) {
			return fmt.Sprintf("has %s, but needs a number", quoted(n, text))
		}
		if f == 0 {
			return zeroMessage
		}
		v.SetFloat(f)
	default:
		return readInteger(n, v, text, isText)
	}
	return ""
}

func readInteger(n ast.Node, v reflect.Value, text string, isText bool) string {
	number, err := strconv.ParseInt(strings.ReplaceAll(text, "_", ""), 10, 64)
	switch {
	case err != nil || isText:
		return fmt.Sprintf("has %s, but needs a whole number", quoted(n, text))
	case number == 0:
		return zeroMessage
	case number < 0:
		return fmt.Sprintf("is %d, but may not be negative", number)
	case v.CanInt():
		if v.OverflowInt(number) {
			return fmt.Sprintf("is %d, which is too large", number)
		}
		v.SetInt(number)
	default:
		if v.OverflowUint(uint64(number)) {
			return fmt.Sprintf("is %d, which is too large", number)
		}
		v.SetUint(uint64(number))
	}
	return ""
}

// quoted shows a short value as it was written, or says what it is.
func quoted(n ast.Node, text string) string {
	if len(text) > 40 || strings.ContainsAny(text, "\n\r") {
		return describe(n)
	}
	return strconv.Quote(text)
}

// maxDuration keeps sums of times and durations far from the end of the time type. Ten years is more than any
// setting means.
const maxDuration = 10 * 366 * 24 * time.Hour

func readDuration(text string) (time.Duration, string) {
	d, err := time.ParseDuration(text)
	switch {
	case err == nil && d == 0:
		return 0, zeroMessage
	case err != nil:
		if _, numeric := strconv.ParseFloat(text, 64); numeric == nil {
			return 0, fmt.Sprintf("is %s without a unit; write %ss, %sm or %sh", text, text, text, text)
		}
		return 0, fmt.Sprintf("%q is not a duration; write 30s, 5m, 12h or 1h30m", text)
	case d < 0:
		return 0, fmt.Sprintf("is %s, but may not be negative", text)
	case d > maxDuration:
		return 0, fmt.Sprintf("is %s, which is more than ten years", text)
	}
	return d, ""
}

// readPrefix takes a network, or an address as the network of that address alone. A network with bits
// beyond its length is refused: 10.1.2.3/8 may be meant as either.
func readPrefix(text string) (netip.Prefix, string) {
	if addr, err := netip.ParseAddr(text); err == nil && addr.Zone() == "" {
		addr = addr.Unmap()
		return netip.PrefixFrom(addr, addr.BitLen()), ""
	}
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return netip.Prefix{}, fmt.Sprintf("%q is not a network; write 10.0.0.0/8, 2001:db8::/32 or one address", text)
	}
	if p.Addr().Is4In6() {
		return netip.Prefix{}, fmt.Sprintf("%q is an IPv4 network in IPv6 form; write it in IPv4 form", text)
	}
	if p != p.Masked() {
		return netip.Prefix{}, fmt.Sprintf("%q has bits set beyond its length; write %s for the network or %s for the one address", text, p.Masked(), p.Addr())
	}
	return p, ""
}

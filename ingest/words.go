package ingest

import (
	"errors"
	"strconv"
	"strings"

	"github.com/doorward/doorward/event"
)

// firstOf finds the first field of the names, which | parts.
func firstOf(fields []event.Field, names string) (string, bool) {
	for name := range strings.SplitSeq(names, "|") {
		for _, f := range fields {
			if f.Key == name && f.Value != "" {
				return f.Value, true
			}
		}
	}
	return "", false
}

// outcome reads the words that programs have for it.
func outcome(word string) event.Outcome {
	switch strings.ToLower(word) {
	case "success", "yes", "ok", "allowed", "true":
		return event.Success
	case "failed", "failure", "no", "error", "false":
		return event.Failure
	case "refused", "denied", "blocked", "drop", "reject":
		return event.Refused
	}
	return event.Unknown
}

func method(line string) string {
	m, _, ok := strings.Cut(line, " ")
	if !ok || len(m) > 32 || strings.IndexByte(m, '\\') >= 0 {
		return ""
	}
	return m
}

// maxRepeated caps what one line can count as.
const maxRepeated = 101

// repeated takes off what rsyslog puts around a message that came several times (message repeated 5 times: [ ...]), as Ubuntu has it do:
// an attacker's tries on one connection would otherwise count once. times is 0 where nothing was repeated.
func repeated(message string) (inner string, times int) {
	rest, ok := strings.CutPrefix(message, "message repeated ")
	if !ok || !strings.HasSuffix(rest, "]") {
		return message, 0
	}
	number, inner, ok := strings.Cut(rest[:len(rest)-1], " times: [")
	n, err := strconv.ParseUint(number, 10, 64)
	if !ok || err != nil && !errors.Is(err, strconv.ErrRange) {
		return message, 0
	}
	return strings.TrimLeft(inner, " "), int(min(n, maxRepeated))
}

// requestLine reads METHOD TARGET VERSION. A request of HTTP/0.9 has no version: Apache and nginx answer it all the same. What is none is kept
// whole.
func requestLine(fields []event.Field, line string) []event.Field {
	m, rest, ok := strings.Cut(line, " ")
	end := strings.LastIndex(rest, " HTTP/")
	if ok && end < 0 && strings.HasPrefix(rest, "/") {
		stem, query, has := strings.Cut(rest, "?")
		fields = append(fields, event.Field{Key: "cs-method", Value: m}, event.Field{Key: "cs-uri-stem", Value: stem})
		if has {
			fields = append(fields, event.Field{Key: "cs-uri-query", Value: query})
		}
		return fields
	}
	if !ok || end < 0 {
		return append(fields, event.Field{Key: "request", Value: line})
	}
	stem, query, has := strings.Cut(rest[:end], "?")
	fields = append(fields, event.Field{Key: "cs-method", Value: m}, event.Field{Key: "cs-uri-stem", Value: stem})
	if has {
		fields = append(fields, event.Field{Key: "cs-uri-query", Value: query})
	}
	return append(fields, event.Field{Key: "cs-version", Value: rest[end+1:]})
}

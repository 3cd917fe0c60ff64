package ingest

import (
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

// requestLine reads METHOD TARGET VERSION. What is none is kept whole.
func requestLine(fields []event.Field, line string) []event.Field {
	m, rest, ok := strings.Cut(line, " ")
	end := strings.LastIndex(rest, " HTTP/")
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

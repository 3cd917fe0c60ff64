package gateway

import (
	"context"
	"log/slog"

	"go.uber.org/zap/zapcore"
)

// slogCore sends certmagic's log lines to slog.
type slogCore struct{ to slog.Handler }

// Enabled asks the handler.
func (c slogCore) Enabled(level zapcore.Level) bool {
	return c.to.Enabled(context.Background(), slogLevel(level))
}

// With adds fields to every line.
func (c slogCore) With(fields []zapcore.Field) zapcore.Core {
	return slogCore{c.to.WithAttrs(slogAttrs(fields))}
}

// Check takes the line if the handler wants it.
func (c slogCore) Check(entry zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(entry.Level) {
		return checked.AddCore(entry, c)
	}
	return checked
}

// Write passes a line on.
func (c slogCore) Write(entry zapcore.Entry, fields []zapcore.Field) error {
	record := slog.NewRecord(entry.Time, slogLevel(entry.Level), "certificates: "+entry.Message, 0)
	record.AddAttrs(slogAttrs(fields)...)
	return c.to.Handle(context.Background(), record)
}

// Sync has nothing to do: slog's handlers do not hold lines back.
func (c slogCore) Sync() error { return nil }

func slogLevel(level zapcore.Level) slog.Level {
	switch {
	case level <= zapcore.DebugLevel:
		return slog.LevelDebug
	case level == zapcore.InfoLevel:
		return slog.LevelInfo
	case level == zapcore.WarnLevel:
		return slog.LevelWarn
	}
	return slog.LevelError
}

func slogAttrs(fields []zapcore.Field) []slog.Attr {
	encoder := zapcore.NewMapObjectEncoder()
	for _, f := range fields {
		f.AddTo(encoder)
	}
	attrs := make([]slog.Attr, 0, len(fields))
	for _, f := range fields {
		attrs = append(attrs, slog.Any(f.Key, encoder.Fields[f.Key]))
	}
	return attrs
}

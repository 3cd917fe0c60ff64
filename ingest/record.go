package ingest

import (
	"context"
	"time"

	"github.com/doorward/doorward/event"
)

// MaxLine is the longest line that is kept, in bytes. The rest of a longer one is skipped up to its end and counted, so that
// no part of it can pass for a line of its own.
const MaxLine = 1 << 20

// Record is one thing that a source said.
type Record struct {
	// Source is the name of the source.
	Source string
	// Text is the line as it was written, without the end of the line. Its bytes are the source's: NUL and invalid UTF-8
	// are possible.
	Text string
	// Time is what the source itself states beside the text (journal, syslog, Docker); zero where only the text could say.
	Time time.Time
	// Program and Message are what the source states apart from each other (journal, syslog): who wrote, and what. Where they
	// are set, no parser looks for a head in Text.
	Program, Message string
	// Fields are what the source states beside the text: host, pid and the like.
	Fields []event.Field
	// Cut says that Text is the beginning of a line longer than MaxLine.
	Cut bool
	// Malformed says that the line is not of the source's format; then Text is all there is.
	Malformed bool
}

// Batch is what a source read in one go. It is valid until the function that it was given to returns.
type Batch struct {
	// Key names what Position is a place in: the path of a file, for a file.
	Key string
	// Records are in the order in which the source wrote them.
	Records []Record
	// Position is the place behind the last record, in the source's own words. A source that is given it later goes on
	// there: what was read before does not come again, and nothing is left out.
	Position []byte
}

// Use takes a batch. When it returns nil the batch counts; an error ends the source.
type Use func(context.Context, Batch) error

// Source is something that writes records.
type Source interface {
	// Name is the source's name in the configuration.
	Name() string
	// Run reads from the given positions (by Batch.Key) until ctx ends or use fails. A source that cannot be read is no
	// error: Run tries again, and Health says so.
	Run(ctx context.Context, positions map[string][]byte, use Use) error
	// Health says how the source is at the moment.
	Health() Health
}

// Health is how a source is.
type Health struct {
	// Problem is why nothing can be read, for people; "" when the source can be read.
	Problem string
	// Since is when the source was started; zero before.
	Since time.Time
	// Last is when the last record was read; zero before the first.
	Last time.Time
	// Records, Cut, Malformed, Gaps and Dropped are numbers since the start: records given on; those among them that were
	// longer than MaxLine, or not of the source's format; occasions at which something was gone before it could be read; and
	// messages that were refused (sender not allowed, too fast, too many).
	Records, Cut, Malformed, Gaps, Dropped uint64
}

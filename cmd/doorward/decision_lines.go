package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/doorward/doorward/api"
)

var (
	errPacked = errors.New("it is packed with gzip")
	errNoText = errors.New("it is no text")
)

const (
	// maxListLine is the longest line of a list that is read.
	maxListLine = 64 << 10
	// maxSeconds is how long a decision of a list may last that is not for good: ten years, as at the door.
	maxSeconds     = 10 * 366 * 24 * 3600
	tooShortOrLong = "lasts less than a second, or more than ten years; for good is without until and seconds, with --for permanent"
)

// eachLine gives use the lines one after the other. One that is too long is refused, and holds up no other.
func (l *importer) eachLine(r io.Reader, use func(n int, text string) error) error {
	lines := bufio.NewReaderSize(r, maxListLine)
	for n := 1; ; n++ {
		text, more, err := lines.ReadLine()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case more:
			l.refuse("line "+strconv.Itoa(n), fmt.Sprintf("is longer than %d bytes", maxListLine))
			for more && err == nil {
				_, more, err = lines.ReadLine()
			}
		default:
			if err := use(n, string(text)); err != nil {
				return err
			}
		}
	}
}

func (l *importer) readLines(r io.Reader) error {
	return l.eachLine(r, func(n int, text string) error {
		text, _, _ = strings.Cut(text, "#")
		text, _, _ = strings.Cut(text, ";")
		fields := strings.Fields(strings.TrimPrefix(text, "\ufeff"))
		switch {
		case len(fields) == 0:
			return nil
		case len(fields) > 1:
			l.refuse("line "+strconv.Itoa(n), "has more than one word")
			return nil
		}
		return l.add(api.ImportedDecision{Target: fields[0]})
	})
}

// readObjects reads JSON lines.
func (l *importer) readObjects(r io.Reader) error {
	return l.eachLine(r, func(n int, text string) error {
		text = strings.TrimSpace(text)
		if text == "" {
			return nil
		}
		var e exported
		if err := json.Unmarshal([]byte(text), &e); err != nil || e.Target == "" {
			l.refuse("line "+strconv.Itoa(n), "is not a JSON object with a target, or a part of it is none that is known")
			return nil
		}
		d := api.ImportedDecision{Target: e.Target, Action: e.Action, Seconds: e.Seconds, Reason: e.Reason}
		switch {
		case !e.Until.IsZero():
			d.Seconds, d.Until = 0, e.Until
			switch left := e.Until.Sub(l.now); {
			case left <= 0:
				l.refuse(e.Target, "has ended")
				return nil
			case left > maxSeconds*time.Second:
				l.refuse(e.Target, tooShortOrLong)
				return nil
			}
		case e.Seconds == 0 && !e.Created.IsZero(): // an export says until of all that end
			d.Permanent = true
		}
		if d.Seconds < 0 || d.Seconds > maxSeconds {
			l.refuse(e.Target, tooShortOrLong)
			return nil
		}
		return l.add(d)
	})
}

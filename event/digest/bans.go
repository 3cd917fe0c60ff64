package digest

import "fmt"

// Bans is what the mail says of bans.
type Bans struct {
	New      int64  // that began in its time
	Reasons  []Item // of these, by what led to them
	Sources  []Item // who was banned, with how often so far
	Standing int64  // that stand when it is written
}

// Item is a line of a list.
type Item struct {
	Text string
	N    int64
}

// banLines are the lines about bans, below their number.
func banLines(b Bans, say func(key string, pairs ...string) string) []string {
	lines := itemLines(say("list.ban_reason"), b.Reasons)
	return append(lines, itemLines(say("list.ban_source"), b.Sources)...)
}

// itemLines are a list below its title; nothing if it is empty.
func itemLines(title string, items []Item) []string {
	if len(items) == 0 {
		return nil
	}
	lines := []string{"", title + ":"}
	for _, i := range items[:min(len(items), listed)] {
		lines = append(lines, fmt.Sprintf("%10d  %s", i.N, line(i.Text)))
	}
	return lines
}

package api

import "time"

// Event is one thing that happened. Its texts come from strangers; they hold no control characters, but what they say is not to be believed.
type Event struct {
	ID       string       `json:"id"`
	Time     time.Time    `json:"time"`
	Class    string       `json:"class"`
	Outcome  string       `json:"outcome"`
	Severity string       `json:"severity"`
	Action   string       `json:"action"`
	Source   string       `json:"source,omitempty"`
	User     string       `json:"user,omitempty"`
	Site     string       `json:"site,omitempty"`
	Fields   []EventField `json:"fields,omitempty"`
	Raw      string       `json:"raw,omitempty"`
}

// EventField is one further fact of an event. A key may occur more than once.
type EventField struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

// EventPage is a part of what a search found.
type EventPage struct {
	Events []Event `json:"events"`
	// Next is the cursor to go on with; empty: there is nothing older. A page may be empty and have one, because a question looks at
	// a bounded number of events.
	Next    string    `json:"next,omitempty"`
	At      time.Time `json:"at,omitzero"` // how far the search came, with next
	Scanned int64     `json:"scanned"`     // events that it may have had to look at
	Problem string    `json:"problem,omitempty"`
}

// EventCount is how many events of a class and an outcome began within a step.
type EventCount struct {
	Time    time.Time `json:"time,omitzero"`
	Class   string    `json:"class"`
	Outcome string    `json:"outcome"`
	Site    string    `json:"site,omitempty"`
	Events  int64     `json:"events"`
}

// EventTop is a top list of whole hours. A count is never too high, and at most error too low.
type EventTop struct {
	From  time.Time      `json:"from"`
	To    time.Time      `json:"to"`
	Error int64          `json:"error"`
	Items []EventTopItem `json:"items"`
}

// EventTopItem is a value and how many events had it.
type EventTopItem struct {
	Value  string `json:"value"`
	Events int64  `json:"events"`
}

// EventDay is a day that is kept.
type EventDay struct {
	Day   string `json:"day"`   // in UTC
	Batch int64  `json:"batch"` // its last batch; grows whenever events of the day arrive
}

// EventFeed is a part of a day in the order of arrival. Batch and skip go into the next question; when they are those of
// the question, there are no more by now. A part may be empty because the filters left nothing of it.
type EventFeed struct {
	Events  []Event `json:"events"`
	Batch   int64   `json:"batch"`
	Skip    int     `json:"skip"`
	Problem string  `json:"problem,omitempty"`
}

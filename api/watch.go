package api

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/doorward/doorward/auth"
	"github.com/doorward/doorward/detect"
)

// Detection is one detection as it is in force.
type Detection struct {
	Name           string   `json:"name"`
	ID             string   `json:"id"`
	Title          string   `json:"title"`
	Author         string   `json:"author"`
	Level          string   `json:"level"`
	File           string   `json:"file"` // doorward:NAME.yaml comes with Doorward
	Line           int      `json:"line"`
	Logsource      string   `json:"logsource,omitempty"` // of a rule about one event
	Count          int      `json:"count,omitempty"`     // how often within the timespan
	Timespan       int64    `json:"timespan_seconds,omitempty"`
	Action         string   `json:"action,omitempty"` // ban, throttle, challenge, alert; absent: it is told
	Seconds        int64    `json:"seconds,omitempty"`
	Permanent      bool     `json:"permanent"`
	EscalateFactor float64  `json:"escalate_factor,omitempty"`
	EscalateMax    int64    `json:"escalate_max_seconds,omitempty"`
	Scope          string   `json:"scope,omitempty"`
	Off            bool     `json:"off"`
	Overrides      []string `json:"overrides"` // what an override changed
	OverrideFile   string   `json:"override_file,omitempty"`
}

// NewDetection writes a detection for programs.
func NewDetection(d detect.Detection) Detection {
	out := Detection{Name: d.Name, ID: d.ID, Title: d.Title, Author: d.Author, Level: d.Level, File: d.File, Line: d.Line, Logsource: d.Logsource,
		Count: d.Count, Timespan: int64(d.Timespan / time.Second), Action: d.Action, Seconds: int64(d.For / time.Second),
		Permanent: d.Action == "ban" && d.For == 0, EscalateFactor: d.EscalateFactor, EscalateMax: int64(d.EscalateMax / time.Second),
		Scope: d.Scope, Off: d.Off, Overrides: d.Overrides, OverrideFile: d.OverrideFile}
	if out.Overrides == nil {
		out.Overrides = []string{}
	}
	return out
}

// Jail is how an imported jail of fail2ban is.
type Jail struct {
	Name      string       `json:"name"`
	Reads     []string     `json:"reads"` // files by their patterns, or which entries of the journal
	Filter    string       `json:"filter"`
	MaxRetry  int          `json:"max_retry"` // failures within FindTime that ban for BanTime
	FindTime  int64        `json:"find_time_seconds"`
	BanTime   int64        `json:"ban_time_seconds"`
	Permanent bool         `json:"permanent"`
	Problem   string       `json:"problem"` // why it does not run, or what cannot be read; empty: nothing is wrong
	Lines     uint64       `json:"lines"`   // this and the next ones since it was put in force
	Failures  uint64       `json:"failures"`
	Exempt    uint64       `json:"exempt"` // failures of addresses that the jail ignores
	Named     uint64       `json:"named"`  // failures of host names, which are never resolved
	Proposals uint64       `json:"proposals"`
	Slow      uint64       `json:"slow"`      // lines that an expression took too long for
	Forgotten uint64       `json:"forgotten"` // counts of addresses that were let go because there were too many
	Places    []WatchPlace `json:"places"`
	LastLine  time.Time    `json:"last_line,omitzero"`
}

// Watch is how all that is watched is.
type Watch struct {
	Detections WatchCounts   `json:"detections"`
	Sources    []WatchSource `json:"sources"`
	Jails      []Jail        `json:"jails"`
}

// WatchCounts are what the detections met since they were put in force.
type WatchCounts struct {
	Events    uint64 `json:"events"` // Doorward's own and those of the sources
	Matches   uint64 `json:"matches"`
	Proposals uint64 `json:"proposals"` // matches that a decision was asked for
	Standing  uint64 `json:"standing"`  // matches about somebody who is refused for as long already
	Alerts    uint64 `json:"alerts"`    // matches that were told
	Missed    uint64 `json:"missed"`    // events of Doorward's own that there was no room for
	Forgotten uint64 `json:"forgotten"` // counts of clients that were let go because there were too many
}

// WatchSource is how a source is.
type WatchSource struct {
	Name      string       `json:"name"`
	Type      string       `json:"type"`
	Silent    bool         `json:"silent"`  // it said nothing for longer than silent_after
	Problem   string       `json:"problem"` // what cannot be read; empty: nothing is wrong
	Lines     uint64       `json:"lines"`   // this and the next ones since the source was started
	Parsed    uint64       `json:"parsed"`
	Unparsed  uint64       `json:"unparsed"`  // lines that no parser knew
	Ambiguous uint64       `json:"ambiguous"` // lines that could be read as naming more than one client
	Undated   uint64       `json:"undated"`   // lines without a time that can be read
	Malformed uint64       `json:"malformed"` // lines that are not of the source's format
	Cut       uint64       `json:"cut"`       // lines longer than 1 MiB
	Gaps      uint64       `json:"gaps"`      // times at which something was gone before it could be read
	Refused   uint64       `json:"refused"`   // messages of senders that are not allowed, or too fast
	Places    []WatchPlace `json:"places"`
	Started   time.Time    `json:"started,omitzero"`
	LastLine  time.Time    `json:"last_line,omitzero"`
}

// WatchPlace is how far one of the things that a source reads is read; at most a hundred are told.
type WatchPlace struct {
	Of string `json:"of"` // the path of a file, or journal, or query
	At string `json:"at"` // a byte of the file, a time of the journal, or a value of the query's column
}

// NewJail writes a jail for programs.
func NewJail(j detect.JailStatus) Jail {
	reads := []string{}
	for _, what := range j.Reads {
		reads = append(reads, strings.ToValidUTF8(what, "?"))
	}
	c := j.Counters
	return Jail{Name: j.Name, Reads: reads, Filter: strings.ToValidUTF8(j.Filter, "?"), MaxRetry: j.MaxRetry, FindTime: int64(j.FindTime / time.Second),
		BanTime: int64(j.BanTime / time.Second), Permanent: j.BanTime == 0, Problem: strings.ToValidUTF8(j.Problem, "?"), Lines: c.Lines, Failures: c.Failures, Exempt: c.Exempt,
		Named: c.Named, Proposals: c.Proposals, Slow: c.Slow, Forgotten: c.Forgotten, Places: placesOf(j.Places), LastLine: j.Source.Last}
}

// watchRoutes are about what detects.
func (h *Handler) watchRoutes() []route {
	return []route{
		{method: "GET", path: "/v1/detections", needs: auth.SeeEvents, summary: "Detections in force, and those that are off", out: []Detection{}, answer: h.detections},
		{method: "GET", path: "/v1/jails", needs: auth.SeeEvents, summary: "Imported jails of fail2ban", out: []Jail{}, answer: h.jails},
		{method: "GET", path: "/v1/watch/state", needs: auth.SeeEvents, summary: "What is watched, enforced and told at this moment", out: WatchState{}, answer: h.watchState},
		{method: "GET", path: "/v1/watch", needs: auth.SeeEvents, summary: "Sources with their places and counts, and what the detections and jails met", out: Watch{}, answer: h.watch},
	}
}

func (h *Handler) detections(*http.Request, auth.Actor) (any, error) {
	out := []Detection{}
	if h.deps.Detections == nil {
		return out, nil
	}
	all, err := h.deps.Detections()
	if err != nil {
		return nil, &Error{Status: http.StatusConflict, Message: err.Error()} // it is about the caller's own files
	}
	for _, d := range all {
		out = append(out, NewDetection(d))
	}
	return out, nil
}

func (h *Handler) jails(*http.Request, auth.Actor) (any, error) {
	if h.deps.Jails == nil {
		return nil, &Error{Status: http.StatusConflict, Message: "no Doorward is running, and so no jail is", Hint: "doorward fail2ban import shows how they would run"}
	}
	return jailsOf(h.deps.Jails()), nil
}

func jailsOf(all []detect.JailStatus) []Jail {
	out := []Jail{}
	for _, j := range all {
		out = append(out, NewJail(j))
	}
	return out
}

func placesOf(all []detect.SourcePlace) []WatchPlace {
	out := []WatchPlace{}
	for _, p := range all {
		out = append(out, WatchPlace{Of: strings.ToValidUTF8(p.Of, "?"), At: strings.ToValidUTF8(p.At, "?")})
	}
	return out
}

func (h *Handler) watch(*http.Request, auth.Actor) (any, error) {
	if h.deps.Watch == nil {
		return nil, &Error{Status: http.StatusConflict, Message: "no Doorward is running, and so nothing is watched"}
	}
	c, sources, jails := h.deps.Watch()
	out := Watch{Sources: []WatchSource{}, Jails: jailsOf(jails), Detections: WatchCounts{Events: c.Events, Matches: c.Matches, Proposals: c.Proposals,
		Standing: c.Standing, Alerts: c.Alerts, Missed: c.Missed, Forgotten: c.Forgotten}}
	for _, s := range sources {
		n, is := s.Counts, s.Health
		out.Sources = append(out.Sources, WatchSource{Name: s.Name, Type: s.Type, Silent: s.Silent, Problem: strings.ToValidUTF8(is.Problem, "?"),
			Lines: is.Records, Parsed: n.Parsed, Unparsed: n.Unknown, Ambiguous: n.Ambiguous, Undated: n.Undated, Malformed: is.Malformed, Cut: is.Cut,
			Gaps: is.Gaps, Refused: is.Dropped, Places: placesOf(s.Places), Started: is.Since, LastLine: is.Last})
	}
	return out, nil
}

// Detections are the detections in force.
func (c *Client) Detections(ctx context.Context) ([]Detection, error) {
	var out []Detection
	err := c.call(ctx, http.MethodGet, "/v1/detections", nil, &out)
	return out, err
}

// Jails are the imported jails of fail2ban.
func (c *Client) Jails(ctx context.Context) ([]Jail, error) {
	var out []Jail
	err := c.call(ctx, http.MethodGet, "/v1/jails", nil, &out)
	return out, err
}

// Watch is how the sources, the detections and the jails are.
func (c *Client) Watch(ctx context.Context) (Watch, error) {
	var out Watch
	err := c.call(ctx, http.MethodGet, "/v1/watch", nil, &out)
	return out, err
}

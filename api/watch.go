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
	Name      string    `json:"name"`
	Problem   string    `json:"problem"` // why it does not run, or what cannot be read; empty: nothing is wrong
	Lines     uint64    `json:"lines"`   // this and the next ones since it was put in force
	Failures  uint64    `json:"failures"`
	Exempt    uint64    `json:"exempt"` // failures of addresses that the jail ignores
	Named     uint64    `json:"named"`  // failures of host names, which are never resolved
	Proposals uint64    `json:"proposals"`
	LastLine  time.Time `json:"last_line,omitzero"`
}

// watchRoutes are about what detects.
func (h *Handler) watchRoutes() []route {
	return []route{
		{method: "GET", path: "/v1/detections", needs: auth.SeeEvents, summary: "Detections in force, and those that are off", out: []Detection{}, answer: h.detections},
		{method: "GET", path: "/v1/jails", needs: auth.SeeEvents, summary: "Imported jails of fail2ban", out: []Jail{}, answer: h.jails},
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
	out := []Jail{}
	if h.deps.Jails == nil {
		return nil, &Error{Status: http.StatusConflict, Message: "no Doorward is running, and so no jail is", Hint: "doorward fail2ban import shows how they would run"}
	}
	for _, j := range h.deps.Jails() {
		c := j.Counters
		out = append(out, Jail{Name: j.Name, Problem: strings.ToValidUTF8(j.Problem, "?"), Lines: c.Lines, Failures: c.Failures, Exempt: c.Exempt, Named: c.Named,
			Proposals: c.Proposals, LastLine: j.Source.Last})
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

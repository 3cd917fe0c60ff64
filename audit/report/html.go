package report

import (
	"embed"
	"html/template"
	"io"
	"time"

	"github.com/doorward/doorward/audit"
)

//go:embed page.html
var page embed.FS

// html writes one page that stands alone: no script, nothing loaded from elsewhere, readable on paper.
func (r Report) html(w io.Writer) error {
	t, err := template.New("page.html").Funcs(template.FuncMap{
		"day":  func(t *time.Time) string { return t.Format(time.DateOnly) },
		"none": orNone,
	}).ParseFS(page, "page.html")
	if err != nil {
		return err
	}
	type bar struct {
		Class string
		N     int
		X, W  float64
	}
	type chart struct {
		Guide
		Bars []bar
	}
	view := struct {
		Report
		Charts   []chart
		Findings []audit.Finding
	}{Report: r, Findings: worstFirst(r.Results)}
	for _, g := range r.Guides {
		c := chart{Guide: g}
		x := 0.0
		for _, b := range []bar{{Class: "in-force", N: g.Coverage.InForce()}, {Class: "waived", N: g.Coverage.Waived}, {Class: "fail", N: g.Coverage.Fail},
			{Class: "unknown", N: g.Coverage.Unknown + g.Coverage.Error}, {Class: "not-applicable", N: g.Coverage.NotApplicable}} {
			b.X, b.W = x, 100*float64(b.N)/float64(g.Coverage.Controls)
			x += b.W
			if b.N > 0 {
				c.Bars = append(c.Bars, b)
			}
		}
		view.Charts = append(view.Charts, c)
	}
	return t.Execute(w, view)
}

package facts_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/doorward/doorward/audit/facts"
)

// TestWatchUnasked: without a configuration nothing runs; with one, what runs on a host of files cannot be known.
func TestWatchUnasked(t *testing.T) {
	f := collect(t, "-- etc/hostname --\nx\n", facts.Config{})
	if w, ok := f.Values["watch"].(facts.Watch); !ok || w.Running || w.Where == "" || len(w.Guards) > 0 {
		t.Errorf("got %+v", f.Values["watch"])
	}
	f = collect(t, "-- etc/doorward/doorward.yaml --\nwatch: {}\n", facts.Config{})
	if w, ok := f.Values["watch"]; ok {
		t.Errorf("got %+v, want it missing", w)
	}
}

// TestWatchAnswerIsCapped: lists of an answer are cut, and what is not asked for is left out.
func TestWatchAnswerIsCapped(t *testing.T) {
	a := &facts.WatchAnswer{Built: time.Unix(1, 0)}
	for n := range 5000 {
		a.Sources = append(a.Sources, facts.AnsweredSource{Name: fmt.Sprint(n), Parsers: []string{"sshd"}, Sure: []string{"sshd"}, Read: true})
		a.Detections = append(a.Detections, facts.AnsweredDetection{Name: fmt.Sprint("own", n), Action: "ban"})
		a.Jails = append(a.Jails, facts.AnsweredJail{Name: fmt.Sprint(n), Filter: "sshd"})
		a.SIPTools = append(a.SIPTools, "Gulp")
	}
	a.Detections[0].Name = "sshd_guessing"
	w, gone := a.Facts(nil, facts.Target{})
	if len(gone) > 0 || len(w.Sources) != 2000 || len(w.Guards) != 2001 || len(w.SIPTools) != 2000 || w.SIPTools[0] != "gulp" {
		t.Errorf("got %d sources, %d guards, %d tools; %v", len(w.Sources), len(w.Guards), len(w.SIPTools), gone)
	}
	if g := w.Guards[0]; g.Subject != "ssh" || g.Count != 1 || !g.Bans || len(g.Fed) != 2000 {
		t.Errorf("the first guard is %s of %d, bans %v, fed by %d", g.Subject, g.Count, g.Bans, len(g.Fed))
	}
	if _, gone := (&facts.WatchAnswer{}).Facts(nil, facts.Target{}); len(gone) != 1 || gone[0].Fact != "rules" {
		t.Errorf("without the date of the build: got %v, want the rules missing", gone)
	}
}

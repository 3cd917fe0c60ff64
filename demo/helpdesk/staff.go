package helpdesk

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// queue shows support every open ticket. The gateway keeps others away from /queue/; the check here is the
// application's own, as a careful application would have one.
func (h *Helpdesk) queue(w http.ResponseWriter, _ *http.Request, v *visitor) error {
	if !v.isSupport() {
		return &problem{http.StatusForbidden, "The queue is for support."}
	}
	open := h.desk.list(func(t *ticket) bool { return t.open })
	return h.show(w, v, http.StatusOK, "queue", "Open tickets", rows(open, v))
}

// admin shows how the helpdesk is doing. It checks no role itself, as many applications' admin pages have
// failed to: that only owners and admins get here is the gateway's doing.
func (h *Helpdesk) admin(w http.ResponseWriter, _ *http.Request, v *visitor) error {
	var numbers struct{ Open, Closed, Messages, People, Streams int }
	people := map[string]bool{}
	for _, t := range h.desk.list(func(*ticket) bool { return true }) {
		if t.open {
			numbers.Open++
		} else {
			numbers.Closed++
		}
		numbers.Messages += len(t.messages)
		people[t.owner] = true
	}
	numbers.People = len(people)
	numbers.Streams = int(h.streams.Load())
	return h.show(w, v, http.StatusOK, "admin", "Administration", numbers)
}

// data stands for the folder with uploads and backups that a careless installation serves. Nobody should
// ever read this page.
func (h *Helpdesk) data(w http.ResponseWriter, _ *http.Request, v *visitor) error {
	return h.show(w, v, http.StatusOK, "data", "Data folder", nil)
}

// events sends the person's open tickets as server-sent events, once a second, or shows a browser that
// navigates here a page that listens to them.
func (h *Helpdesk) events(w http.ResponseWriter, r *http.Request, v *visitor) error {
	if strings.Contains(r.Header.Get("Accept"), "text/html") {
		return h.show(w, v, http.StatusOK, "live", "Live view", nil)
	}
	if h.streams.Add(1) > maxStreams {
		h.streams.Add(-1)
		return &problem{http.StatusServiceUnavailable, "Too many people are watching. Please try again later."}
	}
	defer h.streams.Add(-1)
	w.Header().Set("Content-Type", "text/event-stream")
	control := http.NewResponseController(w)
	ticker := time.NewTicker(h.tick)
	defer ticker.Stop()
	for number := 1; ; number++ {
		open := h.desk.list(func(t *ticket) bool { return t.open && t.owner == v.name })
		state, err := json.Marshal(struct {
			Open int    `json:"open"`
			At   string `json:"at"`
		}{len(open), time.Now().UTC().Format(time.RFC3339)})
		if err != nil {
			return fmt.Errorf("encode event: %w", err)
		}
		if _, err := fmt.Fprintf(w, "id: %d\nevent: tickets\ndata: %s\n\n", number, state); err != nil {
			return nil // the listener has left
		}
		if err := control.Flush(); err != nil {
			return nil
		}
		select {
		case <-r.Context().Done():
			return nil
		case <-ticker.C:
		}
	}
}

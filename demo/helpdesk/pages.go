package helpdesk

import (
	"bytes"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// problem is an error whose text is meant for the person.
type problem struct {
	status int
	text   string
}

func (p *problem) Error() string { return p.text }

// page finds out who asks, and makes an answer of the handler's error.
func (h *Helpdesk) page(handle func(http.ResponseWriter, *http.Request, *visitor) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		v := h.identify(r)
		if v == nil {
			http.Error(w, "Nobody is signed in.", http.StatusForbidden)
			return
		}
		v.visit = h.visits.find(w, r, v.name)
		w.Header().Set("Cache-Control", "no-store")
		err := handle(w, r, v)
		if err == nil {
			return
		}
		var tooLarge *http.MaxBytesError
		var p *problem
		switch {
		case errors.As(err, &p):
		case errors.As(err, &tooLarge):
			p = &problem{http.StatusRequestEntityTooLarge, "That is more text than the helpdesk takes."}
		default:
			h.config.Log.Error("answer helpdesk page", slog.String("path", r.URL.Path), slog.Any("error", err))
			p = &problem{http.StatusInternalServerError, "Something went wrong."}
		}
		if err := h.show(w, v, p.status, "problem", http.StatusText(p.status), p.text); err != nil {
			h.config.Log.Error("show helpdesk problem", slog.Any("error", err))
		}
	}
}

// show renders a page in memory first, so that a broken template never sends half a page.
func (h *Helpdesk) show(w http.ResponseWriter, v *visitor, status int, page, title string, content any) error {
	var out bytes.Buffer
	err := h.pages[page].ExecuteTemplate(&out, "layout.html", struct {
		Title, Who, Roles, Notice string
		Support, Admin            bool
		Content                   any
	}{title, v.name, strings.Join(v.roles, ", "), v.visit.take(), v.isSupport(), v.has("admin", "owner"), content})
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = out.WriteTo(w) // the reader has left; nobody to tell
	return nil
}

// row is a ticket in a list. It names nobody: lists are seen by people who need not know each other.
type row struct {
	ID      int
	Subject string
	Open    bool
	Own     bool
	Replies int
	Changed time.Time
}

func rows(tickets []ticket, v *visitor) []row {
	list := make([]row, 0, len(tickets))
	for _, t := range tickets {
		list = append(list, row{ID: t.id, Subject: t.subject, Open: t.open, Own: t.owner == v.name,
			Replies: len(t.messages) - 1, Changed: t.changed})
	}
	return list
}

func (h *Helpdesk) home(w http.ResponseWriter, r *http.Request, v *visitor) error {
	h.desk.welcome(v.name, time.Now())
	query := clip(r.URL.Query().Get("q"), maxSubject)
	found := h.desk.list(func(t *ticket) bool { return t.owner == v.name && (query == "" || t.matches(query)) })
	return h.show(w, v, http.StatusOK, "home", "Your tickets", struct {
		Query   string
		Tickets []row
	}{query, rows(found, v)})
}

func (h *Helpdesk) create(w http.ResponseWriter, r *http.Request, v *visitor) error {
	if err := r.ParseForm(); err != nil {
		return badForm(err)
	}
	subject, text := clip(r.PostForm.Get("subject"), maxSubject), r.PostForm.Get("text")
	if subject == "" {
		return &problem{http.StatusUnprocessableEntity, "A ticket needs a subject. Please go back and write one."}
	}
	id := h.desk.add(v.name, subject, text, time.Now())
	v.visit.say("Thank you. Your ticket was opened.")
	http.Redirect(w, r, "/tickets/"+strconv.Itoa(id), http.StatusSeeOther)
	return nil
}

// find returns the ticket of the path if this person may see it. A ticket of somebody else is answered like
// one that does not exist.
func (h *Helpdesk) find(r *http.Request, v *visitor) (ticket, error) {
	gone := &problem{http.StatusNotFound, "There is no such ticket, or it is not yours."}
	id, err := strconv.Atoi(r.PathValue("id"))
	if err != nil {
		return ticket{}, gone
	}
	t, found := h.desk.get(id)
	if !found || (t.owner != v.name && !v.isSupport()) {
		return ticket{}, gone
	}
	return t, nil
}

func (h *Helpdesk) view(w http.ResponseWriter, r *http.Request, v *visitor) error {
	t, err := h.find(r, v)
	if err != nil {
		return err
	}
	type line struct {
		From, Text string
		Own        bool
		At         time.Time
	}
	var lines []line
	for _, m := range t.messages {
		from := "Requester"
		switch {
		case m.author == v.name:
			from = "You"
		case m.support:
			from = "Support"
		}
		lines = append(lines, line{from, m.text, m.author == v.name, m.at})
	}
	return h.show(w, v, http.StatusOK, "ticket", t.subject, struct {
		Ticket row
		Lines  []line
	}{rows([]ticket{t}, v)[0], lines})
}

func (h *Helpdesk) reply(w http.ResponseWriter, r *http.Request, v *visitor) error {
	t, err := h.find(r, v)
	if err != nil {
		return err
	}
	if err := r.ParseForm(); err != nil {
		return badForm(err)
	}
	text := clip(r.PostForm.Get("text"), maxText)
	if text == "" {
		return &problem{http.StatusUnprocessableEntity, "The reply is empty. Please go back and write one."}
	}
	m := message{author: v.name, support: t.owner != v.name, text: text, at: time.Now()}
	if !h.desk.reply(t.id, m) {
		return &problem{http.StatusConflict, "This ticket takes no more replies. Please open a new one."}
	}
	v.visit.say("Your reply was added.")
	http.Redirect(w, r, "/tickets/"+strconv.Itoa(t.id), http.StatusSeeOther)
	return nil
}

func (h *Helpdesk) setState(w http.ResponseWriter, r *http.Request, v *visitor) error {
	t, err := h.find(r, v)
	if err != nil {
		return err
	}
	if err := r.ParseForm(); err != nil {
		return badForm(err)
	}
	state := r.PostForm.Get("state")
	if state != "open" && state != "closed" {
		return &problem{http.StatusUnprocessableEntity, "A ticket is open or closed."}
	}
	h.desk.setOpen(t.id, state == "open", time.Now())
	v.visit.say("The ticket is now " + state + ".")
	http.Redirect(w, r, "/tickets/"+strconv.Itoa(t.id), http.StatusSeeOther)
	return nil
}

func badForm(err error) error {
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return err
	}
	return &problem{http.StatusBadRequest, "The form could not be read."}
}

// when writes a time for people; the page carries the exact one beside it.
func when(t time.Time) string { return t.UTC().Format("2 Jan 2006, 15:04 UTC") }

package api

import (
	"context"
	"net/http"
	"time"

	"github.com/doorward/doorward/auth"
)

// WatchState is what Doorward itself watches, enforces and tells at this moment. The audit judges by it, so that each field is what the
// process that runs does, and none what its configuration wishes.
type WatchState struct {
	Off        bool          `json:"off"` // no detections run, but the jails
	Sources    []StateSource `json:"sources"`
	Detections []Detection   `json:"detections"`
	Jails      []Jail        `json:"jails"`
	Overrides  string        `json:"overrides"` // the file of overrides that is in force; empty: none is
	// SIPTools are the attack tools that are banned for good when Suricata sees one message of theirs: each was tried.
	SIPTools  []string `json:"sip_tools"`
	Decisions int      `json:"decisions"` // targets that stand
	Kernel    Kernel   `json:"kernel"`
	Digest    Digest   `json:"digest"`
	// Rules is the folder of detections of one's own, Fail2ban that of the jails; empty: there is none.
	Rules    string `json:"rules"`
	Fail2ban string `json:"fail2ban"`
	// Countries is when the database of countries was built, Built when this Doorward was; absent: not known.
	Countries time.Time `json:"countries,omitzero"`
	Built     time.Time `json:"built,omitzero"`
}

// StateSource is a log that is read.
type StateSource struct {
	Name    string    `json:"name"`
	Type    string    `json:"type"`
	Format  string    `json:"format,omitempty"`
	Problem string    `json:"problem"` // why nothing can be read; empty: it is read
	Silent  bool      `json:"silent"`  // it has said nothing for longer than it may
	Read    bool      `json:"read"`    // something was read from it, now or before the start
	Parsers []string  `json:"parsers"` // that are named for it, or knew one of its records
	Sure    []string  `json:"sure"`    // those of them whose addresses no stranger could have written
	Records uint64    `json:"records"` // since the start
	Last    time.Time `json:"last,omitzero"`
}

// Kernel is how bans reach the kernel.
type Kernel struct {
	Wanted    bool   `json:"wanted"` // firewall.enforce
	Connected bool   `json:"connected"`
	Problem   string `json:"problem"`
	Bans      int    `json:"bans"` // that are in force there
}

// Digest is the daily mail about what happened.
type Digest struct {
	Recipients int       `json:"recipients"`
	Mails      bool      `json:"mails"`         // a mail server is configured
	Sent       time.Time `json:"sent,omitzero"` // when the server took the newest
}

func (h *Handler) watchState(r *http.Request, _ auth.Actor) (any, error) {
	if h.deps.WatchState == nil {
		return nil, &Error{Status: http.StatusConflict, Message: "no Doorward is running, and so nothing is watched", Hint: "systemctl start doorward"}
	}
	return h.deps.WatchState(r.Context())
}

// WatchState is what the running Doorward watches, enforces and tells.
func (c *Client) WatchState(ctx context.Context) (WatchState, error) {
	var out WatchState
	err := c.call(ctx, http.MethodGet, "/v1/watch/state", nil, &out)
	return out, err
}

package api

import "time"

// Principal is an account as commands see it.
type Principal struct {
	ID          string    `json:"id"`
	Name        string    `json:"name"`
	Email       string    `json:"email,omitempty"`
	DisplayName string    `json:"display_name,omitempty"`
	Roles       []string  `json:"roles"`
	Unknown     []string  `json:"unknown_roles,omitempty"` // those of the roles that the configuration has no more; they give no right
	Disabled    bool      `json:"disabled"`
	Created     time.Time `json:"created"`
	Changed     time.Time `json:"changed"`
}

// NewPrincipal is the account that AddPrincipal makes.
type NewPrincipal struct {
	Name        string   `json:"name"`
	Email       string   `json:"email"`
	DisplayName string   `json:"display_name"`
	Roles       []string `json:"roles"`
	Password    string   `json:"password,omitempty"`
	NoPassword  bool     `json:"no_password,omitempty"` // none, in the place of Password: for who comes by another system or a passkey
	MustChange  bool     `json:"must_change,omitempty"`
}

// Session is a sign-in that has not ended.
type Session struct {
	ID       string    `json:"id"`
	User     string    `json:"user"`
	Realm    string    `json:"realm"`
	Address  string    `json:"address"`
	HostName string    `json:"host_name,omitempty"` // the address's confirmed name, if it is known by now
	Country  string    `json:"country,omitempty"`   // ISO 3166-1 code, if it is known
	Level    string    `json:"level"`               // password, factor or passkey
	Methods  []string  `json:"methods"`             // by what the person was recognised
	Agent    string    `json:"user_agent,omitempty"`
	Host     string    `json:"host"`
	Created  time.Time `json:"created"`
	LastSeen time.Time `json:"last_seen"`
	Expires  time.Time `json:"expires"`
}

// Entry is one line of the journal.
type Entry struct {
	Index  int64     `json:"index"`
	Time   time.Time `json:"time"`
	Actor  string    `json:"actor"`
	Origin string    `json:"origin"`
	Action string    `json:"action"`
	Target string    `json:"target"`
	Before string    `json:"before,omitempty"`
	After  string    `json:"after,omitempty"`
}

// Report is what the verification of the journal found; no problem means intact.
type Report struct {
	Size     int64    `json:"size"`      // entries that the signed head covers
	KeptSize int64    `json:"kept_size"` // entries that the kept head covers; -1 without one
	Problems []string `json:"problems"`
	Limits   string   `json:"limits,omitempty"` // what could not be seen without a newer kept head
}

// Mail is a message that waits or was given up, without its content.
type Mail struct {
	ID      string    `json:"id"`
	Kind    string    `json:"kind"`
	To      string    `json:"to"`
	State   string    `json:"state"` // waiting, failed or expired
	Created time.Time `json:"created"`
	Expires time.Time `json:"expires"`
	Next    time.Time `json:"next,omitzero"` // when it is tried again, while it waits
	Done    time.Time `json:"done,omitzero"` // when it was given up
	Tries   int       `json:"tries"`
	Detail  string    `json:"error,omitempty"` // of the last try
}

// Status tells about the instance that answers.
type Status struct {
	Version string `json:"version"`
	PID     int    `json:"pid"`
	// Config is the hash of the configuration file that is in force: SHA-256, in hexadecimal. Empty where nothing runs.
	Config string `json:"config,omitempty"`
}

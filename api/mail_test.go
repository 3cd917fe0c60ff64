package api_test

import (
	"database/sql"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/mail"
)

func TestMailQueueShowsNoContent(t *testing.T) {
	r := newRig(t)
	c, ctx, now := dial(t, r.serve(t)), t.Context(), time.Now()
	if all, err := c.MailQueue(ctx, 10); err != nil || len(all) != 0 {
		t.Fatalf("an empty queue gave %+v, %v", all, err)
	}
	for _, to := range []string{"maria@example.org", "joe@example.org"} {
		m := mail.Message{To: to, Subject: "secret subject", Text: "secret link", HTML: "secret page", Kind: "sign-in-link", Expires: now.Add(time.Hour)}
		if err := r.db.Write(ctx, func(tx *sql.Tx) error { return r.mail.Add(ctx, tx, m, now) }); err != nil {
			t.Fatal(err)
		}
	}
	all, err := c.MailQueue(ctx, 10)
	if err != nil || len(all) != 2 || all[0].To != "joe@example.org" || all[0].State != "waiting" || all[0].Kind != "sign-in-link" || all[0].Tries != 0 {
		t.Errorf("the queue is %+v, %v; want joe's and maria's", all, err)
	}
	if text, err := json.Marshal(all); err != nil || strings.Contains(string(text), "secret") {
		t.Errorf("the answer shows the message: %s, %v", text, err)
	}
	if all, err := c.MailQueue(ctx, 1); err != nil || len(all) != 1 {
		t.Errorf("one at most gave %+v, %v", all, err)
	}
}

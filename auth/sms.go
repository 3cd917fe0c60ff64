package auth

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/doorward/doorward/event"
	"github.com/doorward/doorward/store"
)

// Text messages wait in the store and are given to a hook of the installation's own, so that a person never waits for it, and
// cannot tell from the time whether there was one.

const (
	// maxTexts is how many messages may wait; their daily limits keep them far below.
	maxTexts = 1000
	// textTries is how often the hook is asked to take one message, at growing distances.
	textTries = 4
	textRetry = 10 * time.Second
	// textEvery is how often it is looked for messages that are due.
	textEvery = time.Second
	// maxHookAnswer is how much of the hook's answer is read, in bytes; nothing in it is used.
	maxHookAnswer = 16 << 10
	maxHookToken  = 4096

	purposeText = "text message"
)

// textMessage is what the hook is sent, but for the id.
type textMessage struct {
	To       string `json:"to"`
	Text     string `json:"text"`
	Kind     string `json:"kind"`
	Language string `json:"language"`
}

// hookMessage is the body of the hook's request.
type hookMessage struct {
	textMessage
	ID string `json:"id"`
}

// addText puts a message into the caller's transaction; call wakeTexts after the commit. A full queue is no reason to refuse
// what the person does: they can ask for another message.
func (a *Auth) addText(ctx context.Context, tx *sql.Tx, m textMessage, now time.Time) error {
	var waiting int
	if err := tx.QueryRowContext(ctx, sqlCountTexts).Scan(&waiting); err != nil {
		return fmt.Errorf("count text messages: %w", err)
	}
	if waiting >= maxTexts {
		a.log.Warn("a text message is not sent, too many wait", slog.Int("waiting", waiting))
		return nil
	}
	id, err := store.NewID()
	if err != nil {
		return fmt.Errorf("name text message: %w", err)
	}
	plain, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("write text message: %w", err)
	}
	if _, err := tx.ExecContext(ctx, sqlInsertText, id, m.Kind, a.secrets.seal(purposeText, id, plain), store.Micros(now), store.Micros(now.Add(codeLife))); err != nil {
		return fmt.Errorf("store text message: %w", err)
	}
	return nil
}

// wakeTexts has Run look at once for messages that are due.
func (a *Auth) wakeTexts() {
	select {
	case a.textsDue <- struct{}{}:
	default: // it is awake
	}
}

// runTexts gives messages to the hook until ctx ends.
func (a *Auth) runTexts(ctx context.Context) {
	ticker := time.NewTicker(textEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-a.textsDue:
		case <-ticker.C:
		}
		if a.cfg.Load().Registration.SMS.URL == "" || a.health.since.Load() != nil {
			continue
		}
		if _, err := a.SendTexts(ctx, time.Now()); err != nil && ctx.Err() == nil {
			a.logStep("send text messages", err)
		}
	}
}

// SendTexts gives the messages that are due to the hook, one after the other, and returns how many it took; Run does so all the
// time. A message is given at least once: when this process ends before it has noted the hook's answer, it is given again, with the
// same id. The error is the store's.
func (a *Auth) SendTexts(ctx context.Context, now time.Time) (taken int, err error) {
	began, at := time.Now(), now
	for range maxTexts {
		ok, more, err := a.sendText(ctx, at)
		if ok {
			taken++
		}
		if err != nil || !more || ctx.Err() != nil {
			return taken, err
		}
		at = now.Add(time.Since(began)) // a slow hook may have taken seconds for each
	}
	return taken, nil
}

// dueText is a message that this process has claimed.
type dueText struct {
	id, kind, sealed string
	tries            int // this one included
	expires          time.Time
}

// sendText gives the next message to the hook; more tells whether there was one.
func (a *Auth) sendText(ctx context.Context, now time.Time) (ok, more bool, err error) {
	cfg := a.cfg.Load().Registration.SMS
	m, err := a.claimText(ctx, cfg.Timeout, now)
	if err != nil || m == nil {
		return false, false, err
	}
	var message textMessage
	plain, err := a.secrets.open(purposeText, m.id, m.sealed)
	if err == nil {
		err = json.Unmarshal(plain, &message)
	}
	if err != nil || !now.Before(m.expires) {
		return false, true, a.endText(ctx, m, message, "expired", now) // or the key of the installation has changed since
	}
	lasting, err := cfg.give(ctx, hookMessage{message, m.id})
	switch {
	case err == nil:
		return true, true, a.endText(ctx, m, message, "", now)
	case ctx.Err() != nil:
		return false, false, nil // the claim ends by itself
	case lasting || m.tries >= textTries:
		a.log.Warn("text message is given up", slog.String("id", m.id), slog.Any("error", err))
		return false, true, a.endText(ctx, m, message, "not-taken", now)
	}
	a.log.Info("text message is tried again", slog.String("id", m.id), slog.Any("error", err))
	next := now.Add(textRetry << (m.tries - 1))
	err = a.db.Write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, sqlRetryText, store.Micros(next), m.id)
		return err
	})
	return false, true, err
}

// claimText takes the next message that is due, for as long as giving it may take; nil: there is none.
func (a *Auth) claimText(ctx context.Context, timeout time.Duration, now time.Time) (*dueText, error) {
	if none, err := a.noText(ctx, now); none || err != nil {
		return nil, err
	}
	var m *dueText
	err := a.db.Write(ctx, func(tx *sql.Tx) error {
		m = &dueText{}
		var expires int64
		err := tx.QueryRowContext(ctx, sqlDueText, store.Micros(now)).Scan(&m.id, &m.kind, &m.sealed, &m.tries, &expires)
		if errors.Is(err, sql.ErrNoRows) {
			m = nil // another gateway was first
			return nil
		}
		if err != nil {
			return fmt.Errorf("read text message: %w", err)
		}
		m.tries++
		m.expires = store.FromMicros(expires)
		_, err = tx.ExecContext(ctx, sqlClaimText, store.Micros(now.Add(2*timeout+textRetry)), m.id)
		return err
	})
	return m, err
}

// noText looks without a write transaction, since most of the time there is nothing.
func (a *Auth) noText(ctx context.Context, now time.Time) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, storeLimit)
	defer cancel()
	var m dueText
	var expires int64
	err := a.db.QueryRowContext(ctx, sqlDueText, store.Micros(now)).Scan(&m.id, &m.kind, &m.sealed, &m.tries, &expires)
	if errors.Is(err, sql.ErrNoRows) {
		return true, nil
	}
	return false, err
}

// endText forgets a message and leaves its event; an empty reason means that the hook has taken it. The number is shortened, and the
// text is not there: it may hold a code.
func (a *Auth) endText(ctx context.Context, m *dueText, message textMessage, reason string, now time.Time) error {
	err := a.db.Write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, sqlDeleteText, m.id)
		return err
	})
	if err != nil {
		return fmt.Errorf("forget text message: %w", err)
	}
	e := event.Event{Time: now, Class: event.Authentication, Action: "text-message", Outcome: event.Success, Severity: event.Informational,
		Fields: []event.Field{{Key: "kind", Value: m.kind}, {Key: "to", Value: shortenPhone(message.To)},
			{Key: "message", Value: m.id}, {Key: "tries", Value: strconv.Itoa(m.tries)}}}
	if reason == "" {
		a.counted.texts.Add(1)
	} else {
		a.counted.textsLost.Add(1)
		e.Outcome, e.Severity = event.Failure, event.Medium
		e.Fields = append(e.Fields, event.Field{Key: "reason", Value: reason})
	}
	a.append(e)
	return nil
}

// give posts a message to the hook. lasting tells that asking again would be in vain. The error has neither the number nor the
// text, and not the address either, which may hold a secret.
func (c SMSConfig) give(ctx context.Context, m hookMessage) (lasting bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	body, err := json.Marshal(m)
	if err != nil {
		return true, fmt.Errorf("write for the hook: %w", err)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.URL, bytes.NewReader(body))
	if err != nil {
		return true, errors.New("the hook's address cannot be used")
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", "doorward")
	if c.TokenFile != "" {
		token, err := readToken(c.TokenFile)
		if err != nil {
			return false, err
		}
		r.Header.Set("Authorization", "Bearer "+token)
	}
	client := http.Client{
		Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true, MaxResponseHeaderBytes: maxHookAnswer},
		// Whoever the hook would send us to is not who was configured.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	answer, err := client.Do(r)
	if err != nil {
		return false, fmt.Errorf("ask the hook: %w", errors.Unwrap(err)) // without the address that *url.Error adds
	}
	defer answer.Body.Close()
	if _, err := io.Copy(io.Discard, io.LimitReader(answer.Body, maxHookAnswer)); err != nil {
		return false, fmt.Errorf("read the hook's answer: %w", err)
	}
	status := answer.StatusCode
	if status/100 == 2 {
		return false, nil
	}
	again := status/100 == 5 || status == http.StatusTooManyRequests || status == http.StatusRequestTimeout
	return !again, fmt.Errorf("the hook answers %d", status)
}

// readToken reads the first line of a file.
func readToken(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("read the hook's token: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxHookToken))
	if err != nil {
		return "", fmt.Errorf("read the hook's token: %w", err)
	}
	line, _, _ := strings.Cut(string(text), "\n")
	if line = strings.TrimSpace(line); line == "" {
		return "", errors.New("read the hook's token: the file is empty")
	}
	return line, nil
}

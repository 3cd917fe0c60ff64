package main

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// eventCounts are the event log's counters: a gateway that drops its records is cheap for the wrong reason.
type eventCounts struct{ appended, written, dropped int64 }

// eventCounts reads the console's /metrics once all that is queued has been written.
func (b *bench) eventCounts(ctx context.Context) (eventCounts, error) {
	var c eventCounts
	for range 50 {
		values, err := b.metrics(ctx)
		if err != nil {
			return c, err
		}
		c = eventCounts{values["doorward_events_appended_total"], values["doorward_events_written_total"], values["doorward_events_dropped_total"]}
		if values["doorward_events_queued"] == 0 && c.written == c.appended {
			break
		}
		time.Sleep(200 * time.Millisecond)
	}
	if c.appended == 0 {
		return c, fmt.Errorf("the event log counted nothing")
	}
	return c, nil
}

// metrics reads the values without labels.
func (b *bench) metrics(ctx context.Context) (map[string]int64, error) {
	client := b.client("127.0.0.1")
	defer client.CloseIdleConnections()
	client.Transport.(*http.Transport).DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "tcp", b.address("console"))
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://localhost/metrics", nil)
	if err != nil {
		return nil, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, &statusError{resp.StatusCode}
	}
	values := make(map[string]int64)
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), " ")
		if n, err := strconv.ParseFloat(value, 64); err == nil && !strings.Contains(name, "{") {
			values[name] = int64(n)
		}
	}
	return values, nil
}

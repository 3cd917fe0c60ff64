package api

import (
	"context"
	"net/http"
	"strconv"
	"time"
)

// Events returns a page of the newest events that q selects, from cursor (the Next of the page before) on.
func (c *Client) Events(ctx context.Context, q EventQuery, cursor string) (EventPage, error) {
	v := q.values()
	if cursor != "" {
		v.Set("cursor", cursor)
	}
	var out EventPage
	err := c.call(ctx, http.MethodGet, eventPath("", v), nil, &out)
	return out, err
}

// EventCounts returns how many events there were, by steps of whole minutes (0: in all), class and outcome. Of q it takes time, class,
// outcome and site.
func (c *Client) EventCounts(ctx context.Context, q EventQuery, step time.Duration, bySite bool) ([]EventCount, error) {
	v := q.values()
	v.Set("step", strconv.FormatInt(int64(step/time.Minute), 10))
	if bySite {
		v.Set("by_site", "1")
	}
	var out []EventCount
	err := c.call(ctx, http.MethodGet, eventPath("/counts", v), nil, &out)
	return out, err
}

// EventTop returns a top list of the hours that from up to to touches.
func (c *Client) EventTop(ctx context.Context, list string, q EventQuery) (EventTop, error) {
	v := q.values()
	v.Set("list", list)
	var out EventTop
	err := c.call(ctx, http.MethodGet, eventPath("/top", v), nil, &out)
	return out, err
}

// EventDays lists the days that are kept, the oldest first.
func (c *Client) EventDays(ctx context.Context) ([]EventDay, error) {
	var out []EventDay
	err := c.call(ctx, http.MethodGet, "/v1/events/days", nil, &out)
	return out, err
}

// EventFeed returns those events of a day that q selects, in the order in which they were stored, behind the place that batch and skip name.
func (c *Client) EventFeed(ctx context.Context, q EventQuery, day string, batch int64, skip int) (EventFeed, error) {
	v := q.values()
	v.Set("day", day)
	v.Set("batch", strconv.FormatInt(batch, 10))
	v.Set("skip", strconv.Itoa(skip))
	var out EventFeed
	err := c.call(ctx, http.MethodGet, eventPath("/feed", v), nil, &out)
	return out, err
}

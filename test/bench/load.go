package main

import (
	"context"
	"fmt"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"time"
)

// target is one row of the table: a server and how to reach it.
type target struct {
	server  *process
	url     string
	headers []string
}

// sample is one round of load against one target.
type sample struct {
	requests int64
	cpu      time.Duration
}

// perRequest is the server's CPU time for one request.
func (s sample) perRequest() time.Duration { return s.cpu / time.Duration(max(s.requests, 1)) }

// wrkOutput holds the two numbers that matter; a non-2xx line makes the round worthless.
type wrkOutput struct {
	total, bad *regexp.Regexp
}

func newWrkOutput() wrkOutput {
	return wrkOutput{
		total: regexp.MustCompile(`(\d+) requests in`),
		bad:   regexp.MustCompile(`(?m)^\s*(Non-2xx or 3xx responses|Socket errors).*$`),
	}
}

// measure drives one target with wrk for the given time and reads what its server used.
func (o wrkOutput) measure(ctx context.Context, t target, connections int, during time.Duration) (sample, error) {
	before, err := t.server.cpu()
	if err != nil {
		return sample{}, err
	}
	args := []string{"-t", "1", "-c", strconv.Itoa(connections), "-d", fmt.Sprintf("%ds", int(during.Seconds()))}
	for _, h := range t.headers {
		args = append(args, "-H", h)
	}
	out, err := exec.CommandContext(ctx, "wrk", append(args, t.url)...).CombinedOutput()
	if err != nil {
		return sample{}, fmt.Errorf("wrk %s: %w\n%s", t.url, err, out)
	}
	after, err := t.server.cpu()
	if err != nil {
		return sample{}, err
	}
	if line := o.bad.Find(out); line != nil {
		return sample{}, fmt.Errorf("wrk %s: %s", t.url, line)
	}
	m := o.total.FindSubmatch(out)
	if m == nil {
		return sample{}, fmt.Errorf("wrk %s: no request count in:\n%s", t.url, out)
	}
	n, err := strconv.ParseInt(string(m[1]), 10, 64)
	return sample{requests: n, cpu: after - before}, err
}

// median of the rounds' CPU per request.
func median(samples []sample) time.Duration {
	values := make([]time.Duration, len(samples))
	for i, s := range samples {
		values[i] = s.perRequest()
	}
	slices.Sort(values)
	return middle(values)
}

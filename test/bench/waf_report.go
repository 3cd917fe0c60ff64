package main

import (
	"bufio"
	"bytes"
	"fmt"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"strings"
)

// What the issue asks for, as shares of nginx+ModSecurity's CPU time.
const (
	wafFloor = 0.33
	wafGoal  = 0.15
)

// repetition is how much of the traffic was sent before, in shares of one.
type repetition struct{ agents, cookies, headers float64 }

// repetition counts what repeats in the first requests of each kind.
func (t *traffic) repetition(count int) repetition {
	seen := map[string]bool{}
	var agents, cookies, allCookies, same, all int
	again := func(text string) int {
		if seen[text] {
			return 1
		}
		seen[text] = true
		return 0
	}
	for n := range count {
		r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(t.request(kindGET, n, ""))))
		if err != nil {
			return repetition{}
		}
		agents += again("agent " + r.UserAgent())
		for _, c := range r.Cookies() {
			cookies += again("cookie " + c.String())
			allCookies++
		}
		for name, values := range r.Header {
			same += again("header " + name + " " + values[0])
			all++
		}
	}
	share := func(part, of int) float64 { return float64(part) / float64(max(of, 1)) }
	return repetition{share(agents, count), share(cookies, allCookies), share(same, all)}
}

// atSite asks another host for the same.
func atSite(request []byte, host string) []byte {
	return bytes.Replace(request, []byte("\r\nHost: localhost\r\n"), []byte("\r\nHost: "+host+"\r\n"), 1)
}

// rssOf is what one process holds, in bytes.
func rssOf(pid int) (int64, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(data))
	if len(fields) < 2 {
		return 0, fmt.Errorf("read statm of %d: unexpected form", pid)
	}
	pages, err := strconv.ParseInt(fields[1], 10, 64)
	return pages * int64(os.Getpagesize()), err
}

// markdown is the generated part of the file.
func (r *wafResult) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "Measured on %d processors, %s, %s; %d rounds, %d connections kept alive", runtime.NumCPU(), runtime.GOARCH, runtime.Version(), r.rounds, wafConnections)
	for _, v := range r.versions {
		b.WriteString(", " + v)
	}
	fmt.Fprintf(&b, ".\nOf 100 requests, %.0f have a user agent that was sent before; of 100 cookies, %.0f, and of 100 headers, %.0f.\n", 100*r.repeated.agents,
		100*r.repeated.cookies, 100*r.repeated.headers)
	b.WriteString("\n| request | server | CPU a request (median) | lowest … highest round | against nginx+ModSecurity |\n|---|---|---|---|---|\n")
	for _, kind := range wafKinds() {
		base := median(r.warm[serverModSecurity][kind])
		for _, server := range wafServers() {
			samples := r.warm[server][kind]
			low, high := spread(samples)
			fmt.Fprintf(&b, "| %s | %s | %s | %s … %s | %.3f |\n", kind, server, millis(median(samples)), millis(low), millis(high), float64(median(samples))/float64(base))
		}
	}
	base := median(r.cold[serverModSecurity])
	for _, server := range []string{serverModSecurity, serverCRS, serverOwn} {
		samples := r.cold[server]
		low, high := spread(samples)
		fmt.Fprintf(&b, "| the first %d after a start, mixed | %s | %s | %s … %s | %.3f |\n", wafCold, server, millis(median(samples)), millis(low), millis(high),
			float64(median(samples))/float64(base))
	}
	b.WriteString("\n| what | measured | reach |\n|---|---|---|\n")
	for _, kind := range wafKinds() {
		ratio := float64(median(r.warm[serverCRS][kind])) / float64(median(r.warm[serverModSecurity][kind]))
		fmt.Fprintf(&b, "| %s: Doorward with crs against nginx+ModSecurity | %.3f | %.2f: %s; %.2f: %s |\n", kind, ratio, wafFloor, met(ratio <= wafFloor), wafGoal, met(ratio <= wafGoal))
	}
	for _, server := range []string{serverModSecurity, serverCRS, serverOwn} {
		fmt.Fprintf(&b, "| %s: CPU of a start / memory (RSS, with children) after the rounds | %.2f s / %d MB | |\n", server, medianOf(r.begin[server]).Seconds(), r.rss[server]>>20)
	}
	fmt.Fprintf(&b, "| Doorward with crs and %d sites: memory (RSS) after %d requests | %d MB | |\n", wafManySites, 20*wafManySites, r.sites>>20)
	return b.String()
}

// The generated part of the file stands between these lines.
const (
	beginWAF = "<!-- begin: make bench-waf -->\n"
	endWAF   = "<!-- end: make bench-waf -->\n"
)

// writeBetween replaces what stands between two lines of a file.
func writeBetween(file, begin, end, text string) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	head, rest, ok := strings.Cut(string(data), begin)
	_, tail, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		return fmt.Errorf("%s: the lines %q and %q must stand in it", file, strings.TrimSpace(begin), strings.TrimSpace(end))
	}
	return os.WriteFile(file, []byte(head+begin+text+end+tail), 0o644)
}

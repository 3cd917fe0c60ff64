package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// The length of a comparison. Rounds that begin after its end are left out, so that a slow machine measures less, not longer.
const (
	wafRounds    = 5
	wafMost      = 4 * time.Minute
	wafRoundCPU  = 600 * time.Millisecond // a server's, in one round
	wafCold      = 200                    // requests after a start
	wafStarts    = 3
	wafManySites = 50
)

// wafResult is what was measured.
type wafResult struct {
	rounds   int
	warm     map[string]map[string][]sample // by server and kind
	cold     map[string][]sample            // by server: the first requests after a start
	begin    map[string][]time.Duration     // CPU of the start itself
	rss      map[string]int64               // at the end
	sites    int64                          // RSS with many sites, after requests
	versions []string
	repeated repetition
}

// runWAF compares the firewalls and writes the table.
func runWAF(ctx context.Context, s settings) (err error) {
	dir, err := os.MkdirTemp("", "doorward-bench-waf-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil { // nginx's workers are somebody else's
		return err
	}
	w := &wafBench{bench: &bench{settings: s, dir: dir}, traffic: newTraffic(), servers: map[string]*process{}, loaders: map[string]*loader{}}
	names := []string{"upstream", "console-many"}
	for _, server := range wafServers() {
		names = append(names, slug(server), "console-"+slug(server))
	}
	if w.ports, err = freePorts(names...); err != nil {
		return err
	}
	if err := w.build(ctx); err != nil {
		return err
	}
	if err := w.unpackModSecurity(ctx); err != nil {
		return err
	}
	if _, err := w.writeRules(); err != nil {
		return err
	}
	if err := w.serveUpstream(); err != nil {
		return err
	}
	defer w.upstream.Close()
	defer func() {
		for _, server := range wafServers() {
			w.stop(server)
		}
	}()
	r, err := w.measure(ctx)
	if err != nil {
		return errors.Join(err, w.logs())
	}
	fmt.Print(r.markdown())
	if s.out == "" {
		return nil
	}
	return writeBetween(filepath.Join(s.root, s.out), beginWAF, endWAF, r.markdown())
}

// logs are what the servers wrote last.
func (w *wafBench) logs() error {
	var all []error
	for _, server := range wafServers() {
		if p := w.servers[server]; p != nil {
			p.stop()
			text := p.log.String()
			all = append(all, fmt.Errorf("%s wrote: %s", server, text[max(0, len(text)-4000):]))
		}
	}
	return errors.Join(all...)
}

// measure runs all parts.
func (w *wafBench) measure(ctx context.Context) (*wafResult, error) {
	r := &wafResult{warm: map[string]map[string][]sample{}, cold: map[string][]sample{}, begin: map[string][]time.Duration{}, rss: map[string]int64{},
		versions: w.versions, repeated: w.traffic.repetition(2000)}
	if err := w.coldStarts(ctx, r); err != nil {
		return nil, err
	}
	for _, server := range wafServers() {
		if w.servers[server] == nil {
			if _, err := w.start(ctx, server); err != nil {
				return nil, err
			}
		}
		if err := w.checkAttacks(server); err != nil {
			return nil, fmt.Errorf("%s: %w", server, err)
		}
	}
	if err := w.rounds(ctx, r); err != nil {
		return nil, err
	}
	for _, server := range wafServers() {
		rss, err := w.servers[server].treeRSS()
		if err != nil {
			return nil, err
		}
		r.rss[server] = rss
	}
	return r, w.manySites(ctx, r)
}

// attacks stand in the place of one value.
const scriptInURL, scriptInBody = "%3Cscript%3Ealert(1)%3C/script%3E", "<script>alert(1)</script>"

// checkAttacks makes sure that a firewall looks at everything that is compared, and that one which is off does not.
func (w *wafBench) checkAttacks(server string) error {
	off := server == serverOff || server == serverNginx
	get := func(target string) []byte {
		return fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: localhost\r\nUser-Agent: %s\r\nAccept: text/html\r\n\r\n", target, w.traffic.agents[0])
	}
	leaked := 0
	for _, a := range []struct {
		name    string
		request []byte
		leaks   bool
	}{
		{kindGET, w.traffic.request(kindGET, 1, scriptInURL), false}, {kindForm, w.traffic.request(kindForm, 1, scriptInURL), false},
		{kindJSON, w.traffic.request(kindJSON, 1, scriptInBody), false}, {kindMultipart, w.traffic.request(kindMultipart, 1, scriptInBody), false},
		{"an answer of 10 KB", get("/leak/short"), true}, {"an answer of 100 KB", get("/leak/long"), true},
	} {
		stopped, err := w.loaders[server].attack(a.request, a.leaks)
		if err != nil {
			return fmt.Errorf("an attack in %s: %w", a.name, err)
		}
		if server == serverModSecurity && a.leaks && !stopped {
			// A leak is found when the answer has been sent already, so nginx's log has to tell.
			found := 0
			for range 20 {
				if found, err = w.leaksFound(); err != nil || found > leaked {
					break
				}
				time.Sleep(100 * time.Millisecond)
			}
			stopped, leaked = found > leaked, found
		}
		if stopped == off {
			return fmt.Errorf("an attack in %s: stopped: %v, want %v", a.name, stopped, !off)
		}
	}
	return nil
}

// leaksFound counts the answers that ModSecurity denied.
func (w *wafBench) leaksFound() (int, error) {
	text, err := os.ReadFile(filepath.Join(w.file(slug(serverModSecurity)), "nginx.error.log"))
	return bytes.Count(text, []byte("(phase 4)")), err
}

// coldStarts measures the first requests of a server that has just started; the start itself is counted apart.
func (w *wafBench) coldStarts(ctx context.Context, r *wafResult) error {
	kinds := []string{kindGET, kindForm, kindJSON, kindLong}
	mixed := func(n int) []byte { return w.traffic.request(kinds[n%len(kinds)], n, "") }
	for range wafStarts {
		for _, server := range wafServers() {
			if server == serverNginx || server == serverOff {
				continue
			}
			w.stop(server)
			if _, err := w.start(ctx, server); err != nil {
				return err
			}
			begin, err := w.settle(ctx, server)
			if err != nil {
				return fmt.Errorf("%s, after a start: %w", server, err)
			}
			if err := w.loaders[server].send(ctx, 0, wafCold, mixed); err != nil {
				return fmt.Errorf("%s, after a start: %w", server, err)
			}
			after, err := w.servers[server].cpu()
			if err != nil {
				return err
			}
			r.begin[server] = append(r.begin[server], begin)
			r.cold[server] = append(r.cold[server], sample{wafCold, after - begin})
			fmt.Fprintf(os.Stderr, "bench: %s: start %s CPU, the first %d requests %s each\n", server, begin, wafCold, (after-begin)/wafCold)
		}
	}
	return nil
}

// settle sends one request, because rules may be compiled for the first that comes, and waits until the server rests.
func (w *wafBench) settle(ctx context.Context, server string) (time.Duration, error) {
	if err := w.loaders[server].send(ctx, 0, 1, func(int) []byte { return w.traffic.request(kindGET, wafCold, "") }); err != nil {
		return 0, err
	}
	w.loaders[server].close() // the other connections would wait longer than a server waits for a first request
	used, err := w.servers[server].cpu()
	for range 60 {
		time.Sleep(500 * time.Millisecond)
		now, err := w.servers[server].cpu()
		if err != nil || now-used <= 10*time.Millisecond {
			return now, err
		}
		used = now
	}
	return used, err
}

// rounds measures warm servers, interleaved. How many requests a round has follows from the first one, which is not counted.
func (w *wafBench) rounds(ctx context.Context, r *wafResult) error {
	counts := map[string]int{}
	began := time.Now()
	for round := range wafRounds + 1 {
		if round > 2 && time.Since(began) > wafMost*time.Duration(round)/(wafRounds+1) {
			fmt.Fprintln(os.Stderr, "bench: the machine is slow: fewer rounds")
			break
		}
		for _, kind := range wafKinds() {
			for _, server := range wafServers() {
				key := server + kind
				if round == 0 {
					counts[key] = 40
				}
				got, err := w.round(ctx, server, kind, round*3000, counts[key])
				if err != nil {
					return fmt.Errorf("%s, %s: %w", server, kind, err)
				}
				fmt.Fprintf(os.Stderr, "bench: %s, %s, round %d: %d requests, %s CPU each\n", server, kind, round, got.requests, got.perRequest())
				if round == 0 {
					counts[key] = int(min(2500, max(20, wafRoundCPU/max(got.perRequest(), time.Microsecond))))
					continue
				}
				if r.warm[server] == nil {
					r.warm[server] = map[string][]sample{}
				}
				r.warm[server][kind] = append(r.warm[server][kind], got)
			}
		}
		r.rounds = round
	}
	return nil
}

func (w *wafBench) round(ctx context.Context, server, kind string, first, count int) (sample, error) {
	before, err := w.servers[server].cpu()
	if err != nil {
		return sample{}, err
	}
	if err := w.loaders[server].send(ctx, first, count, func(n int) []byte { return w.traffic.request(kind, n, "") }); err != nil {
		return sample{}, err
	}
	after, err := w.servers[server].cpu()
	return sample{int64(count), after - before}, err
}

// manySites starts one Doorward for many sites and shows each some requests.
func (w *wafBench) manySites(ctx context.Context, r *wafResult) error {
	w.stop(serverCRS)
	dir, address := w.file("many"), w.address(slug(serverCRS))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	args, err := w.doorwardCommand(dir, address, "crs", wafManySites, false)
	if err != nil {
		return err
	}
	p, err := startProcess(ctx, serverCRS, address, args...)
	if err != nil {
		return err
	}
	w.servers[serverCRS], w.loaders[serverCRS] = p, &loader{traffic: w.traffic, address: address}
	err = w.loaders[serverCRS].send(ctx, 0, 20*wafManySites, func(n int) []byte {
		request := w.traffic.request(kindGET, n, "")
		if site := n % wafManySites; site > 0 {
			request = atSite(request, fmt.Sprintf("site-%d.localhost", site))
		}
		return request
	})
	if err != nil {
		return fmt.Errorf("%d sites: %w", wafManySites, err)
	}
	r.sites, err = p.status("VmRSS")
	return err
}

// median of some durations.
func medianOf(values []time.Duration) time.Duration {
	sorted := slices.Sorted(slices.Values(values))
	return middle(sorted)
}

// treeRSS is what a server and its children hold. Pages that they share count for each.
func (p *process) treeRSS() (int64, error) {
	pids, err := p.tree()
	if err != nil {
		return 0, err
	}
	var sum int64
	for _, pid := range pids {
		rss, err := rssOf(pid)
		if err != nil {
			return 0, errors.Join(fmt.Errorf("memory of %s", p.name), err)
		}
		sum += rss
	}
	return sum, nil
}

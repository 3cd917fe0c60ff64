package password_test

import (
	"context"
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/doorward/doorward/auth/password"
)

const stolen = "vqxjz stolen kwpfh"

// digitsOf is what the protocol cuts in two: the SHA-1 in upper-case hexadecimal.
func digitsOf(text string) (prefix, suffix string) {
	sum := sha1.Sum([]byte(text))
	digits := strings.ToUpper(hex.EncodeToString(sum[:]))
	return digits[:5], digits[5:]
}

// rangeServer answers as the service does: some rows, the stolen password's with its count, and padding with 0.
func rangeServer(known map[string]int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		asked := strings.TrimPrefix(r.URL.Path, "/range/")
		for i := range 900 {
			fmt.Fprintf(w, "%035X:%d\r\n", i*7919, i%2)
		}
		for text, count := range known {
			if prefix, suffix := digitsOf(text); prefix == asked {
				fmt.Fprintf(w, "%s:%d\r\n", suffix, count)
			}
		}
		fmt.Fprintf(w, "%035X:0", 1<<40)
	}
}

func breachChecker(t *testing.T, handler http.HandlerFunc, timeout time.Duration) *password.Checker {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return newChecker(t, password.Config{BreachCheck: password.BreachConfig{URL: server.URL + "/range/", Timeout: timeout}})
}

func TestBreached(t *testing.T) {
	c := breachChecker(t, rangeServer(map[string]int{stolen: 3, "padding only, never seen": 0, "Zoë's geklautes Wort": 1}), 5*time.Second)
	for text, want := range map[string]bool{
		stolen:                       true,
		stolen + "!":                 false,
		"padding only, never seen":   false,
		"Zoë's geklautes Wort":       true,
		"Zoe\u0308's geklautes Wort": true, // decomposed
		"not\xfftext":                false,
	} {
		if got, err := c.Breached(t.Context(), text); err != nil || got != want {
			t.Errorf("%q: got %v, %v, want %v", text, got, err, want)
		}
	}
}

// TestBreachChecksShareConnections: the bound on them is one for all roles that ask in the same way.
func TestBreachChecksShareConnections(t *testing.T) {
	var from []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		from = append(from, r.RemoteAddr)
		rangeServer(nil)(w, r)
	}))
	t.Cleanup(server.Close)
	off := newChecker(t, password.Config{})
	for _, timeout := range []time.Duration{5 * time.Second, 5 * time.Second, 6 * time.Second} {
		c, err := off.For(password.Config{BreachCheck: password.BreachConfig{URL: server.URL + "/range/", Timeout: timeout}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Breached(t.Context(), stolen); err != nil { // one request after the other
			t.Fatal(err)
		}
	}
	if len(from) != 3 || from[1] != from[0] || from[2] == from[0] {
		t.Errorf("asked from %q; want the same connection twice, and another one by other settings", from)
	}
}

// TestBreachedTellsFiveDigitsOnly: the whole request holds nothing else of the password, and asks for padding.
func TestBreachedTellsFiveDigitsOnly(t *testing.T) {
	var mutex sync.Mutex
	var requests []*http.Request
	c := breachChecker(t, func(w http.ResponseWriter, r *http.Request) {
		mutex.Lock()
		defer mutex.Unlock()
		requests = append(requests, r)
	}, 5*time.Second)
	if _, err := c.Breached(t.Context(), stolen); err != nil {
		t.Fatal(err)
	}
	mutex.Lock()
	defer mutex.Unlock()
	if len(requests) != 1 {
		t.Fatalf("got %d requests, want one", len(requests))
	}
	r := requests[0]
	prefix, suffix := digitsOf(stolen)
	if r.Method != http.MethodGet || r.RequestURI != "/range/"+prefix || r.ContentLength != 0 {
		t.Errorf("got %s %s with %d bytes, want GET /range/%s with none", r.Method, r.RequestURI, r.ContentLength, prefix)
	}
	want := http.Header{"Add-Padding": {"true"}, "User-Agent": {"doorward"}, "Accept-Encoding": {"gzip"}}
	if diff := cmp.Diff(want, r.Header); diff != "" {
		t.Errorf("headers (-want +got):\n%s", diff)
	}
	if all := fmt.Sprint(r.RequestURI, r.Header, r.Host); strings.Contains(all, suffix[:4]) {
		t.Errorf("the request tells more than five digits: %s", all)
	}
}

func TestBreachCheckIsOffByDefault(t *testing.T) {
	c := newChecker(t, password.Config{Preset: "asvs-l2"})
	if c.Policy().BreachCheck {
		t.Error("a preset alone turned the breach check on")
	}
	if found, err := c.Breached(t.Context(), stolen); found || err != nil {
		t.Errorf("got %v, %v, want nothing asked", found, err)
	}
}

// TestBreachedFailsOpen: whatever the service does, the answer is "not found" with an error for the event, which holds
// nothing of the password, not even the five digits of the URL.
func TestBreachedFailsOpen(t *testing.T) {
	prefix, suffix := digitsOf(stolen)
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		t.Errorf("another host was asked for %s", r.URL)
		fmt.Fprintf(w, "%s:1\r\n", suffix)
	}))
	defer other.Close()
	for _, c := range []struct {
		name, want string
		handler    http.HandlerFunc
	}{
		{"unavailable", "the service answers 503", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusServiceUnavailable)
			fmt.Fprintf(w, "%s:1\r\n", suffix)
		}},
		{"a page", "the answer is not a list of hashes", func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, "<!doctype html><title>Sign in to the network</title>")
		}},
		{"a page before the row", "the answer is not a list of hashes", func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprintf(w, "hello\r\n%s:1\r\n", suffix)
		}},
		{"whole hashes", "the answer is not a list of hashes", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintf(w, "%s%s:1\r\n", prefix, suffix) }},
		{"a count below 0", "the answer is not a list of hashes", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintf(w, "%s:-1\r\n", suffix) }},
		{"one long line", "the answer is not a list of hashes", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, strings.Repeat("A", 1<<16)) }},
		{"cut off", "unexpected EOF", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "9999")
			fmt.Fprintf(w, "%035X:1\r\n", 1)
		}},
		{"without end", "the answer is longer than 1048576 bytes", func(w http.ResponseWriter, r *http.Request) {
			for i := 0; r.Context().Err() == nil; i++ {
				if _, err := fmt.Fprintf(w, "%035X:1\r\n", i); err != nil {
					return
				}
			}
		}},
		{"another host", "redirected to another host", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, other.URL+r.URL.Path, http.StatusFound)
		}},
		{"in a circle", "redirected too often", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, r.URL.Path, http.StatusFound)
		}},
		{"large headers", "net/http: HTTP/1.x transport connection broken", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Large", strings.Repeat("x", 1<<17))
		}},
	} {
		found, err := breachChecker(t, c.handler, 5*time.Second).Breached(t.Context(), stolen)
		if found || err == nil {
			t.Errorf("%s: got %v, %v, want not found and an error", c.name, found, err)
			continue
		}
		if c.name != "large headers" && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %q, want it to say %q", c.name, err, c.want)
		}
		if strings.Contains(err.Error(), prefix) || strings.Contains(err.Error(), stolen) {
			t.Errorf("%s: the error tells of the password: %q", c.name, err)
		}
	}
}

// TestBreachedWaitsNoLongerThanTheTimeout: the server never answers; only the timeout, or the caller, ends the wait.
func TestBreachedWaitsNoLongerThanTheTimeout(t *testing.T) {
	silent := func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	slow := func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%035X:1\r\n", 1)
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	}
	for _, handler := range []http.HandlerFunc{silent, slow} {
		if found, err := breachChecker(t, handler, 100*time.Millisecond).Breached(t.Context(), stolen); found || err == nil {
			t.Errorf("got %v, %v, want not found and an error", found, err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if found, err := breachChecker(t, handler, 10*time.Second).Breached(ctx, stolen); found || err == nil {
			t.Errorf("given up by the caller: got %v, %v, want not found and an error", found, err)
		}
	}
}

func TestBreachedWithoutAService(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	listener.Close()
	c := newChecker(t, breach("http://"+address+"/range/"))
	prefix, _ := digitsOf(stolen)
	if found, err := c.Breached(t.Context(), stolen); found || err == nil || strings.Contains(err.Error(), prefix) {
		t.Errorf("got %v, %v, want not found and an error without the five digits", found, err)
	}
}

// TestBreachedIsAskedAFewAtATime: a crowd that changes passwords makes four connections, and the rest wait.
func TestBreachedIsAskedAFewAtATime(t *testing.T) {
	var mutex sync.Mutex
	now, most := 0, 0
	enough := make(chan struct{})
	c := breachChecker(t, func(w http.ResponseWriter, r *http.Request) {
		mutex.Lock()
		now++
		most = max(most, now)
		if now == 4 {
			close(enough)
		}
		mutex.Unlock()
		<-enough
		mutex.Lock()
		defer mutex.Unlock()
		if now > 4 {
			t.Errorf("%d requests at once, want 4 at most", now)
		}
		now-- // before the answer ends: the client may send its next request at once
	}, 10*time.Second)
	var wait sync.WaitGroup
	for range 4 {
		wait.Go(func() {
			if _, err := c.Breached(t.Context(), stolen); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	if most != 4 {
		t.Errorf("at most %d requests at once, want 4", most)
	}
}

package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// floodResult is what a flood of wrong sign-ins did to the server and to an honest person.
type floodResult struct {
	attempts   int64
	byStatus   map[int]int64
	honest     int // honest sign-ins that were tried
	honestOK   int
	honestWait time.Duration // the longest one
	peakRSS    int64         // highest reading during the flood
}

// floodAddresses is how many loopback addresses the flood comes from: each may fail three times in ten
// seconds, so many are needed to keep the password hash busy.
const floodAddresses = 200

// floodNames is how many names the flood tries: after ten failures an account is not guessed at any more, and nothing would be
// hashed. One of them is somebody's.
const floodNames = 5000

// floodSignIns sends wrong passwords for many names from many addresses with 64 workers, and five times a second an honest person
// signs in from an address of their own. A busy answer counts as a failure for the honest person.
func (b *bench) floodSignIns(ctx context.Context, during time.Duration) (floodResult, error) {
	ctx, cancel := context.WithTimeout(ctx, during)
	defer cancel()
	result := floodResult{byStatus: make(map[int]int64)}
	var mu sync.Mutex
	var next atomic.Int64
	var workers sync.WaitGroup
	for range 64 {
		workers.Go(func() {
			for ctx.Err() == nil {
				n := next.Add(1)
				name := floodUser
				if n %= floodAddresses * floodNames; n%floodNames != 0 {
					name = fmt.Sprintf("%s-%d", floodUser, n%floodNames)
				}
				client := b.client(fmt.Sprintf("127.0.1.%d", n%floodAddresses+10))
				status, _, err := b.wrongSignIn(ctx, client, name)
				client.CloseIdleConnections()
				if err != nil {
					continue // the end of the flood, or a refused connection
				}
				mu.Lock()
				result.attempts++
				result.byStatus[status]++
				mu.Unlock()
			}
		})
	}
	for ctx.Err() == nil {
		began := time.Now()
		_, err := b.signIn("127.0.0.9", account, passphrase)
		result.honest++
		var status *statusError
		switch {
		case err == nil:
			result.honestOK++
			result.honestWait = max(result.honestWait, time.Since(began))
		case errors.As(err, &status):
			fmt.Fprintf(os.Stderr, "bench: flood: honest sign-in answered %d after %s\n", status.status, time.Since(began))
		default:
			fmt.Fprintf(os.Stderr, "bench: flood: honest sign-in: %v\n", err)
		}
		if rss, err := b.doorward.status("VmRSS"); err == nil {
			result.peakRSS = max(result.peakRSS, rss)
		}
		time.Sleep(200 * time.Millisecond)
	}
	workers.Wait()
	if result.attempts == 0 {
		return result, errors.New("the flood made no attempt")
	}
	return result, nil
}

// wrongSignIn sends one wrong password and returns the answer's status and how long it took.
func (b *bench) wrongSignIn(ctx context.Context, client *http.Client, name string) (status int, took time.Duration, err error) {
	form := url.Values{"username": {name}, "password": {"a wrong password, again and again"}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, b.signInPage(), strings.NewReader(form.Encode()))
	if err != nil {
		return 0, 0, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	began := time.Now()
	resp, err := client.Do(req)
	if err != nil {
		return 0, 0, err
	}
	took = time.Since(began)
	resp.Body.Close()
	return resp.StatusCode, took, nil
}

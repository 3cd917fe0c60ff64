package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"time"
)

// timesResult is how long wrong passwords take, for names that exist and names that do not: a difference would tell
// strangers who has an account.
type timesResult struct {
	known, unknown []time.Duration // sorted
}

const (
	// timesAccounts and timesEach keep below the limit of failures for one account, and one address a try below all others:
	// nothing but the answer's own work is measured.
	timesAccounts = 60
	timesEach     = 8
)

func timesAccount(n int) string { return fmt.Sprintf("bench-user-%02d", n) }

// signInTimes measures wrong passwords for known and unknown names, in pairs of random order, one at a time.
func (b *bench) signInTimes(ctx context.Context) (timesResult, error) {
	var r timesResult
	for try := range timesAccounts * timesEach {
		names := []string{timesAccount(try % timesAccounts), fmt.Sprintf("nobody-user-%02d", try%timesAccounts)}
		into := []*[]time.Duration{&r.known, &r.unknown}
		order := []int{0, 1}
		if rand.IntN(2) == 1 {
			order = []int{1, 0}
		}
		for _, i := range order {
			took, err := b.timeWrongSignIn(ctx, fmt.Sprintf("127.%d.%d.%d", 2+i, 1+try/200, 1+try%200), names[i])
			if err != nil {
				return r, fmt.Errorf("measure a wrong sign-in of %s: %w", names[i], err)
			}
			if try >= timesAccounts { // the first round warms caches
				*into[i] = append(*into[i], took)
			}
		}
	}
	slices.Sort(r.known)
	slices.Sort(r.unknown)
	fmt.Fprintf(os.Stderr, "bench: wrong passwords: known %s, unknown %s\n", spreadOf(r.known), spreadOf(r.unknown))
	return r, nil
}

// timeWrongSignIn times one wrong password on a connection that is there already.
func (b *bench) timeWrongSignIn(ctx context.Context, from, name string) (time.Duration, error) {
	client := b.client(from)
	defer client.CloseIdleConnections()
	resp, err := client.Head(b.signInPage())
	if err != nil {
		return 0, err
	}
	resp.Body.Close()
	status, took, err := b.wrongSignIn(ctx, client, name)
	if err == nil && status != http.StatusUnauthorized {
		err = &statusError{status}
	}
	return took, err
}

// difference is how far the medians lie apart, as a share of the unknown names' one.
func (r timesResult) difference() float64 {
	known, unknown := middle(r.known), middle(r.unknown)
	return max(float64(known-unknown), float64(unknown-known)) / float64(unknown)
}

func middle(sorted []time.Duration) time.Duration { return sorted[len(sorted)/2] }

func spreadOf(sorted []time.Duration) string {
	at := func(share float64) time.Duration {
		return sorted[int(share*float64(len(sorted)-1))].Round(10 * time.Microsecond)
	}
	return fmt.Sprintf("%s (quarter %s, three quarters %s)", at(0.5), at(0.25), at(0.75))
}

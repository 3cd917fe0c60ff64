package auth

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/doorward/doorward/store"
)

// quota is how often one thing may happen in a window. It is counted where failed sign-ins are (see limit.go), under a key
// that begins with a word of its own.
type quota struct {
	key    string
	limit  int
	window time.Duration // 24 hours at most: maxRateWindow
}

// spend counts one against each quota, or against none when one of them is used up; then it returns how long that lasts.
// Because nothing is counted then, the quota with the least room bounds the rows that strangers can make.
func spend(ctx context.Context, tx *sql.Tx, now time.Time, quotas ...quota) (wait time.Duration, err error) {
	for _, q := range quotas {
		left, err := overLimit(ctx, tx, q.key, q.limit, q.window, now)
		if err != nil {
			return 0, err
		}
		wait = max(wait, left)
	}
	if wait > 0 {
		return wait, nil
	}
	for _, q := range quotas {
		if _, err := tx.ExecContext(ctx, sqlCountRate, q.key, store.Micros(windowStart(now, q.window))); err != nil {
			return 0, fmt.Errorf("count against a limit: %w", err)
		}
	}
	return 0, nil
}

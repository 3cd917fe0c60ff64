package journal

import (
	"context"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/doorward/doorward/store"
)

// hashReader reads the stored hashes once, in order, a page at a time.
type hashReader struct {
	db   *store.DB
	page []storedHash
	next int64 // the first index that was not read yet
	end  bool
}

type storedHash struct {
	index int64
	hash  *tlog.Hash // nil: the text in the row is not a hash
}

// take returns the count hashes from index first on; one that is missing or not a hash is nil. The calls
// must come in ascending order.
func (r *hashReader) take(ctx context.Context, first int64, count int) ([]*tlog.Hash, error) {
	found := make([]*tlog.Hash, count)
	for {
		for len(r.page) > 0 && r.page[0].index < first+int64(count) {
			if at := r.page[0].index - first; at >= 0 {
				found[at] = r.page[0].hash
			}
			r.page = r.page[1:]
		}
		if len(r.page) > 0 || r.end {
			return found, nil
		}
		if err := r.read(ctx); err != nil {
			return nil, fmt.Errorf("read hashes: %w", err)
		}
	}
}

func (r *hashReader) read(ctx context.Context) error {
	rows, err := r.db.QueryContext(ctx, sqlHashesOn, r.next, pageSize)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var s storedHash
		var text string
		if err := rows.Scan(&s.index, &text); err != nil {
			return err
		}
		if h, err := parseHash(text); err == nil {
			s.hash = &h
		}
		r.page = append(r.page, s)
		r.next = s.index + 1
	}
	r.end = len(r.page) < pageSize
	return rows.Err()
}

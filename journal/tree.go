package journal

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/tlog"
)

// maxSize bounds the number of entries that is believed of a database; it keeps the index arithmetic of
// tlog away from its limits.
const maxSize = 1 << 40

// tree is the right edge of the Merkle tree: the roots of the full subtrees that its size is the sum of.
// They are all that is needed to add a leaf and to know the root, about 20 hashes for a million entries.
type tree struct {
	size int64
	edge map[int64]tlog.Hash // by stored hash index
}

func newTree() *tree { return &tree{edge: map[int64]tlog.Hash{}} }

// edgeIndexes are the stored hash indexes of the edge of a tree of n leaves, largest subtree first.
func edgeIndexes(n int64) (indexes []int64) {
	for level := 62; level >= 0; level-- {
		if n&(1<<level) != 0 {
			// The subtree begins after all larger ones; in units of its own size that is n>>level with the
			// lowest bit, its own, cleared.
			indexes = append(indexes, tlog.StoredHashIndex(level, n>>level&^1))
		}
	}
	return indexes
}

// readTree reads the edge of the tree of size leaves inside tx.
func readTree(ctx context.Context, tx *sql.Tx, size int64) (*tree, error) {
	if size < 0 || size > maxSize {
		return nil, fmt.Errorf("the head row says %d entries", size)
	}
	t := newTree()
	t.size = size
	indexes := edgeIndexes(size)
	if len(indexes) == 0 {
		return t, nil
	}
	marks, args := make([]string, len(indexes)), make([]any, len(indexes))
	for i, index := range indexes {
		marks[i], args[i] = "$"+strconv.Itoa(i+1), index
	}
	rows, err := tx.QueryContext(ctx, fmt.Sprintf(sqlSomeHash, strings.Join(marks, ", ")), args...)
	if err != nil {
		return nil, fmt.Errorf("read hashes: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var index int64
		var text string
		if err := rows.Scan(&index, &text); err != nil {
			return nil, fmt.Errorf("read hashes: %w", err)
		}
		if t.edge[index], err = parseHash(text); err != nil {
			return nil, fmt.Errorf("read hash %d: %w", index, err)
		}
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read hashes: %w", err)
	}
	for _, index := range indexes {
		if _, ok := t.edge[index]; !ok {
			return nil, fmt.Errorf("hash %d is missing", index)
		}
	}
	return t, nil
}

// ReadHashes gives tlog the hashes it asks for; they are always on the edge.
func (t *tree) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	hashes := make([]tlog.Hash, len(indexes))
	for i, index := range indexes {
		h, ok := t.edge[index]
		if !ok {
			return nil, fmt.Errorf("hash %d is not on the edge of a tree of %d", index, t.size)
		}
		hashes[i] = h
	}
	return hashes, nil
}

// root is the head hash of the tree.
func (t *tree) root() (tlog.Hash, error) { return tlog.TreeHash(t.size, t) }

// add appends a leaf and returns the hashes to store, the first at StoredHashIndex(0, size before) and the
// others behind it: the leaf, and each subtree that it completes.
func (t *tree) add(leaf tlog.Hash) ([]tlog.Hash, error) {
	hashes, err := tlog.StoredHashesForRecordHash(t.size, leaf, t)
	if err != nil {
		return nil, fmt.Errorf("add leaf %d: %w", t.size, err)
	}
	top := len(hashes) - 1
	for level := range top {
		delete(t.edge, tlog.StoredHashIndex(level, t.size>>level&^1))
	}
	t.edge[tlog.StoredHashIndex(top, t.size>>top)] = hashes[top]
	t.size++
	return hashes, nil
}

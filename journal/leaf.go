package journal

import (
	"encoding/base64"
	"fmt"
	"strconv"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/doorward/doorward/store"
)

// leafVersion begins every leaf, so that a later format can never be read as this one.
const leafVersion = "doorward journal entry v1\n"

// clean makes e storable on both dialects and exactly what will be read back.
func (e *Entry) clean() {
	if e.Time.IsZero() {
		e.Time = time.Now()
	}
	for _, text := range []*string{&e.Actor, &e.Origin, &e.Action, &e.Target, &e.Before, &e.After} {
		*text = store.Text(*text)
	}
}

// leaf is the hash of the entry's content. Every field stands behind its length, so that text cannot move
// from one field to the next unseen. The index is not in it: the tree binds each leaf to its place, and
// without it Verify can tell an entry that was moved from one that was changed.
func (e *Entry) leaf() tlog.Hash {
	text := []byte(leafVersion)
	for _, field := range []string{
		strconv.FormatInt(store.Micros(e.Time), 10), e.Actor, e.Origin, e.Action, e.Target, e.Before, e.After,
	} {
		text = strconv.AppendInt(text, int64(len(field)), 10)
		text = append(text, ':')
		text = append(text, field...)
		text = append(text, '\n')
	}
	return tlog.RecordHash(text)
}

func formatHash(h tlog.Hash) string { return base64.StdEncoding.EncodeToString(h[:]) }

func parseHash(text string) (tlog.Hash, error) {
	h, err := tlog.ParseHash(text)
	if err != nil {
		return tlog.Hash{}, fmt.Errorf("%q is not a hash", text)
	}
	return h, nil
}

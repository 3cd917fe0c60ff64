package event

import (
	"math/rand/v2"
	"sync"
)

const (
	// chunkSize is how many events share one allocation of the queue.
	chunkSize = 256
	// spareChunks is how many empty chunks are kept for the next burst (about 1.5 MB).
	spareChunks = 32
	// bytesPerEvent times the queue's length is the memory that waiting events may hold; events are longer
	// than that only when a stranger makes them so.
	bytesPerEvent = 1024
)

// queue holds what was appended and not yet settled: written or given up. Its memory follows the load: a
// channel of the same length would hold 15 MB from the first day on.
type queue struct {
	wake chan struct{} // has room for one: the writer should not wait for its tick

	mu       sync.Mutex
	told     told
	chunks   [][]Event // filled in order, the last one partly
	spare    [][]Event
	count    int   // appended and not settled, also those that the writer has taken
	bytes    int64 // what those hold
	limit    int
	appended uint64
	dropped  uint64
	settled  uint64
	progress chan struct{} // closed and replaced whenever settled grows
}

func newQueue(limit int) *queue {
	q := &queue{limit: limit, wake: make(chan struct{}, 1), progress: make(chan struct{})}
	q.told.run = rand.Int64() & tailMask >> orderBits
	return q
}

// push tells e, and adds it, or counts it as dropped when there is no room.
func (q *queue) push(e *Event) bool {
	size := e.size()
	q.mu.Lock()
	q.told.tell(e)
	if q.count >= q.limit || q.bytes+size > int64(q.limit)*bytesPerEvent {
		q.dropped++
		q.mu.Unlock()
		return false
	}
	last := len(q.chunks) - 1
	if last < 0 || len(q.chunks[last]) == chunkSize {
		q.chunks = append(q.chunks, q.chunk())
		last++
	}
	q.chunks[last] = append(q.chunks[last], *e)
	q.count++
	q.bytes += size
	q.appended++
	full := last == batchChunks
	q.mu.Unlock()
	if full {
		q.signal()
	}
	return true
}

func (q *queue) chunk() []Event {
	if n := len(q.spare); n > 0 {
		c := q.spare[n-1]
		q.spare = q.spare[:n-1]
		return c
	}
	return make([]Event, 0, chunkSize)
}

func (q *queue) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// take hands out up to batchChunks chunks of waiting events. They count as waiting until settle.
func (q *queue) take() [][]Event {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := min(len(q.chunks), batchChunks)
	taken := make([][]Event, n)
	copy(taken, q.chunks)
	q.chunks = append(q.chunks[:0], q.chunks[n:]...)
	return taken
}

// settle ends the waiting of every event in batch and reuses its memory.
func (q *queue) settle(batch [][]Event) {
	count, bytes := 0, int64(0)
	for i, chunk := range batch {
		count += len(chunk)
		for k := range chunk {
			bytes += chunk[k].size()
		}
		clear(chunk) // let go of the texts
		batch[i] = chunk[:0]
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.count -= count
	q.bytes -= bytes
	q.settled += uint64(count)
	for _, chunk := range batch {
		if len(q.spare) < spareChunks {
			q.spare = append(q.spare, chunk)
		}
	}
	close(q.progress)
	q.progress = make(chan struct{})
}

// await tells what was settled so far, what was appended, and a channel that is closed at the next change.
func (q *queue) await() (settled, appended uint64, progress <-chan struct{}) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.settled, q.appended, q.progress
}

func (q *queue) stats() (appended, dropped uint64, queued int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.appended, q.dropped, q.count
}

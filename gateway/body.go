package gateway

import (
	"errors"
	"io"
	"net/http"
	"os"
	"sync/atomic"
	"time"
)

// bodyRate is what a body must bring on average, in bytes a second, once its first pause allowance is used
// up: one byte just before each deadline would otherwise hold a request for days.
const bodyRate = 512

// pacedBody is a request body whose sender may not pause longer than pause, nor wait longer in total than
// two pauses plus the time that bodyRate grants for what came. Only time spent waiting for the client
// counts, not the application's.
type pacedBody struct {
	io.ReadCloser
	deadline interface{ SetReadDeadline(time.Time) error }
	pause    time.Duration
	left     time.Duration // waiting time that is left
	ended    atomic.Bool
}

func newPacedBody(w http.ResponseWriter, body io.ReadCloser, pause time.Duration) *pacedBody {
	return &pacedBody{ReadCloser: body, deadline: http.NewResponseController(w), pause: pause, left: 2 * pause}
}

// Read reads what the client sent, or ends with a 408 refusal when the client is too slow.
func (b *pacedBody) Read(p []byte) (int, error) {
	start := time.Now()
	if err := b.deadline.SetReadDeadline(start.Add(min(b.pause, b.left))); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return 0, err
	}
	n, err := b.ReadCloser.Read(p)
	b.left -= time.Since(start)
	b.left = min(b.left+time.Duration(n)*time.Second/bodyRate, 2*b.pause)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		no := refuse(http.StatusRequestTimeout, "body-slow", "refusal.body_slow")
		no.close = true
		return n, no
	}
	if err != nil && err != io.EOF {
		// What the server's own reader cannot make out (RFC 9112 7.1), or a client that is gone: no fault of the
		// application's, whose name a 502 would bear.
		no := refuse(http.StatusBadRequest, "body-malformed", "")
		no.close = true
		return n, no
	}
	if err == io.EOF {
		b.ended.Store(true)
		// The server now watches the connection for the client's departure; the deadline must not end that.
		_ = b.deadline.SetReadDeadline(time.Time{})
	}
	return n, err
}

// leave is called when the request was answered. Of a body that nobody wanted, net/http reads a part before it sends the answer, and would
// wait for ever for one that does not come.
func (b *pacedBody) leave() {
	if !b.ended.Load() {
		// An error means that there is no connection any more.
		_ = b.deadline.SetReadDeadline(time.Now().Add(b.pause))
	}
}

package detect

import (
	"container/list"
	"crypto/sha256"
	"strings"
	"time"

	"github.com/doorward/doorward/ingest"
)

// Caps on what errors in logs can make Doorward remember and tell. Who makes an application fail chooses much of the messages.
const (
	maxSignatures   = 5000           // kinds of errors that are known; the one that was not seen for longest is forgotten
	signatureSize   = 12             // bytes of a hash: nobody has to find two messages of one, they would only keep quiet
	maxLearning     = 256            // sources
	learnErrors     = 24 * time.Hour // what a source says for that long is taken as known
	maxNewErrors    = 20             // kinds that are new, of all sources
	newErrorsWithin = time.Hour
)

// errorLevels are what programs call an error, and worse.
var errorLevels = map[string]bool{"error": true, "err": true, "crit": true, "critical": true, "alert": true, "emerg": true, "emergency": true, "panic": true, "fatal": true, "severe": true}

// novelty is what an error is to those who know the earlier ones.
type novelty string

const (
	knownError novelty = ""     // it was seen before, is learned, or is no error
	newError   novelty = "new"  // the first of its kind
	heldError  novelty = "held" // the first of its kind, among too many
)

// newErrors remembers which kinds of errors were seen in which source, and tells those that were not (D-21). What it holds back because there
// were too many it does not remember either: it is told when it comes again at a quieter time, and a flood neither fills the memory nor
// makes the earlier ones forgotten.
type newErrors struct {
	byHash map[[signatureSize]byte]*list.Element
	order  *list.List           // of [signatureSize]byte, the one that was not seen for longest first
	began  map[string]time.Time // when each source was watched first
	window time.Time            // in which told are counted
	told   int

	held, forgotten uint64
}

func newNewErrors() *newErrors {
	return &newErrors{byHash: map[[signatureSize]byte]*list.Element{}, order: list.New(), began: map[string]time.Time{}}
}

// watch notes that a source is watched since at.
func (n *newErrors) watch(source string, at time.Time) {
	if _, known := n.began[source]; !known && len(n.began) < maxLearning {
		n.began[source] = at
	}
}

// note says what an event of a source is, with its signature.
func (n *newErrors) note(source string, e *ingest.Parsed) (novelty, string) {
	n.watch(source, e.Time)
	text := errorText(e)
	if text == "" {
		return knownError, ""
	}
	signature := Signature(text)
	sum := sha256.Sum256([]byte(source + "\x00" + e.Parser + "\x00" + signature))
	key := [signatureSize]byte(sum[:])
	if at := n.byHash[key]; at != nil {
		n.order.MoveToBack(at)
		return knownError, ""
	}
	if began, known := n.began[source]; !known || e.Time.Before(began.Add(learnErrors)) {
		n.remember(key)
		return knownError, ""
	}
	if !e.Time.Before(n.window.Add(newErrorsWithin)) {
		n.window, n.told = e.Time, 0
	}
	if n.told >= maxNewErrors {
		n.held++
		return heldError, signature
	}
	n.told++
	n.remember(key)
	return newError, signature
}

func (n *newErrors) remember(key [signatureSize]byte) {
	if n.byHash[key] != nil {
		return
	}
	if n.order.Len() >= maxSignatures {
		oldest := n.order.Front()
		delete(n.byHash, oldest.Value.([signatureSize]byte))
		n.order.Remove(oldest)
		n.forgotten++
	}
	n.byHash[key] = n.order.PushBack(key)
}

// errorText is the message of an error in a log; empty if the event is none. A wrong password is not one: there are detections for that.
func errorText(e *ingest.Parsed) string {
	if e.Class == "authentication" {
		return ""
	}
	level := strings.ToLower(fieldOf(&e.Event, "level"))
	if level == "" && e.Action != "error" || level != "" && !errorLevels[level] {
		return ""
	}
	for _, key := range [...]string{"text", "message", "msg"} {
		if text := fieldOf(&e.Event, key); text != "" {
			return strings.TrimSpace(fieldOf(&e.Event, "code") + " " + text)
		}
	}
	return ""
}

// savedErrors is the state of newErrors.
type savedErrors struct {
	Known  []byte               `json:"known,omitempty"` // hashes, one behind the other, the one that was not seen for longest first
	Began  map[string]time.Time `json:"began,omitempty"`
	Window time.Time            `json:"window,omitzero"`
	Told   int                  `json:"told,omitempty"`
}

func (n *newErrors) state() savedErrors {
	s := savedErrors{Known: make([]byte, 0, n.order.Len()*signatureSize), Began: n.began, Window: n.window, Told: n.told}
	for e := n.order.Front(); e != nil; e = e.Next() {
		key := e.Value.([signatureSize]byte)
		s.Known = append(s.Known, key[:]...)
	}
	return s
}

func (n *newErrors) restore(s savedErrors) {
	for known := s.Known; len(known) >= signatureSize; known = known[signatureSize:] {
		n.remember([signatureSize]byte(known))
	}
	for source, at := range s.Began {
		if _, known := n.began[source]; known || len(n.began) < maxLearning {
			n.began[source] = at
		}
	}
	n.window, n.told = s.Window, s.Told
}

//go:build race

package waf_test

// raceDetector tells that this test binary is slowed down by the race detector: it looks at fewer texts, all of which the other
// binary sees.
const raceDetector = true

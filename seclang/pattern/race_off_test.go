//go:build !race

package pattern_test

// raceDetector tells that this test binary is slowed down by the race detector.
const raceDetector = false

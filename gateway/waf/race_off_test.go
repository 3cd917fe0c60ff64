//go:build !race

package waf_test

// raceDetector tells that this test binary is slowed down by the race detector.
const raceDetector = false

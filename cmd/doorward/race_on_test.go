//go:build race

package main

// raceDetector tells that this test binary is slowed down and enlarged by the race detector.
const raceDetector = true

//go:build race

package racetest

// On tells that the race detector watches this program, which is slowed down and enlarged by it.
const On = true

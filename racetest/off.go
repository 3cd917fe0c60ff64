//go:build !race

// Package racetest tells tests of size and speed whether the race detector runs.
package racetest

// On tells that the race detector watches this program, which is slowed down and enlarged by it.
const On = false

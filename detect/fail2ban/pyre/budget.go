package pyre

import "time"

// scanBytes is how many bytes are looked through for the price of one step, for a place at which to begin.
const scanBytes = 8

// Budget is what several searches may take together. A stranger can write a text on which each of many expressions stays below its own
// Timeout.
type Budget struct{ left, all int }

// NewBudget is a budget of about that time, counted in steps so that every run agrees.
func NewBudget(d time.Duration) Budget {
	n := int(d / stepTime)
	return Budget{left: n, all: n}
}

// Renew makes the budget whole again.
func (b *Budget) Renew() { b.left = b.all }

// Spent is how many steps were taken.
func (b *Budget) Spent() int { return b.all - b.left }

// spend takes steps; false: there are none left.
func (b *Budget) spend(steps int) bool {
	if b == nil {
		return true
	}
	b.left = max(0, b.left-steps)
	return b.left > 0
}

// Left is how many steps are left.
func (b *Budget) Left() int { return b.left }

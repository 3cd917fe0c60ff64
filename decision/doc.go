// Package decision keeps the list of who is refused, slowed down or challenged, and until when: addresses and networks, accounts, and
// countries. Everything that wants somebody refused comes through its one door, where the allow list and the caps are; everything that
// enforces reads its snapshot or follows its changes.
//
// It knows the store, the event log and the journal. It does not know what a detection is, nor how a decision is enforced.
package decision

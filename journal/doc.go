// Package journal keeps the tamper-evident record of every administrative action: who did what, from where,
// to what, and what it was before and after.
//
// Each entry is a leaf of a Merkle tree (RFC 6962, golang.org/x/mod/sumdb/tlog) and each append signs the
// tree's new head (golang.org/x/mod/sumdb/note) in the transaction of the action itself. Verify then finds
// an entry that was changed, removed, moved, inserted or cut off behind Doorward's back. One thing it
// cannot find from the database alone: entries cut off the end together with the head that covered them.
// That needs a head kept elsewhere, which is why heads are exported and mailed.
//
// The package knows nothing about what the actions mean.
package journal

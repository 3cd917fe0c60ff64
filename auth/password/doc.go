// Package password judges passwords: whether a new one is long, mixed and unusual enough for a policy, whether one has
// become too old, and, if an administrator wants that, whether it is known from a breach. The policies of the guides and
// standards are data in rules/passwords; docs/passwords.md describes them.
//
// It knows nothing of accounts, hashes, stores or pages: who calls it says whose password it is and compares the
// history itself. No problem, error or text that it returns holds a password or a part of one.
package password

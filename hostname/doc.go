// Package hostname knows the names of addresses (D-11): by reverse DNS, confirmed forwards, cached, bounded and in the
// background, so that no request ever waits for a name server of strangers.
//
// Who owns an address writes its reverse record and may call it bank.example; only who owns bank.example can make that
// name lead back to the address. A name is therefore shown only when it does (as in RFC 1912 2.1), and is no more
// than a help for whoever reads it: nothing is allowed or refused by the absence of one. The package must not know
// sessions, events or pages, and imports nothing of ours.
package hostname

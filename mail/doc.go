// Package mail sends messages to people: one-time links, codes and notices. It puts a message into the store
// within its caller's transaction, so that the mail and the state it speaks of are one, and hands it to the
// configured mail server (submission, RFC 6409) over TLS, again and again until it is taken or of no use any more.
//
// It knows messages, the SMTP conversation and the table of what waits. It must not know why a message is sent, who
// the recipient is, or in which words it is written: that is its caller's.
package mail

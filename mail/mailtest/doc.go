// Package mailtest gives tests a real mail server on 127.0.0.1, with a certificate of its own, and the messages that
// it received, taken apart.
//
// It knows how mail arrives. It must not know what Doorward writes, and must not be imported by anything but tests.
package mailtest

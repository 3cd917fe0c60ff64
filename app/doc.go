// Package app wires the parts of Doorward together: it is the only place that knows them all. It must not
// hold behaviour of its own beyond starting, reloading and stopping them in the right order.
package app

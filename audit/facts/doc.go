// Package facts reads off a host what the controls ask about: what its programs are really configured to do, what
// listens, who may sign in, what a stranger may reach.
//
// It knows where a Linux system keeps these things and how its programs read them. It knows no control and no verdict, and
// changes nothing: a collector reads files under the host's root, asks programs for their effective configuration, or connects
// to what the host itself offers. The one exception are canaries, two small files that the administrator asks for by
// Config.Canaries and that are removed again.
//
// A file of this package holds one collector: the struct that it fills, whose fields are documented for the writers of
// controls, and the function that fills it. What could not be read is said as Missing with the reason, and is never
// left at a zero value that could be taken for an answer.
package facts

// Package fix changes a host so that controls come into force, and takes every change back. A repair plans typed changes
// from the files and programs of the host; what is applied is written into a journal of files first, so that it can be
// undone after a reboot, after a kill at any step, and with no database. It knows controls, facts and how services are
// checked and reloaded; it knows no command line, no configuration file and no store.
//
// Nothing is followed that the plan did not show: a path is resolved when it is planned, and opened without links when it
// is changed. What is there then has to be what the plan saw, byte by byte.
package fix

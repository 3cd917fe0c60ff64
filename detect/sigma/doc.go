// Package sigma reads Sigma rules, correlations and filters (the public Sigma specification, version 2), and says which
// of them an event meets.
//
// It knows the format and nothing else: events are fields with values, and what a match is good for is somebody else's
// decision. The section "respond", which is ours, is checked here and handed on as data. It opens no file, keeps no
// clock and starts nothing: time comes from the events, so that the same events always give the same matches.
//
// Rules are trusted less than the program: what a file may hold is capped. Events are not trusted at all: what they can
// make grow (groups of correlations) is capped and counted.
package sigma

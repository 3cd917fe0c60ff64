// Package detect decides, from what was written down, whom to act against: it runs fail2ban's jails on lines and Sigma rules on
// events, and makes proposals of what they find.
//
// It knows detections: when something counts, how often is too often, and what is to follow. It opens no file and enforces
// nothing: lines come from ingest, and proposals go to the one door in decision. Time comes from the lines, so that reading
// them again gives the same proposals with the same keys.
package detect

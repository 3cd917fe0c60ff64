// Package geo knows which country an address is in (M-42): from a database file that the user brings, and from our
// own table of the ranges that belong to no country, which are never looked up.
//
// It must not know who may do what from where: the rules about countries are the business of whoever asks. It imports
// nothing of ours, and it never reaches for the network: a file is renewed by whoever provides it.
package geo

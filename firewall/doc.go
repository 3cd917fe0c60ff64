// Package firewall keeps the addresses that are banned in the kernel: nftables sets in a table of Doorward's own, equal to a
// list of elements, each until its time. The process that does this, `doorward enforce`, holds the one privilege that it takes
// and answers a few verbs on a socket; the client is how `doorward serve` tells it.
//
// It knows addresses and times. It must not know why anybody is banned, and it changes no table but its own.
package firewall

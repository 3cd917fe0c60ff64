// Package porttest finds ports for the tests' servers that read their port from a file or an argument.
package porttest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"syscall"
)

// Ports are taken below the range from which Linux serves connections and listeners without a port of their own
// (net.ipv4.ip_local_port_range): from that range, another test would be given a port before its server opens it.
const (
	first = 10_000
	last  = 32_767
)

var (
	mu    sync.Mutex
	given = make(map[int]bool)
)

// Free is a TCP port of 127.0.0.1 that nothing uses. Each is given once in a process.
func Free() (int, error) {
	mu.Lock()
	defer mu.Unlock()
	for range 1000 {
		port := first + rand.IntN(last-first+1)
		if given[port] {
			continue
		}
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if errors.Is(err, syscall.EADDRINUSE) {
			continue
		}
		if err != nil {
			return 0, err
		}
		if err := l.Close(); err != nil {
			return 0, err
		}
		given[port] = true
		return port, nil
	}
	return 0, fmt.Errorf("no free TCP port of 127.0.0.1 from %d to %d: end what listens there", first, last)
}

package porttest_test

import (
	"fmt"
	"net"
	"testing"

	"github.com/doorward/doorward/porttest"
)

func TestFree(t *testing.T) {
	seen := make(map[int]bool)
	for range 200 {
		port, err := porttest.Free()
		if err != nil {
			t.Fatal(err)
		}
		if seen[port] {
			t.Fatalf("port %d was given twice", port)
		}
		seen[port] = true
	}
	for port := range seen {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			t.Fatalf("a free port is taken: %v", err)
		}
		defer l.Close()
	}
}

package facts_test

import (
	"os"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/doorward/doorward/unshared"
)

// aloneEnv names the test that runs in a network of its own.
const aloneEnv = "DOORWARD_FACTS_ALONE"

// alone gives the calling test, which must not be a subtest, a network of its own: the audit of a live machine asks every listener
// what it speaks, and those of other tests, which run at the same time, must not hear that. For that it runs the test again in a child
// process; there it is true. Without the right to make namespaces the test runs where it is.
func alone(t *testing.T) bool {
	t.Helper()
	if os.Getenv(aloneEnv) == t.Name() {
		loopbackUp(t)
		return true
	}
	if err := unshared.Again(t, syscall.CLONE_NEWNET, aloneEnv+"="+t.Name()); err != nil {
		t.Logf("the test runs where others are: %v", err)
		return true
	}
	return false
}

// loopbackUp turns on the loopback interface of a new network namespace.
func loopbackUp(t *testing.T) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	must(t, err)
	defer unix.Close(fd)
	request, err := unix.NewIfreq("lo")
	must(t, err)
	request.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	must(t, unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, request))
}

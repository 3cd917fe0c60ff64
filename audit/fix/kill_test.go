package fix_test

import (
	"errors"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/doorward/doorward/audit/fix"
	"github.com/doorward/doorward/rules"
)

// Variables by which a test runs itself again as the process that is killed.
const (
	killRoot = "DOORWARD_FIX_ROOT"
	killDo   = "DOORWARD_FIX_DO" // apply, or undo
	killAt   = "DOORWARD_FIX_KILL"
)

// TestMain runs the process that kills itself before its nth system effect, as SIGKILL or a power failure would.
func TestMain(m *testing.M) {
	root := os.Getenv(killRoot)
	if root == "" {
		os.Exit(m.Run())
	}
	at, _ := strconv.Atoi(os.Getenv(killAt))
	n := 0
	o := fix.Options{Root: root, State: stateOf(root), Recipes: rules.Fixes(), Observe: func(string) {
		if n++; n == at {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
	}}
	idoit(&o)
	if err := killed(o); err != nil {
		_, _ = os.Stderr.WriteString(err.Error() + "\n")
		os.Exit(1)
	}
	os.Exit(0)
}

func killed(o fix.Options) error {
	f, err := fix.New(o)
	if err != nil {
		return err
	}
	defer f.Close()
	if os.Getenv(killDo) == "undo" {
		return f.UndoAll(background(), false, nil)
	}
	p, err := f.Plan(background(), killIDs(), true)
	if err != nil {
		return err
	}
	outcomes, err := f.Apply(background(), p, fix.ApplyOptions{})
	for _, out := range outcomes {
		err = errors.Join(err, out.Err)
	}
	return err
}

func killIDs() []string { return []string{"I-03", "M-36", "I-15", "I-97", "I-71"} }

// runKilled starts the process that is killed at its nth step, and says whether it was.
func runKilled(t *testing.T, root, do string, at int) bool {
	t.Helper()
	self, err := os.Executable()
	check(t, err)
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Env = append(os.Environ(), killRoot+"="+root, killDo+"="+do, killAt+"="+strconv.Itoa(at))
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.Sys().(syscall.WaitStatus).Signaled() {
		return true
	}
	if err != nil {
		t.Fatalf("%s that is killed at %d: %v\n%s", do, at, err, out)
	}
	return false
}

// TestKilledAtEveryStep: an apply that is killed anywhere is completed by undo, also one that is killed anywhere itself.
func TestKilledAtEveryStep(t *testing.T) {
	t.Parallel()
	steps := 0
	for at := 1; ; at++ {
		root := host(t)
		before := snapshot(t, root)
		if !runKilled(t, root, "apply", at) {
			break
		}
		steps++
		if at%3 == 0 { // and every third time, the undo is killed as well
			for undoAt := 1; runKilled(t, root, "undo", undoAt); undoAt++ {
			}
		}
		f := fixer(t, root, idoit)
		check(t, f.UndoAll(t.Context(), false, nil))
		same(t, root, before)
		all, err := f.History()
		check(t, err)
		for _, e := range all {
			if e.Open() {
				t.Errorf("killed at %d: %s is %s", at, e.ID, e.Status)
			}
		}
		if t.Failed() {
			t.Fatalf("killed at step %d", at)
		}
	}
	if steps < 7 {
		t.Errorf("it was killed at %d steps; the steps are not told", steps)
	}
}

// TestKilledAtAnyTime: between any two calls of the kernel, in a tree that takes a while.
func TestKilledAtAnyTime(t *testing.T) {
	t.Parallel()
	root := host(t)
	for i := range 300 {
		write(t, root, appRoot+"/lib/"+strconv.Itoa(i%20)+"/"+strconv.Itoa(i)+".php", "x\n")
	}
	before := snapshot(t, root)
	killed := 0
	for i := range 5 {
		self, err := os.Executable()
		check(t, err)
		cmd := exec.CommandContext(t.Context(), self)
		cmd.Env = append(os.Environ(), killRoot+"="+root, killDo+"=apply", killAt+"=-1")
		check(t, cmd.Start())
		time.Sleep(time.Duration(40+60*i) * time.Millisecond)
		_ = cmd.Process.Kill() // it may have ended
		if err := cmd.Wait(); err != nil {
			killed++
		}
		f := fixer(t, root)
		check(t, f.UndoAll(t.Context(), false, nil))
		same(t, root, before)
		if t.Failed() {
			t.Fatalf("killed after %d ms", 40+60*i)
		}
	}
	t.Logf("killed on the way %d times of 5", killed)
}

// TestNothingOnTopOfWhatWasKilled: a new apply waits until the killed one was taken back.
func TestNothingOnTopOfWhatWasKilled(t *testing.T) {
	root := host(t)
	if !runKilled(t, root, "apply", 2) {
		t.Fatal("it was not killed")
	}
	f := fixer(t, root)
	_, err := f.Apply(t.Context(), plan(t, f, "I-43"), fix.ApplyOptions{})
	if err == nil || !strings.Contains(err.Error(), "ended on the way") {
		t.Errorf("got %v, want that the killed one has to be undone first", err)
	}
}

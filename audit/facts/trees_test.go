package facts_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/doorward/doorward/audit/facts"
)

const webAccounts = "root:x:0:0::/root:/bin/sh\nwww-data:x:33:33::/:/bin/false\ncron:x:40:40::/:/bin/false\napp:x:50:50::/:/bin/false\n"

// appHost lays out a host of files, by their names below it.
func appHost(t testing.TB, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		name = filepath.Join(root, name)
		must(t, os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(name, []byte(text), 0o644))
	}
	return root
}

func must(t testing.TB, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// appFact reads one fact of a host of files, and why what is missing of it is.
func appFact[T any](t testing.TB, root, name string, config facts.Config) (T, map[string]string) {
	t.Helper()
	h, err := facts.OpenHost(facts.HostOptions{Root: root})
	must(t, err)
	defer h.Close()
	f := facts.Collect(t.Context(), h, facts.Target{Config: config, Now: time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)}, nil)
	missing := map[string]string{}
	for _, m := range f.Missing {
		if m.Fact == name || strings.HasPrefix(m.Fact, name+".") {
			missing[strings.TrimPrefix(strings.TrimPrefix(m.Fact, name), ".")] = m.Reason
		}
	}
	value, _ := f.Values[name].(T)
	return value, missing
}

func asRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can give files to others")
	}
}

func oneApp(app facts.App) facts.Config { return facts.Config{Apps: []facts.App{app}} }

func TestTrees(t *testing.T) {
	asRoot(t)
	root := appHost(t, map[string]string{"etc/passwd": webAccounts, "etc/group": "www-data:x:33:\nshared:x:60:www-data,cron\n",
		"srv/app/index.php": "", "srv/app/lib/a.php": "", "srv/app/run.sh": "", "srv/app/data/in/x": "", "srv/app/data/y": ""})
	at := func(name string) string { return filepath.Join(root, "srv/app", name) }
	must(t, os.Chown(at("index.php"), 33, 33), os.Chmod(at("index.php"), 0o440),
		os.Chown(at("lib/a.php"), 0, 60), os.Chmod(at("lib/a.php"), 0o664),
		os.Chown(at("run.sh"), 50, 33), os.Chmod(at("run.sh"), 0o550),
		os.Chown(at("data"), 33, 60), os.Chmod(at("data"), 0o770), os.Chown(at("data/in"), 0, 60), os.Chmod(at("data/in"), 0o750))
	got, missing := appFact[facts.Trees](t, root, "trees", oneApp(facts.App{Name: "a", Root: "/srv/app", Data: []string{"data"}, Tools: []string{"*.sh"}, CronUser: "cron"}))
	for field, reason := range missing {
		if field != "not_immutable" {
			t.Errorf("%s is missing: %s", field, reason)
		}
	}
	if len(got.WebWritable) != 2 || got.WebWritable[0].Path != "/srv/app/lib/a.php" || !got.WebWritable[0].Now ||
		got.WebWritable[1].Path != "/srv/app/index.php" || got.WebWritable[1].Now {
		t.Errorf("writable: got %+v, want lib/a.php by its group now, and index.php by its owner after a chmod", got.WebWritable)
	}
	owners := map[string]bool{}
	for _, o := range got.Owners {
		owners[o.Owner] = o.Web
	}
	if len(owners) != 3 || !owners["www-data"] || owners["root"] || owners["app"] {
		t.Errorf("owners: got %+v, want root, app, and www-data as the web user", got.Owners)
	}
	if len(got.Tools) != 1 || !got.Tools[0].Executable {
		t.Errorf("tools: got %+v, want run.sh, which the group may execute", got.Tools)
	}
	if d := got.Data; len(d) != 1 || d[0].Web || d[0].Cron || !strings.HasPrefix(d[0].Blocked, "/srv/app/data/in 0750") {
		t.Errorf("data: got %+v, want data/in to block both", d)
	}
	if got.Count.Unsealed != 3 || got.Count.Modes != 3 {
		t.Errorf("got %+v, want root, lib and lib/a.php to be open", got.Count)
	}
	must(t, os.Chmod(at("data/in"), 0o770))
	got, _ = appFact[facts.Trees](t, root, "trees", oneApp(facts.App{Name: "a", Root: "/srv/app", Data: []string{"data"}, CronUser: "cron"}))
	if d := got.Data; len(d) != 1 || !d[0].Web || !d[0].Cron || !d[0].Exists {
		t.Errorf("data: got %+v, want both to be able to write", d)
	}
	must(t, os.Chown(filepath.Join(root, "srv"), 33, 33))
	got, _ = appFact[facts.Trees](t, root, "trees", oneApp(facts.App{Name: "a", Root: "/srv/app", Data: []string{"data"}}))
	if len(got.WebWritable) == 0 || got.WebWritable[0].Path != "/srv" {
		t.Errorf("got %+v, want the folder above, in which all of it can be replaced", got.WebWritable)
	}
}

// TestTreesOfStrangers: what lies in an application's folder may be laid there by whoever broke in.
func TestTreesOfStrangers(t *testing.T) {
	root := appHost(t, map[string]string{"etc/passwd": webAccounts, "etc/group": "", "outside/secret": "", "srv/app/x": ""})
	at := func(name string) string { return filepath.Join(root, "srv/app", name) }
	must(t, os.Chmod(filepath.Join(root, "outside/secret"), 0o666),
		os.Symlink("..", at("up")), os.Symlink("loop", at("loop")), os.Symlink("/outside", at("out")), os.Symlink("../../../../../../etc", at("far")),
		syscall.Mkfifo(at("fifo"), 0o666))
	deep := at("deep")
	for range 210 {
		deep += "/d"
	}
	must(t, os.MkdirAll(deep, 0o755))
	got, missing := appFact[facts.Trees](t, root, "trees", oneApp(facts.App{Name: "a", Root: "/srv/app"}))
	if got.Count.Links != 4 || len(got.LinksOut) != 3 || got.Count.Special != 1 {
		t.Errorf("got %+v and %+v, want four links, three of which lead out, and a FIFO", got.Count, got.LinksOut)
	}
	for _, e := range append(got.WorldWritable, got.WebWritable...) {
		if !strings.HasPrefix(e.Path, "/srv/app") {
			t.Errorf("%s was looked at, which a link leads to", e.Path)
		}
	}
	if reason := missing["web_writable"]; !strings.Contains(reason, "more than 200 folders deep") {
		t.Errorf("missing: got %v, want that not everything was looked at", missing)
	}
	for name, app := range map[string]facts.App{
		"a root that is not there":  {Root: "/srv/none"},
		"a root that is a link out": {Root: "/srv/app/far"},
		"no such web user":          {Root: "/srv/app", WebUser: "nobody-here"},
		"a kind that is a path":     {Root: "/srv/app", Kind: "../profiles"},
	} {
		_, missing := appFact[facts.Trees](t, root, "trees", oneApp(app))
		if missing[""] == "" && missing["web_writable"] == "" && name != "a root that is a link out" {
			t.Errorf("%s: nothing is missing", name)
		}
	}
}

// TestTreesThatChange: files come, go and turn into links while the walk is on its way; nothing outside is seen.
func TestTreesThatChange(t *testing.T) {
	root := appHost(t, map[string]string{"etc/passwd": webAccounts, "etc/group": "", "outside/secret": ""})
	must(t, os.Chmod(filepath.Join(root, "outside/secret"), 0o666), os.MkdirAll(filepath.Join(root, "srv/app"), 0o755))
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			name := filepath.Join(root, "srv/app", fmt.Sprint("d", i%50))
			_ = os.RemoveAll(name) // it may be anything, or nothing
			if i%3 == 0 {
				_ = os.Symlink("/outside", name)
			} else {
				_ = os.MkdirAll(filepath.Join(name, "x/y"), 0o755)
			}
		}
	}()
	for range 30 {
		got, _ := appFact[facts.Trees](t, root, "trees", oneApp(facts.App{Name: "a", Root: "/srv/app"}))
		for _, e := range got.WorldWritable {
			t.Errorf("%s was looked at, which is not in the folder", e.Path)
		}
	}
	close(stop)
	<-stopped
}

// TestTreesCost: 20,000 files are what an application has, and an audit has little time.
func TestTreesCost(t *testing.T) {
	root := appHost(t, map[string]string{"etc/passwd": webAccounts, "etc/group": ""})
	for d := range 200 { // a name more for a file is made faster than a file
		dir := filepath.Join(root, "srv/app", fmt.Sprint(d))
		must(t, os.MkdirAll(dir, 0o755), os.WriteFile(filepath.Join(dir, "0"), nil, 0o664))
		for f := 1; f < 100; f++ {
			must(t, os.Link(filepath.Join(dir, "0"), filepath.Join(dir, fmt.Sprint(f))))
		}
	}
	before := cpu(t)
	got, missing := appFact[facts.Trees](t, root, "trees", oneApp(facts.App{Name: "a", Root: "/srv/app"}))
	spent := cpu(t) - before
	if got.Count.Entries != 20_201 || got.Count.Unsealed != 20_201 || len(got.Unsealed) != 50 || missing["unsealed"] != "" {
		t.Errorf("got %+v and %d in the list, want all counted and 50 listed; missing %v", got.Count, len(got.Unsealed), missing)
	}
	if spent > time.Second {
		t.Errorf("it took %v of CPU, want less than a second", spent)
	}
	t.Logf("%d files: %v of CPU", got.Count.Entries, spent)
}

func cpu(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	must(t, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

package facts

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Bounds of the walk through the declared applications' folders.
const (
	maxTreeEntries = 2_000_000 // of all applications together
	maxTreeDepth   = 200       // folders within each other; each holds one descriptor open
	maxTreeList    = 50        // entries of each list of offenders; the counts go on
	maxTreeOwners  = 50        // different owners that are told
	treesTime      = 8 * time.Second
)

// Trees is what the folders of the declared applications are like. Each is walked once; no link in them is followed.
// The lists hold the first 50 entries, Count has how many there are.
type Trees struct {
	Apps   []Tree      `cel:"apps"`
	Owners []TreeOwner `cel:"owners"` // of files and folders outside the data folders
	// WebWritable is what the web user may change outside the data folders, now or, where now is false, after a chmod,
	// which the owner of a file is always allowed. Folders above root count, because root could be replaced there.
	WebWritable []TreeEntry `cel:"web_writable"`
	// WorldWritable is what every account may write, data folders included.
	WorldWritable []TreeEntry `cel:"world_writable"`
	// Modes is what has more permissions than 0440 (files), 0550 (folders and tools), outside the data folders.
	Modes []TreeEntry `cel:"modes"`
	// BeyondUpdate is what has more permissions than an update needs: 0664 (files), 0775 (folders), 0774 (tools).
	BeyondUpdate []TreeEntry `cel:"beyond_update"`
	// Unsealed is what some account may write outside the data folders: a w in the mode, and no immutable flag.
	Unsealed []TreeEntry `cel:"unsealed"`
	// NotImmutable is what has no immutable flag outside the data folders. Missing where the file system has no such flag.
	NotImmutable []TreeEntry `cel:"not_immutable"`
	// Tools are the files that must stay executable.
	Tools []TreeTool `cel:"tools"`
	// Data are the folders that the application writes to.
	Data []TreeData `cel:"data"`
	// LinksOut are symbolic links that lead out of the application's folder. What they lead to is not looked at.
	LinksOut []TreeEntry `cel:"links_out"`
	Count    TreeCount   `cel:"count"`
}

// Tree is one application's folder.
type Tree struct {
	App      string `cel:"app"`
	Kind     string `cel:"kind"`
	Root     string `cel:"root"` // as the links in its path resolve
	WebUser  string `cel:"web_user"`
	CronUser string `cel:"cron_user"`
	Entries  int64  `cel:"entries"`
	// Unread says why not everything was looked at; empty when it was.
	Unread string `cel:"unread"`
	Origin string `cel:"origin"`
}

// TreeEntry is one file or folder.
type TreeEntry struct {
	App    string `cel:"app"`
	Path   string `cel:"path"`
	Mode   string `cel:"mode"` // 0644
	Owner  string `cel:"owner"`
	Group  string `cel:"group"`
	Now    bool   `cel:"now"` // the web user may write it as it is
	Why    string `cel:"why"`
	Origin string `cel:"origin"`
}

// TreeOwner is an account that owns files of an application.
type TreeOwner struct {
	App     string `cel:"app"`
	Owner   string `cel:"owner"`
	UID     int64  `cel:"uid"`
	Web     bool   `cel:"web"` // it is the web user
	Entries int64  `cel:"entries"`
	Example string `cel:"example"`
	Origin  string `cel:"origin"`
}

// TreeTool is a file that has to be executable.
type TreeTool struct {
	App        string `cel:"app"`
	Path       string `cel:"path"`
	Mode       string `cel:"mode"`
	Executable bool   `cel:"executable"` // for the web user
	Origin     string `cel:"origin"`
}

// TreeData is a folder that the application writes to.
type TreeData struct {
	App     string `cel:"app"`
	Path    string `cel:"path"`
	Exists  bool   `cel:"exists"`
	Inside  bool   `cel:"inside"` // below the application's root
	Mode    string `cel:"mode"`
	Owner   string `cel:"owner"`
	Web     bool   `cel:"web"`  // the web user may create files in it and in every folder below it
	Cron    bool   `cel:"cron"` // the cron user may
	Blocked string `cel:"blocked"`
	World   int64  `cel:"world"` // how much in it every account may write
	Origin  string `cel:"origin"`
}

// TreeCount is how many entries each list would have.
type TreeCount struct {
	Entries       int64 `cel:"entries"`
	WebWritable   int64 `cel:"web_writable"`
	WorldWritable int64 `cel:"world_writable"`
	Modes         int64 `cel:"modes"`
	BeyondUpdate  int64 `cel:"beyond_update"`
	Unsealed      int64 `cel:"unsealed"`
	NotImmutable  int64 `cel:"not_immutable"`
	Immutable     int64 `cel:"immutable"`
	Links         int64 `cel:"links"`
	Special       int64 `cel:"special"` // FIFOs, sockets, devices
	Changed       int64 `cel:"changed"` // gone or replaced while the walk went on
}

// noApps is why facts about applications are missing where none is declared.
const noApps = "no application is declared: list name, kind and root of each under audit.apps"

func collectTrees(ctx context.Context, h *Host, t Target) (Trees, []Missing) {
	if len(t.Apps) == 0 {
		return Trees{}, missing(noApps)
	}
	deadline := t.deadline(ctx)
	w := &treeWalker{h: h, ctx: ctx, deadline: deadline, trees: &Trees{}, users: namesByID(h, "/etc/passwd"), groups: namesByID(h, "/etc/group")}
	var lost []Missing
	for _, app := range t.Apps {
		lost = append(lost, w.application(app)...)
	}
	w.trees.WebWritable = append(w.trees.WebWritable, w.ownable...)
	if len(w.trees.WebWritable) > maxTreeList {
		w.trees.WebWritable = w.trees.WebWritable[:maxTreeList]
	}
	return *w.trees, append(lost, w.incomplete()...)
}

// deadline is when a walk has to stop to be told: a little before its context ends.
func (t Target) deadline(ctx context.Context) time.Time {
	if end, ok := ctx.Deadline(); ok {
		return end.Add(-300 * time.Millisecond)
	}
	return time.Now().Add(treesTime)
}

// application walks one application's folder, and its data folders that lie elsewhere.
func (w *treeWalker) application(app App) []Missing {
	kind, err := readAppKind(app.Kind)
	if err != nil {
		return missing("application %s: %s", app.Name, because(err))
	}
	if app.WebUser == "" {
		app.WebUser = "www-data"
	}
	if app.CronUser == "" {
		app.CronUser = app.WebUser
	}
	tree := Tree{App: app.Name, Kind: app.Kind, Root: app.Root, WebUser: app.WebUser, CronUser: app.CronUser, Origin: "audit.apps"}
	w.app, w.dataDirs, w.tools = &tree, map[string]int{}, declaredOr(app.Tools, kind.paths(kind.Tools))
	defer func() { w.trees.Apps = append(w.trees.Apps, tree) }()
	if w.web, err = identityOf(w.h, app.WebUser); err == nil {
		w.cron, err = identityOf(w.h, app.CronUser)
	}
	var lost []Missing
	if err != nil {
		for _, field := range []string{"owners", "web_writable", "tools", "data"} {
			lost = append(lost, Missing{field, fmt.Sprintf("application %s: %s", app.Name, because(err))})
		}
	}
	w.judged = err == nil
	at, err := w.enter(app.Root)
	if err != nil {
		tree.Unread = because(err)
		return append(lost, missing("application %s: %s", app.Name, because(err))...)
	}
	defer unix.Close(at.fd)
	tree.Root = at.path
	outside := w.declareData(declaredOr(app.Data, w.dataOf(app, kind)), at.path)
	w.above(app.Root, at.path)
	w.folder(at)
	for _, i := range outside {
		w.data(i)
	}
	return lost
}

// dataOf is where the kind's data folders lie: where the application's own configuration says, else where it is shipped.
func (w *treeWalker) dataOf(app App, kind appKind) []string {
	if kind.DataSetting != "" {
		values, _ := kind.read(w.h, app.Root) // what cannot be read is told by the fact "application"
		if dir := values[kind.DataSetting]; dir.Value != "" {
			return []string{dir.Value}
		}
	}
	return kind.paths(kind.Data)
}

// declareData notes the data folders, and returns which of them do not lie below root.
func (w *treeWalker) declareData(dirs []string, root string) (outside []int) {
	for _, dir := range dirs {
		if !path.IsAbs(dir) {
			dir = path.Join(root, dir)
		}
		dir = path.Clean(dir)
		declared := dir
		if f, err := w.h.open(dir, unix.O_PATH); err == nil {
			if real, err := w.real(f); err == nil {
				dir = real // a link to where the data really are
			}
			f.Close()
		}
		i := len(w.trees.Data)
		inside := strings.HasPrefix(dir+"/", strings.TrimSuffix(root, "/")+"/")
		w.trees.Data = append(w.trees.Data, TreeData{App: w.app.App, Path: declared, Inside: inside, Blocked: "it is not there", Origin: dir})
		w.dataDirs[dir] = i
		if !inside {
			outside = append(outside, i)
		}
	}
	return outside
}

// data walks a data folder that lies outside the application's own.
func (w *treeWalker) data(i int) {
	d := &w.trees.Data[i]
	at, err := w.enter(d.Path)
	if err != nil {
		d.Blocked = because(err)
		return
	}
	defer unix.Close(at.fd)
	at.data = i
	w.folder(at)
}

// incomplete tells which lists prove nothing when they are empty, because not everything was looked at.
func (w *treeWalker) incomplete() []Missing {
	var why []string
	for _, tree := range w.trees.Apps {
		if tree.Unread != "" {
			why = append(why, tree.App+": "+tree.Unread)
		}
	}
	var lost []Missing
	t := w.trees
	note := func(field, reason string, found int) {
		if found == 0 && reason != "" {
			lost = append(lost, Missing{field, reason})
		}
	}
	reason := oneReason(why)
	note("web_writable", reason, len(t.WebWritable))
	note("world_writable", reason, len(t.WorldWritable))
	note("modes", reason, len(t.Modes))
	note("beyond_update", reason, len(t.BeyondUpdate))
	note("unsealed", reason, len(t.Unsealed))
	if w.flagless != "" {
		reason = w.flagless + ": the file system keeps no immutable flag"
	}
	note("not_immutable", reason, len(t.NotImmutable))
	slices.SortFunc(t.Owners, func(a, b TreeOwner) int { return int(a.UID - b.UID) })
	if len(why) > 0 {
		for _, field := range []string{"owners", "data", "tools", "count"} {
			lost = append(lost, Missing{field, oneReason(why)})
		}
	}
	return lost
}

func declaredOr(declared, known []string) []string {
	if len(declared) > 0 {
		return declared
	}
	return known
}

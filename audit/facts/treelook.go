package facts

import (
	"fmt"
	"path"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// look takes one file or folder into the lists.
func (w *treeWalker) look(e treeNode, here treePlace) {
	w.count()
	if e.immutable {
		w.trees.Count.Immutable++
	}
	if e.mode&0o002 != 0 && !e.immutable {
		w.trees.Count.WorldWritable++
		w.trees.WorldWritable = w.list(w.trees.WorldWritable, e, "every account may write it", false)
	}
	if here.data >= 0 {
		w.lookData(e, here)
		return
	}
	w.owner(e)
	tool := w.tool(e, here)
	w.permissions(e, tool)
	w.writable(e, here)
}

// writable judges what the web user may change. A folder counts when files can be put into it.
func (w *treeWalker) writable(e treeNode, here treePlace) {
	want := uint16(mayWrite)
	if e.kind == unix.S_IFDIR {
		want |= maySeek
	}
	switch {
	case !w.judged || e.immutable || here.readOnly || !here.web:
	case e.may(w.web, want):
		w.trees.Count.WebWritable++
		w.trees.WebWritable = w.list(w.trees.WebWritable, e, w.reason(e), true)
	case e.uid == w.web.uid:
		w.trees.Count.WebWritable++
		w.ownable = w.list(w.ownable, e, w.web.name+" owns it and may chmod it", false)
	}
}

// reason tells by which of its permissions the web user may write.
func (w *treeWalker) reason(e treeNode) string {
	switch {
	case w.web.uid == 0:
		return "the web server runs as root"
	case e.uid == w.web.uid:
		return w.web.name + " owns it"
	case e.acl != nil:
		return "its access control list lets " + w.web.name + " write"
	case w.web.in(e.gid):
		return w.web.name + " is in its group"
	}
	return "every account may write it"
}

// permissions compares the mode with what a sealed application needs, and with what an update needs.
func (w *treeWalker) permissions(e treeNode, tool bool) {
	sealed, update := uint16(0o440), uint16(0o664)
	switch {
	case e.kind == unix.S_IFDIR:
		sealed, update = 0o550, 0o775
	case tool:
		sealed, update = 0o550, 0o774
	}
	t := w.trees
	if e.mode&^sealed != 0 {
		t.Count.Modes++
		t.Modes = w.list(t.Modes, e, fmt.Sprintf("%04o is enough", sealed), false)
	}
	if e.mode&^update != 0 {
		t.Count.BeyondUpdate++
		t.BeyondUpdate = w.list(t.BeyondUpdate, e, fmt.Sprintf("an update needs %04o", update), false)
	}
	if e.mode&0o222 != 0 && !e.immutable {
		t.Count.Unsealed++
		t.Unsealed = w.list(t.Unsealed, e, "its mode lets accounts write", false)
	}
	if !e.flags && w.flagless == "" {
		w.flagless = e.path
	}
	if e.flags && !e.immutable {
		t.Count.NotImmutable++
		t.NotImmutable = w.list(t.NotImmutable, e, "it has no immutable flag", false)
	}
}

// tool notes a file that must stay executable.
func (w *treeWalker) tool(e treeNode, here treePlace) bool {
	if e.kind != unix.S_IFREG {
		return false
	}
	below := strings.TrimPrefix(strings.TrimPrefix(e.path, w.app.Root), "/")
	for _, pattern := range w.tools {
		if ok, err := path.Match(pattern, below); err != nil || !ok {
			continue
		}
		if len(w.trees.Tools) < maxTreeList {
			w.trees.Tools = append(w.trees.Tools, TreeTool{App: w.app.App, Path: e.path, Mode: octalMode(e.mode),
				Executable: here.web && e.mode&0o111 != 0 && e.may(w.web, maySeek), Origin: e.path})
		}
		return true
	}
	return false
}

// owner counts the file for the account that owns it.
func (w *treeWalker) owner(e treeNode) {
	for i := range w.trees.Owners {
		o := &w.trees.Owners[i]
		if o.UID == int64(e.uid) && o.App == w.app.App {
			o.Entries++
			return
		}
	}
	if len(w.trees.Owners) == maxTreeOwners {
		w.unread(fmt.Errorf("more than %d accounts own files", maxTreeOwners))
		return
	}
	w.trees.Owners = append(w.trees.Owners, TreeOwner{App: w.app.App, Owner: w.user(e.uid), UID: int64(e.uid),
		Web: w.judged && e.uid == w.web.uid, Entries: 1, Example: e.path, Origin: w.app.Root})
}

// lookData judges a file or folder in a data folder.
func (w *treeWalker) lookData(e treeNode, here treePlace) {
	d := &w.trees.Data[here.data]
	if !d.Exists { // the folder itself comes first
		d.Exists, d.Mode, d.Owner, d.Web, d.Cron, d.Blocked = true, octalMode(e.mode), w.user(e.uid), true, true, ""
	}
	if e.mode&0o002 != 0 {
		d.World++
	}
	if e.kind != unix.S_IFDIR {
		return
	}
	able := func(who identity, reach bool) bool {
		return reach && !e.immutable && !here.readOnly && e.may(who, mayWrite|maySeek)
	}
	web, cron := able(w.web, here.web), able(w.cron, here.cron)
	if (!web || !cron) && d.Blocked == "" {
		d.Blocked = e.path + " " + octalMode(e.mode) + " " + w.user(e.uid)
		if e.immutable {
			d.Blocked += " immutable"
		}
	}
	d.Web, d.Cron = d.Web && web, d.Cron && cron
}

func (w *treeWalker) list(entries []TreeEntry, e treeNode, why string, now bool) []TreeEntry {
	if len(entries) >= maxTreeList {
		return entries
	}
	group, ok := w.groups[e.gid]
	if !ok {
		group = strconv.FormatUint(uint64(e.gid), 10)
	}
	return append(entries, TreeEntry{App: w.app.App, Path: e.path, Mode: octalMode(e.mode), Owner: w.user(e.uid), Group: group, Now: now, Why: why, Origin: e.path})
}

func (w *treeWalker) user(uid uint32) string {
	if name, ok := w.users[uid]; ok {
		return name
	}
	return strconv.FormatUint(uint64(uid), 10)
}

func octalMode(mode uint16) string { return fmt.Sprintf("%04o", mode) }

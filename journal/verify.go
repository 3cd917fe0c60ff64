package journal

import (
	"context"
	"fmt"
	"strings"

	"golang.org/x/mod/sumdb/tlog"
)

const (
	// pageSize is how many rows are in memory at a time.
	pageSize = 1000
	// maxProblems bounds a report, and the memory of a Verify whose every entry is wrong.
	maxProblems = 100
	// maxSuspects bounds the entries kept to tell a moved one from a changed one.
	maxSuspects = 10_000
)

// Report is what Verify found.
type Report struct {
	// Size is the number of entries that the signed head covers.
	Size int64
	// KeptSize is the number of entries that the kept head covers, -1 when none was given or it could not
	// be believed.
	KeptSize int64
	// Problems says in words what is wrong, an entry or a head each; it is empty for a sound journal. After
	// the first hundred the last line counts the rest.
	Problems []string
}

// OK tells whether the journal is sound.
func (r Report) OK() bool { return len(r.Problems) == 0 }

// Limits says in words what this verification could not see, "" when there is nothing.
func (r Report) Limits() string {
	if r.KeptSize < 0 {
		return "without a head kept elsewhere, entries that were cut off the end together with the head that covered them cannot be noticed"
	}
	if r.KeptSize < r.Size {
		return fmt.Sprintf("the kept head covers %d of %d entries: later ones that were cut off the end together with their head cannot be noticed", r.KeptSize, r.Size)
	}
	return ""
}

// Verify recomputes the journal from its entries and compares it with the stored hashes, the signed head
// and, when keptHead is not empty, with a head that was kept elsewhere. It reads the entries in pages, so
// that its memory does not grow with the journal, and entries may be appended while it runs. The error
// says that the journal could not be read, never that it is wrong: that is in the report.
func (j *Journal) Verify(ctx context.Context, keptHead string) (Report, error) {
	v := &verification{journal: j, recorded: newTree(), actual: newTree(), kept: tlog.Tree{N: -1}}
	if err := v.run(ctx, keptHead); err != nil {
		return Report{}, fmt.Errorf("verify journal: %w", err)
	}
	report := Report{Size: v.size, KeptSize: v.kept.N, Problems: v.problems.lines}
	if v.problems.hidden > 0 {
		report.Problems = append(report.Problems, fmt.Sprintf("and %d more", v.problems.hidden))
	}
	return report, nil
}

// verification is one run of Verify. It grows two trees side by side, one over the leaf hashes as they are
// stored and one over the entries as they are: which of them the head was signed for tells whether hashes
// or entries were changed.
type verification struct {
	journal  *Journal
	head     tlog.Tree // the signed head, when headOK
	headOK   bool
	kept     tlog.Tree // N is -1 without a kept head
	size     int64     // the entries that there should be
	hashes   hashReader
	recorded *tree     // over the stored leaf hashes
	actual   *tree     // over the entries
	suspects []suspect // entries that are not what was recorded in their place
	// Stored hashes that do not belong in the one tree or the other, in words.
	badInRecorded, badInActual problems
	gap                        gap
	problems                   problems
}

// problems is a list of sentences with a cap.
type problems struct {
	lines  []string
	hidden int
}

func (p *problems) add(format string, args ...any) {
	if len(p.lines) == maxProblems {
		p.hidden++
		return
	}
	p.lines = append(p.lines, fmt.Sprintf(format, args...))
}

func (p *problems) join(more problems) {
	for _, line := range more.lines {
		p.add("%s", line)
	}
	p.hidden += more.hidden
}

// suspect is an entry whose content is not the one recorded at its index.
type suspect struct {
	index           int64
	content, stored tlog.Hash
}

func (v *verification) report(format string, args ...any) { v.problems.add(format, args...) }

func (v *verification) run(ctx context.Context, keptHead string) error {
	stock, err := v.takeStock(ctx)
	if err != nil {
		return err
	}
	v.judgeKept(keptHead)
	v.hashes = hashReader{db: v.journal.db}
	if err := v.walk(ctx); err != nil {
		return err
	}
	return v.judgeEnd(stock)
}

// inventory is one consistent look at the three tables.
type inventory struct {
	heads, size                    int64
	note                           string
	entries, firstEntry, lastEntry int64
	hashes, firstHash, lastHash    int64
}

// takeStock reads what is there, decides how many entries there should be and reports what the numbers
// alone show.
func (v *verification) takeStock(ctx context.Context) (inventory, error) {
	var s inventory
	err := v.journal.db.QueryRowContext(ctx, sqlInventory).Scan(&s.heads, &s.size, &s.note,
		&s.entries, &s.firstEntry, &s.lastEntry, &s.hashes, &s.firstHash, &s.lastHash)
	if err != nil {
		return s, fmt.Errorf("take stock: %w", err)
	}
	v.size = min(max(s.size, 0), maxSize)
	if s.heads != 1 || s.size < 0 {
		v.report("head: the row is missing or not the only one (removed or inserted)")
		v.size = s.entries
	}
	if s.note == "" && s.size <= 0 && s.entries == 0 {
		return s, nil // nothing was ever written
	}
	v.head, err = v.journal.openHead(s.note)
	if v.headOK = err == nil; !v.headOK {
		v.report("head: bad signature: %v", err)
		v.size = min(v.size, s.entries) // an unsigned number must not make this walk endless
		return s, nil
	}
	if v.head.N != s.size {
		v.report("head: the head row says %d entries, the signed head %d (changed)", s.size, v.head.N)
	}
	v.size = v.head.N
	return s, nil
}

// judgeKept checks the head that was kept elsewhere, before it is compared with the tree.
func (v *verification) judgeKept(keptHead string) {
	if strings.TrimSpace(keptHead) == "" {
		return
	}
	kept, err := v.journal.openHead(keptHead)
	if err != nil {
		v.report("kept head: bad signature: %v", err)
		return
	}
	v.kept = kept
	if kept.N > v.size {
		v.report("kept head: it covers %d entries and the journal has %d: entries %d to %d were cut off (truncated), or an older database was put back",
			kept.N, v.size, v.size, kept.N-1)
	}
}

// walk reads all entries in order and compares each with the hash recorded in its place.
func (v *verification) walk(ctx context.Context) error {
	next := int64(0)
	for from := int64(0); from < v.size; {
		page, err := v.journal.Entries(ctx, from, pageSize)
		if err != nil {
			return err
		}
		for i := range page {
			e := &page[i]
			if e.Index >= v.size {
				break
			}
			for ; next < e.Index; next++ {
				if err := v.step(ctx, next, nil); err != nil {
					return err
				}
			}
			if err := v.step(ctx, next, e); err != nil {
				return err
			}
			next++
		}
		if len(page) < pageSize {
			break
		}
		from = page[len(page)-1].Index + 1
	}
	for ; next < v.size; next++ {
		if err := v.step(ctx, next, nil); err != nil {
			return err
		}
	}
	v.gap.close(v, v.size)
	return nil
}

// step compares the entry at index (nil: it is missing) with the stored hashes and grows both trees.
func (v *verification) step(ctx context.Context, index int64, e *Entry) error {
	if err := v.compareKept(); err != nil {
		return err
	}
	first := tlog.StoredHashIndex(0, index)
	found, err := v.hashes.take(ctx, first, int(tlog.StoredHashIndex(0, index+1)-first))
	if err != nil {
		return err
	}
	// Where one of the two is missing the other stands in, so that the rest can still be judged. Where both
	// are, the trees cannot come out right, and must not.
	var recorded, actual tlog.Hash
	if e != nil {
		actual = e.leaf()
		recorded = actual
	}
	if found[0] != nil {
		recorded = *found[0]
	}
	if e == nil {
		actual = recorded
		v.gap.open(index)
	} else {
		v.gap.close(v, index)
		v.inspect(e, actual, recorded)
	}
	if err := grow(v.recorded, recorded, found, &v.badInRecorded); err != nil {
		return err
	}
	return grow(v.actual, actual, found, &v.badInActual)
}

func (v *verification) inspect(e *Entry, actual, recorded tlog.Hash) {
	if e.Action == ActionBroken {
		v.report("entry %d: records that the journal had been changed before it was written: %s", e.Index, e.Target)
	}
	if actual == recorded {
		return
	}
	if len(v.suspects) == maxSuspects {
		v.report("entry %d: is not what was recorded (changed)", e.Index)
		return
	}
	v.suspects = append(v.suspects, suspect{e.Index, actual, recorded})
}

// grow adds leaf to t and notes which of the hashes stored for it do not belong in t.
func grow(t *tree, leaf tlog.Hash, found []*tlog.Hash, bad *problems) error {
	index := t.size
	want, err := t.add(leaf)
	if err != nil {
		return err
	}
	for level, hash := range found {
		switch {
		case hash == nil:
			bad.add("entry %d: its stored hash of level %d is missing (removed)", index, level)
		case *hash != want[level]:
			bad.add("entry %d: its stored hash of level %d is not the one of what lies below it (changed)", index, level)
		}
	}
	return nil
}

// compareKept compares the kept head with the trees when they have grown to the kept head's size.
func (v *verification) compareKept() error {
	if v.recorded.size != v.kept.N {
		return nil
	}
	fits, _, err := v.signedFor(v.kept.Hash)
	if err != nil {
		return err
	}
	if !fits {
		v.report("kept head: the first %d entries are not the ones it was signed for (changed, and their hashes with them)", v.kept.N)
	}
	return nil
}

// signedFor tells whether root belongs to either tree, and whether it belongs to the one over the entries.
func (v *verification) signedFor(root tlog.Hash) (either, entries bool, err error) {
	recorded, err := v.recorded.root()
	if err != nil {
		return false, false, err
	}
	actual, err := v.actual.root()
	if err != nil {
		return false, false, err
	}
	return root == recorded || root == actual, root == actual, nil
}

// explainSuspects tells an entry that was moved from one that was changed: what stands in its place was
// recorded in another.
func (v *verification) explainSuspects() {
	recorded := make(map[tlog.Hash]int64, len(v.suspects))
	for _, s := range v.suspects {
		recorded[s.stored] = s.index
	}
	for _, s := range v.suspects {
		if from, ok := recorded[s.content]; ok {
			v.report("entry %d: stands where another was recorded; it was recorded as entry %d (reordered)", s.index, from)
		} else {
			v.report("entry %d: is not what was recorded (changed)", s.index)
		}
	}
}

// judgeEnd compares the whole trees with the heads, decides with that whether entries or hashes were
// changed, and reports rows that no head covers.
func (v *verification) judgeEnd(s inventory) error {
	if err := v.compareKept(); err != nil {
		return err
	}
	either, entries, err := v.signedFor(v.head.Hash)
	if err != nil {
		return err
	}
	if v.headOK && entries {
		v.problems.join(v.badInActual) // the entries are as they were signed: only hashes can be wrong
	} else {
		v.explainSuspects()
		v.problems.join(v.badInRecorded)
	}
	if v.headOK && !either {
		v.report("head: it was not signed for these %d entries (changed or removed, and their hashes with them)", v.size)
	}
	if s.firstEntry < 0 {
		v.report("entries from %d on: stand before the first entry (inserted)", s.firstEntry)
	}
	if s.lastEntry >= v.size {
		v.report("entries %d to %d: no signed head covers them (inserted, or the head is an older one)", v.size, s.lastEntry)
	}
	if want := tlog.StoredHashCount(v.size); s.firstHash < 0 || s.lastHash >= want {
		v.report("hashes %d to %d: no signed head covers them (inserted, or the head is an older one)", min(s.firstHash, want), s.lastHash)
	}
	return nil
}

// gap is a run of missing entries.
type gap struct {
	from    int64
	missing bool
}

func (g *gap) open(index int64) {
	if !g.missing {
		g.from, g.missing = index, true
	}
}

// close reports the run that ends before index, if there is one.
func (g *gap) close(v *verification, index int64) {
	if !g.missing {
		return
	}
	g.missing = false
	switch what := "removed"; {
	case index == v.size:
		what = "removed: truncated"
		fallthrough
	default:
		if index-1 == g.from {
			v.report("entry %d: missing (%s)", g.from, what)
		} else {
			v.report("entries %d to %d: missing (%s)", g.from, index-1, what)
		}
	}
}

package pattern

// Texts names the kind of text that the rarity of bytes is judged by.
type Texts int

// The kinds: what clients send, and HTML pages.
const (
	Requests Texts = iota
	Responses
)

// Needs returns up to three sets. Each text that the expression matches contains at least one member of each set, when
// ASCII letters of the text are taken as lower case; members are lower case. No sets: nothing is known, always run.
// A text with U+017F or U+212A may match without any of them, because Go's (?i) folds them to s and k.
// The sets are the rarest in requests.
func (r *Regexp) Needs() [][]string { return r.NeedsIn(Requests) }

// NeedsIn is Needs with the sets that are rarest in the given kind of texts.
//
// It reads the expression again and is meant for the time of loading.
func (r *Regexp) NeedsIn(texts Texts) [][]string {
	var sets [][]string
	for _, c := range choose(r.clauses(texts)) {
		sets = append(sets, c.texts())
	}
	return sets
}

// clauses returns all that is known, with what hides words told in two ways.
func (r *Regexp) clauses(texts Texts) []clause {
	tree, err := r.tree()
	if err != nil {
		return nil
	}
	rarity := newRarity(texts)
	var all []clause
	a := &analysis{rarity: rarity, bytes: r.bytes}
	for range 2 {
		for _, c := range a.tree(tree).clauses {
			all = append(all, merge(c, rarity))
		}
		if !a.hides {
			break
		}
		a.marks = true
	}
	return all
}

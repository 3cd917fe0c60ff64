package netfilter

import "slices"

// compare splits the addresses of a packet by whether a test holds: for yes it does, for maybe nobody knows.
func (r *run) compare(t test, b branch) (yes, maybe, no spans) {
	if len(t.fields) > 1 {
		return r.compareTuples(t, b)
	}
	s := b.packet.see(t.fields[0])
	switch {
	case s.is == absent:
		return nil, nil, b.set
	case s.is == unsure, t.values.why != "":
		return nil, b.set, nil
	case s.is == nowhere: // the kernel ends the rule, whatever it asks
		return nil, nil, b.set
	case s.is == theirs:
		*r.work -= len(t.values.numbers)
		numbers, known := t.values.numbers, true
		if t.masked {
			numbers, known = widened(numbers, t.mask, b.packet.v6)
		}
		if !known || t.how == anyBit || t.how == noBit || len(t.values.tuples) > 0 {
			return nil, b.set, nil
		}
		yes = b.set.intersect(numbers)
		no = b.set.subtract(numbers)
		if t.how == unequal {
			yes, no = no, yes
		}
		return yes, nil, no
	}
	holds, known := t.holds(s)
	switch {
	case !known:
		return nil, b.set, nil
	case holds:
		return b.set, nil, nil
	}
	return nil, nil, b.set
}

// widened are the addresses that are among numbers once they are masked. Only the mask of a network's prefix is understood.
func widened(numbers spans, mask number, v6 bool) (spans, bool) {
	all := number{0, 1<<32 - 1}
	if v6 {
		all = number{^uint64(0), ^uint64(0)}
	}
	rest := number{all.hi &^ mask.hi, all.lo &^ mask.lo}
	if (rest.and(rest.next()) != number{}) { // other than ones at the end
		return nil, false
	}
	var wide []span
	for _, s := range numbers {
		from := s.from.and(mask)
		if from != s.from { // the network that it lies in begins before it
			from = number{from.hi | rest.hi, from.lo | rest.lo}.next()
		}
		to := s.to.and(mask)
		if to = (number{to.hi | rest.hi, to.lo | rest.lo}); from.compare(to) <= 0 {
			wide = append(wide, span{from, to})
		}
	}
	return tidy(wide), true
}

// holds compares one value that is known.
func (t test) holds(s seen) (holds, known bool) {
	if len(t.values.tuples) > 0 {
		return false, false
	}
	if s.is == aName {
		if len(t.values.numbers) > 0 || t.masked {
			return false, false
		}
		holds = slices.ContainsFunc(t.values.names, func(pattern string) bool { return named(pattern, s.name) })
		return holds == (t.how == equal), t.how == equal || t.how == unequal
	}
	if len(t.values.names) > 0 {
		return false, false
	}
	n := s.n
	if t.masked {
		n = n.and(t.mask)
	}
	switch t.how {
	case equal:
		return t.values.numbers.has(n), true
	case unequal:
		return !t.values.numbers.has(n), true
	}
	if len(t.values.numbers) != 1 || t.values.numbers[0].from != t.values.numbers[0].to {
		return false, false
	}
	set := n.and(t.values.numbers[0].from) != number{}
	return set == (t.how == anyBit), true
}

// compareTuples is compare for concatenations.
func (r *run) compareTuples(t test, b branch) (yes, maybe, no spans) {
	for _, f := range t.fields {
		if s := b.packet.see(f); s.is == absent || s.is == nowhere {
			return nil, nil, b.set
		}
	}
	if t.values.why != "" || t.masked || t.how == anyBit || t.how == noBit || len(t.values.numbers)+len(t.values.names) > 0 {
		return nil, b.set, nil
	}
	*r.work -= len(t.values.tuples)
	var all, unsureOf []span
	for i := range t.values.tuples {
		y, m := r.tuple(t, t.values.tuples[i], b)
		all, unsureOf = append(all, y...), append(unsureOf, m...)
	}
	yes = tidy(all)
	maybe = tidy(unsureOf).subtract(yes)
	no = b.set.subtract(yes).subtract(maybe)
	if t.how == unequal {
		yes, no = no, yes
	}
	return yes, maybe, no
}

// tuple says for which addresses a packet is an element of a concatenation or map.
func (r *run) tuple(t test, e element, b branch) (yes, maybe spans) {
	set, sure := b.set, true
	if len(e.parts) != len(t.fields) {
		return nil, b.set
	}
	for i, f := range t.fields {
		one := test{fields: []string{f}, values: &values{numbers: e.parts[i].numbers, names: e.parts[i].names}}
		if len(t.fields) == 1 {
			one.mask, one.masked = t.mask, t.masked
		}
		y, m, _ := r.compare(one, branch{set, b.packet})
		if len(m) > 0 {
			sure = false
		}
		if set = y.union(m); len(set) == 0 {
			return nil, nil
		}
	}
	if sure {
		return set, nil
	}
	return nil, set
}

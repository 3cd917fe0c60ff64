package seclang

import (
	"strconv"
	"strings"
)

// maxDynamic is how many TX variables the rules may make of a request's names in one transaction; CRS makes one an argument
// at most.
const maxDynamic = 4096

// txVars is the collection TX. The variables that the rules name have their slots since the rules were compiled; those that
// rules make of a request's names are added behind.
type txVars struct {
	slots   []txValue
	known   int // slots of the program; the others are of this transaction
	order   []int32
	dynamic map[string]int32
}

type txValue struct {
	set   bool
	key   string // as it was written
	value string
}

// reset empties the collection.
func (v *txVars) reset() {
	clear(v.slots)
	v.slots = v.slots[:v.known]
	v.order = emptied(v.order)
	if len(v.dynamic) > maxKeptItems {
		v.dynamic = nil
	}
	clear(v.dynamic)
}

func (v *txVars) set(slot int32, key, value string) {
	s := &v.slots[slot]
	if !s.set {
		v.order = append(v.order, slot)
	}
	*s = txValue{set: true, key: key, value: value}
}

func (v *txVars) remove(slot int32) {
	if !v.slots[slot].set {
		return
	}
	v.slots[slot] = txValue{}
	for i, o := range v.order {
		if o == slot {
			v.order = append(v.order[:i], v.order[i+1:]...)
			return
		}
	}
}

// slotNamed finds the slot of a name; make adds it. It is -1 when there is none, or no room for it.
func (t *Transaction) slotNamed(name string, make bool) int32 {
	name = strings.ToLower(name)
	if slot, ok := t.program.names[name]; ok {
		return slot
	}
	v := &t.tx
	if slot, ok := v.dynamic[name]; ok {
		return slot
	}
	if !make {
		return -1
	}
	if len(v.slots)-v.known >= maxDynamic {
		t.Dropped.Variables++
		return -1
	}
	if v.dynamic == nil {
		v.dynamic = map[string]int32{}
	}
	slot := int32(len(v.slots))
	v.slots = append(v.slots, txValue{})
	v.dynamic[name] = slot
	return slot
}

// assign does what setvar says: "+5" and "-5" count, everything else is text. A sum over what is no number changes nothing.
func (t *Transaction) assign(slot int32, key, value string) {
	if slot < 0 {
		return
	}
	if value != "" && (value[0] == '+' || value[0] == '-') {
		by := 0
		if len(value) > 1 {
			n, err := strconv.Atoi(value[1:])
			if err != nil {
				if !strings.HasPrefix(value[1:], "tx.") { // what stayed of a macro without a value counts nothing
					t.tx.set(slot, key, value)
				}
				return
			}
			by = n
		}
		if value[0] == '-' {
			by = -by
		}
		now := 0
		if v := t.tx.slots[slot]; v.set && v.value != "" {
			n, err := strconv.Atoi(v.value)
			if err != nil {
				return
			}
			now = n
		}
		value = strconv.Itoa(now + by)
	}
	t.tx.set(slot, key, value)
}

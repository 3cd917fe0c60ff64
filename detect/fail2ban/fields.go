package fail2ban

import "strings"

// field is a named part of a match.
type field struct {
	name  string
	value string
	set   bool     // it took part
	parts []string // of a value that several groups make together
}

// fields are the named parts of a match, few enough to be looked through.
type fields []field

func (f fields) at(name string) int {
	for i := range f {
		if f[i].name == name {
			return i
		}
	}
	return -1
}

// get is the value of a part and whether it took part.
func (f fields) get(name string) (string, bool) {
	if i := f.at(name); i >= 0 && f[i].set {
		return f[i].value, true
	}
	return "", false
}

func (f *fields) put(name, value string) {
	f.place(field{name: name, value: value, set: true})
}

func (f *fields) place(v field) {
	if i := f.at(v.name); i >= 0 {
		(*f)[i] = v
		return
	}
	*f = append(*f, v)
}

// take removes a part and gives what it was.
func (f fields) take(name string) string {
	i := f.at(name)
	if i < 0 || !f[i].set {
		return ""
	}
	f[i].set = false
	return f[i].value
}

// extend adds a value to a part that is made of several.
func (f *fields) extend(name, value string) {
	i := f.at(name)
	if i < 0 {
		*f = append(*f, field{name: name})
		i = len(*f) - 1
	}
	v := &(*f)[i]
	if v.parts == nil {
		v.parts = []string{v.value}
	}
	v.parts = append(v.parts, value)
	v.set = true
	v.value = "('" + strings.Join(v.parts, "', '") + "')" // as Python shows it
}

// cover puts other over f; what took no part in other takes none any more.
func (f *fields) cover(other fields) {
	for _, v := range other {
		f.place(v)
	}
}

// join puts over f what took part in other.
func (f *fields) join(other fields) {
	for _, v := range other {
		if v.set {
			f.place(v)
		}
	}
}

// kept is a copy of what took part, with long values cut, in the memory of others that are overwritten. own: the values are copied too,
// so that they hold no long line.
func (f fields) kept(memory fields, own bool) fields {
	c := memory[:0]
	if c == nil {
		c = make(fields, 0, len(f)/2+2)
	}
	for _, v := range f {
		if !v.set {
			continue
		}
		if len(v.value) > maxKept {
			v.value = strings.ToValidUTF8(v.value[:maxKept], "")
		}
		if own {
			v.value = strings.Clone(v.value)
		}
		c = append(c, v)
	}
	return c
}

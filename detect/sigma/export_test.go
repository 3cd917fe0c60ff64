package sigma

// WithoutSieve makes the engine ask every rule of an event's logsource, so that tests can compare.
func (e *Engine) WithoutSieve() *Engine {
	e.noSieve = true
	return e
}

// ParseCondition tells whether a condition is one.
func ParseCondition(text string, names []string) error {
	_, err := parseCondition(text, names)
	return err
}

// Groups is how many groups and marks the correlations hold.
func (e *Engine) Groups() (groups, marks int) {
	for _, k := range e.chains {
		groups += len(k.groups)
		marks += k.marks
		counted := 0
		for _, g := range k.groups {
			counted += len(g.marks)
		}
		if counted != k.marks {
			return -1, counted
		}
	}
	return groups, marks
}

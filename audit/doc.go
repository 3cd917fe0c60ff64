// Package audit judges what was read off a host: it holds the controls of the guides as data, evaluates them over the
// facts, takes into account what people have attested and waived, and says for each control how it stands and why.
//
// It knows what a control is, and the types of the facts. It knows nothing of how facts are read (package facts) or
// repaired, nor where reports and records are kept. A control can look at facts and at nothing else: its conditions are
// CEL expressions, checked against the facts' types when they are read.
package audit

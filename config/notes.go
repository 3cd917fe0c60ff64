package config

import (
	"cmp"
	"slices"
)

// Note is something that a guide or a standard asks for and the file does otherwise. It is no mistake.
type Note struct {
	Problem
	Control string `json:"control"` // of the guides (D-05), a standard's section, or choice
}

// String is the note as check prints it.
func (n Note) String() string { return n.Problem.String() + " [" + n.Control + "]" }

// findNotes compares a configuration without problems with what the guides ask; places knows where settings stand.
func (c *Config) findNotes(places *problemList) []Note {
	found, err := c.Auth.Notes(c.sendsMail())
	if err != nil {
		return nil // a defect of the embedded presets, which their own tests find
	}
	var notes []Note
	for _, n := range found {
		where := places.place(n.Path)
		notes = append(notes, Note{Control: n.Control,
			Problem: Problem{File: c.File, Line: where.line, Column: where.column, Path: n.Path, Message: n.Text}})
	}
	slices.SortStableFunc(notes, func(a, b Note) int { return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column)) })
	return notes
}

// sendsMail tells whether the file names a mail server.
func (c *Config) sendsMail() bool { return c.Mail.Enabled() }

package facts

import (
	"context"
	"errors"
	"io/fs"
	"strings"
)

// System is which operating system the host runs.
type System struct {
	ID      string `cel:"id"`      // debian, ubuntu, …, as /etc/os-release has it
	Version string `cel:"version"` // 12; empty on a rolling release
	Name    string `cel:"name"`    // for people
	Live    bool   `cel:"live"`    // the running system, not a folder of files
	Origin  string `cel:"origin"`
}

func collectSystem(_ context.Context, h *Host, _ Target) (System, []Missing) {
	s := System{Live: h.Live()}
	for _, name := range []string{"/etc/os-release", "/usr/lib/os-release"} {
		text, err := h.ReadFile(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return s, missing("%s", because(err))
		}
		s.Origin = name
		for line := range strings.Lines(string(text)) {
			key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
			value = strings.Trim(value, `"'`)
			switch key {
			case "ID":
				s.ID = value
			case "VERSION_ID":
				s.Version = value
			case "PRETTY_NAME":
				s.Name = value
			}
		}
		return s, nil
	}
	return s, missing("there is no /etc/os-release")
}

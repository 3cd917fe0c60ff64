package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/spf13/cobra"
)

// version is set by the linker in release builds (see the Makefile) and never changed by the program.
var version string

// buildVersion is the version to show: the linker's, else the module's, else the commit it was built from.
func buildVersion() (name, commit string) {
	name = version
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return orElse(name, "unknown"), ""
	}
	changed := ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			commit = s.Value
		case s.Key == "vcs.modified" && s.Value == "true":
			changed = "+changes"
		}
	}
	if name == "" && info.Main.Version != "" && info.Main.Version != "(devel)" {
		name = info.Main.Version
	}
	if name == "" && commit != "" {
		name = "devel-" + commit[:min(12, len(commit))] + changed
	}
	return orElse(name, "devel"), commit
}

// builtAt is when the commit was made that this binary is built from, and with it the rules that it brings; zero: that is not known.
func builtAt() time.Time {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return time.Time{}
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.time" {
			if at, err := time.Parse(time.RFC3339, s.Value); err == nil {
				return at
			}
		}
	}
	return time.Time{}
}

func orElse(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

func newVersion(s streams) *cobra.Command {
	c := &cobra.Command{
		Use:   "version",
		Short: "Tell which version this is",
		Args:  exactly(),
	}
	asJSON := jsonFlag(c)
	c.RunE = func(*cobra.Command, []string) error {
		name, commit := buildVersion()
		if *asJSON {
			return writeJSON(s.out, struct {
				Version  string `json:"version"`
				Commit   string `json:"commit,omitempty"`
				Go       string `json:"go"`
				Platform string `json:"platform"`
			}{name, commit, runtime.Version(), runtime.GOOS + "/" + runtime.GOARCH})
		}
		_, err := fmt.Fprintf(s.out, "doorward %s %s %s/%s\n", name, runtime.Version(), runtime.GOOS, runtime.GOARCH)
		return err
	}
	return c
}

// Package crstest reads the regression tests that come with the Core Rule Set. It knows the form of their files, and not how a
// request is sent.
package crstest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"testing"

	crstests "github.com/corazawaf/coraza-coreruleset/v4/tests"
	"github.com/goccy/go-yaml"
)

// Stage is one request of a test and what the test expects.
type Stage struct {
	// Name is the rule, the test and the stage: 942100-1-1.
	Name string `yaml:"-"`
	// File is the file that the test stands in: REQUEST-942-APPLICATION-ATTACK-SQLI/942100.yaml.
	File   string `yaml:"-"`
	Input  Input  `yaml:"input"`
	Output Output `yaml:"output"`
}

// Input is the request. What is nil is left to the runner.
type Input struct {
	Method  *string       `yaml:"method"`
	URI     *string       `yaml:"uri"`
	Version *string       `yaml:"version"`
	Headers yaml.MapSlice `yaml:"headers"` // in their order
	Data    *string       `yaml:"data"`
	// Encoded, if any, is the whole request as bytes, in base64.
	Encoded string `yaml:"encoded_request"`
	// Autocomplete says whether the runner adds the headers that every request has; nil is yes.
	Autocomplete *bool `yaml:"autocomplete_headers"`
}

// Output is what the test expects.
type Output struct {
	Status int  `yaml:"status"`       // 0 is any
	Error  bool `yaml:"expect_error"` // no answer at all is right, too
	Log    struct {
		Expect   []int  `yaml:"expect_ids"`
		Unexpect []int  `yaml:"no_expect_ids"`
		Match    string `yaml:"match_regex"`
		Never    string `yaml:"no_match_regex"`
	} `yaml:"log"`
}

// Stages reads all stages of all tests, in the order of the files. A file that cannot be read ends the test.
func Stages(t testing.TB) []Stage {
	t.Helper()
	var all []Stage
	err := fs.WalkDir(crstests.FS, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(name, ".yaml") {
			return err
		}
		text, err := fs.ReadFile(crstests.FS, name)
		if err != nil {
			return err
		}
		var file struct {
			RuleID int `yaml:"rule_id"`
			Tests  []struct {
				ID     int     `yaml:"test_id"`
				Stages []Stage `yaml:"stages"`
			} `yaml:"tests"`
		}
		if err := yaml.NewDecoder(bytes.NewReader(text)).Decode(&file); err != nil && !errors.Is(err, io.EOF) { // one file holds comments only
			return fmt.Errorf("read %s: %w", name, err)
		}
		for _, c := range file.Tests {
			for i, s := range c.Stages {
				s.Name, s.File = fmt.Sprintf("%d-%d-%d", file.RuleID, c.ID, i+1), name
				all = append(all, s)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 4600 {
		t.Fatalf("read %d stages of the Core Rule Set's tests, want some 4,680", len(all))
	}
	return all
}

// Or is the text, or otherwise where there is none.
func Or(s *string, otherwise string) string {
	if s == nil {
		return otherwise
	}
	return *s
}

package facts

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

const (
	maxTracker         = 512 << 20 // bytes of the file
	maxVulnerabilities = 20_000
)

// Vulnerabilities is what Debian's security tracker says of the installed packages, by a file that the administrator fetches.
type Vulnerabilities struct {
	// Declared says that the administrator names a file. Without it the lists below are empty because nothing was looked up.
	Declared bool      `cel:"declared"`
	Fetched  time.Time `cel:"fetched"` // when the file was last written
	// Fixable have a version in the release that mends them, above the installed one. Open have none yet.
	Fixable []Vulnerability `cel:"fixable"`
	Open    []Vulnerability `cel:"open"`
	Origin  string          `cel:"origin"`
}

// Vulnerability is one hole in one installed source package.
type Vulnerability struct {
	CVE       string `cel:"cve"`
	Source    string `cel:"source"`    // the source package
	Package   string `cel:"package"`   // one of the packages built of it
	Installed string `cel:"installed"` // its version
	Fixed     string `cel:"fixed"`     // the first version without it; empty while there is none
	// Urgency is Debian's word: unimportant, low, medium, high, not yet assigned, end-of-life.
	Urgency string `cel:"urgency"`
	// NoDSA is why Debian makes no update of its own for it; empty where one is or will be made.
	NoDSA  string `cel:"nodsa"`
	Origin string `cel:"origin"`
}

// trackerEntry is what the tracker's file says of one hole in one source package.
type trackerEntry struct {
	Releases map[string]struct {
		Status  string `json:"status"`
		Fixed   string `json:"fixed_version"`
		Urgency string `json:"urgency"`
		NoDSA   string `json:"nodsa"`
	} `json:"releases"`
}

func collectVulnerabilities(ctx context.Context, h *Host, t Target) (Vulnerabilities, []Missing) {
	v := Vulnerabilities{Declared: t.VulnerabilityFile != "", Origin: t.VulnerabilityFile}
	if !v.Declared {
		return v, nil
	}
	all, err := dpkgPackages(h)
	if err != nil {
		return v, missing("%s", because(err))
	}
	table, err := readEOL()
	if err != nil {
		return v, missing("%s", because(err))
	}
	values, _, err := osRelease(h)
	if err != nil {
		return v, missing("%s", because(err))
	}
	release := cmp.Or(values["VERSION_CODENAME"], table.of(values["ID"], values["VERSION_ID"], "").Codename)
	if values["ID"] != "debian" || release == "" {
		return v, missing("the tracker is one of Debian's releases, and this host is %s %s", values["ID"], values["VERSION_ID"])
	}
	bySource := map[string]Package{}
	for _, p := range all {
		if p.Status == "config-files" || p.Status == "not-installed" {
			continue
		}
		// Of several packages of one source, the oldest version counts.
		if old, ok := bySource[p.Source]; !ok || compareDeb(p.SourceVersion, old.SourceVersion) < 0 {
			bySource[p.Source] = p
		}
	}
	if err := v.read(ctx, h, release, bySource); err != nil {
		return v, missing("%s", because(fmt.Errorf("read %s: %w", t.VulnerabilityFile, err)))
	}
	order := func(a, b Vulnerability) int {
		return cmp.Or(strings.Compare(a.Source, b.Source), strings.Compare(a.CVE, b.CVE))
	}
	slices.SortFunc(v.Fixable, order)
	slices.SortFunc(v.Open, order)
	return v, nil
}

// read goes through the file one source package at a time, because the whole is some 100 MB.
func (v *Vulnerabilities) read(ctx context.Context, h *Host, release string, bySource map[string]Package) error {
	f, err := h.stream(v.Origin)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	v.Fetched = info.ModTime().UTC()
	if info.Size() > maxTracker {
		return fmt.Errorf("longer than %d MiB", maxTracker>>20)
	}
	in := json.NewDecoder(io.LimitReader(f, maxTracker))
	if first, err := in.Token(); err != nil || first != json.Delim('{') {
		return errors.Join(errors.New("it is no JSON object"), err)
	}
	sources := 0
	for in.More() {
		if err := ctx.Err(); err != nil {
			return err
		}
		name, err := in.Token()
		if err != nil {
			return err
		}
		source, _ := name.(string)
		p, ok := bySource[source]
		if !ok {
			var skipped json.RawMessage
			if err := in.Decode(&skipped); err != nil {
				return err
			}
			sources++
			continue
		}
		var holes map[string]trackerEntry
		if err := in.Decode(&holes); err != nil {
			return fmt.Errorf("%s: %w", source, err)
		}
		sources++
		for cve, hole := range holes {
			if len(v.Fixable)+len(v.Open) >= maxVulnerabilities {
				return fmt.Errorf("more than %d holes", maxVulnerabilities)
			}
			v.add(cve, hole, release, p)
		}
	}
	if _, err := in.Token(); err != nil { // the closing brace: a torn download lacks it
		return fmt.Errorf("it is torn: %w", err)
	}
	if sources == 0 {
		return errors.New("it is empty")
	}
	return nil
}

func (v *Vulnerabilities) add(cve string, hole trackerEntry, release string, p Package) {
	at, ok := hole.Releases[release]
	if !ok || at.Urgency == "unimportant" {
		return
	}
	one := Vulnerability{CVE: cve, Source: p.Source, Package: p.Name, Installed: p.SourceVersion, Fixed: at.Fixed, Urgency: at.Urgency, NoDSA: at.NoDSA,
		Origin: v.Origin + ": " + p.Source}
	switch {
	case at.Fixed == "0": // never was in this release
	case at.Status == "resolved" && at.Fixed != "":
		if compareDeb(p.SourceVersion, at.Fixed) < 0 {
			v.Fixable = append(v.Fixable, one)
		}
	case at.Status == "open":
		v.Open = append(v.Open, one)
	}
}

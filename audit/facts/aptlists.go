package facts

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"time"
)

const (
	aptLists    = "/var/lib/apt/lists"
	maxLists    = 500
	maxListSize = 512 << 20 // bytes of one list, expanded
)

// AptList is the package list of one archive, as the host last fetched it.
type AptList struct {
	Archive   string    `cel:"archive"`   // of its Release file: suite, or codename where there is none
	Codename  string    `cel:"codename"`  //
	Maker     string    `cel:"maker"`     // the Release file's Origin: Debian, Ubuntu
	Label     string    `cel:"label"`     // Debian-Security
	Component string    `cel:"component"` // main
	Security  bool      `cel:"security"`  // it brings security updates
	Date      time.Time `cel:"date"`      // when the archive made it
	// ValidUntil is when the archive's word ends; zero where the archive does not say.
	ValidUntil time.Time `cel:"valid_until"`
	Expired    bool      `cel:"expired"`
	Origin     string    `cel:"origin"`

	automatic int    // apt's priority of its versions
	host      string // that it was fetched from
	version   string // of the release: 12.5
}

// available is one version of a package that an archive offers.
type available struct {
	version  string
	priority int
	security bool
	list     string
}

// aptLists reads the lists under the root, and of their packages the versions of those that are wanted by name.
func aptAvailable(ctx context.Context, h *Host, wanted map[string]bool) ([]AptList, map[string][]available, error) {
	entries, err := h.ReadDir(aptLists)
	if err != nil {
		return nil, nil, err
	}
	releases := map[string]AptList{}
	var lists []AptList
	offered := map[string][]available{}
	for _, entry := range entries {
		if base := trimAny(entry.Name(), "_InRelease", "_Release"); base != entry.Name() {
			if old, ok := releases[base]; ok && strings.HasSuffix(old.Origin, "_InRelease") {
				continue
			}
			release, err := readRelease(h, path.Join(aptLists, entry.Name()))
			if err != nil {
				return nil, nil, err
			}
			releases[base] = release
		}
	}
	for _, entry := range entries {
		base, compression := entry.Name(), ""
		for _, ending := range []string{".lz4", ".gz", ".xz", ".zst", ".bz2"} {
			if trimmed, ok := strings.CutSuffix(base, ending); ok {
				base, compression = trimmed, ending
			}
		}
		if !strings.HasSuffix(base, "_Packages") {
			continue
		}
		if len(lists) == maxLists {
			return nil, nil, fmt.Errorf("read %s: more than %d lists", aptLists, maxLists)
		}
		list := releaseOf(releases, base)
		list.Origin = path.Join(aptLists, entry.Name())
		list.host, _, _ = strings.Cut(base, "_")
		if err := readList(ctx, h, list, compression, wanted, offered); err != nil {
			return nil, nil, fmt.Errorf("read %s: %w", list.Origin, err)
		}
		lists = append(lists, list)
	}
	return lists, offered, nil
}

func trimAny(s string, endings ...string) string {
	for _, ending := range endings {
		if trimmed, ok := strings.CutSuffix(s, ending); ok {
			return trimmed
		}
	}
	return s
}

// releaseOf finds the Release file that a list belongs to: HOST_dists_SUITE_COMPONENT_binary-ARCH_Packages.
func releaseOf(releases map[string]AptList, name string) AptList {
	best := ""
	for base := range releases {
		if strings.HasPrefix(name, base+"_") && len(base) > len(best) {
			best = base
		}
	}
	list := releases[best]
	if rest := strings.TrimPrefix(name, best+"_"); best != "" {
		list.Component, _, _ = strings.Cut(rest, "_")
	} else {
		list.automatic = 500
	}
	return list
}

func readRelease(h *Host, name string) (AptList, error) {
	list := AptList{Origin: name, automatic: 500}
	f, err := h.stream(name)
	if err != nil {
		return list, err
	}
	defer f.Close()
	signed := true // an InRelease file begins with a stanza of its signature: "Hash: SHA256"
	err = stanzas(io.LimitReader(f, maxFile), []string{"Origin", "Label", "Suite", "Codename", "Date", "Valid-Until", "NotAutomatic", "ButAutomaticUpgrades", "Version"},
		func(f map[string]string, _ int) bool {
			if f["Suite"] == "" && f["Codename"] == "" && f["Date"] == "" && signed {
				signed = false
				return true
			}
			list.Maker, list.Label, list.Archive, list.Codename = f["Origin"], f["Label"], f["Suite"], f["Codename"]
			list.version = f["Version"]
			list.Date, list.ValidUntil = releaseTime(f["Date"]), releaseTime(f["Valid-Until"])
			switch {
			case f["NotAutomatic"] == "yes" && f["ButAutomaticUpgrades"] == "yes":
				list.automatic = 100
			case f["NotAutomatic"] == "yes":
				list.automatic = 1
			}
			return false
		})
	list.Security = strings.HasSuffix(list.Label, "-Security") || strings.HasSuffix(list.Archive, "-security") || strings.HasSuffix(list.Codename, "-security")
	return list, err
}

// releaseTime reads a time of a Release file; one that says nothing is zero.
func releaseTime(text string) time.Time {
	for _, layout := range []string{time.RFC1123, "Mon, _2 Jan 2006 15:04:05 MST", time.RFC1123Z} {
		if t, err := time.Parse(layout, text); err == nil {
			return t.UTC()
		}
	}
	return time.Time{}
}

func readList(ctx context.Context, h *Host, list AptList, compression string, wanted map[string]bool, offered map[string][]available) error {
	f, err := h.stream(list.Origin)
	if err != nil {
		return err
	}
	defer f.Close()
	var text io.Reader = f
	switch compression {
	case "":
	case ".lz4":
		text = &lz4Reader{in: f}
	case ".gz":
		zipped, err := gzip.NewReader(f)
		if err != nil {
			return err
		}
		text = zipped
	default:
		return fmt.Errorf("lists in %s are not read: use Acquire::GzipIndexes \"false\"", compression)
	}
	limited := &io.LimitedReader{R: text, N: maxListSize}
	err = stanzas(limited, []string{"Package", "Version"}, func(f map[string]string, _ int) bool {
		if wanted[f["Package"]] && len(offered[f["Package"]]) < 200 {
			offered[f["Package"]] = append(offered[f["Package"]], available{f["Version"], list.automatic, list.Security, list.Origin})
		}
		return ctx.Err() == nil
	})
	if limited.N == 0 {
		return fmt.Errorf("longer than %d MiB", maxListSize>>20)
	}
	return errors.Join(err, ctx.Err())
}

// stream opens a regular file to be read as a whole, for those that are longer than ReadFile takes.
func (h *Host) stream(name string) (*os.File, error) {
	f, err := h.open(name, os.O_RDONLY)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = &fs.PathError{Op: "read", Path: name, Err: errors.New("not a regular file")}
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// candidate is the version that apt would upgrade to, by its rules without pins: never a lower one, among the others
// those of the highest priority, among them the highest. What is installed has the priority of where it came from, 100 at
// least. ok says that there is one above what is installed.
func candidate(installed string, offers []available) (best available, ok bool) {
	best = available{version: installed, priority: 100}
	for _, o := range offers {
		if compareDeb(o.version, installed) == 0 {
			best.priority = max(best.priority, o.priority)
		}
	}
	for _, o := range offers {
		above := compareDeb(o.version, installed)
		if above <= 0 {
			continue
		}
		if o.priority > best.priority || o.priority == best.priority && compareDeb(o.version, best.version) > 0 {
			best, ok = o, true
		}
	}
	return best, ok
}

// securityAbove says whether a security archive offers a version above the installed one.
func securityAbove(installed string, offers []available) bool {
	return slices.ContainsFunc(offers, func(o available) bool { return o.security && compareDeb(o.version, installed) > 0 })
}

package report

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/doorward/doorward/wholefile"
)

const (
	maxReport = 32 << 20 // bytes of one kept report
	// keepRuns is how many reports of a profile are kept: a daily audit, for a quarter.
	keepRuns = 92
	stamp    = "20060102T150405.000Z"
)

// Spool is the folder of the reports of earlier runs, a JSON file each. Only root writes there; the daemon's group reads.
type Spool struct{ dir string }

// Run is one kept report.
type Run struct {
	Profile string    `json:"profile"`
	Time    time.Time `json:"time"`
	File    string    `json:"file"`
}

var runName = regexp.MustCompile(`^([a-z][a-z0-9-]{0,40})_([0-9]{8}T[0-9]{6}\.[0-9]{3}Z)\.json$`)

// MakeSpool opens the folder, and makes it where it is missing. Its parent has to exist.
func MakeSpool(dir string) (*Spool, error) {
	if err := os.Mkdir(dir, 0o750); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("make the folder of reports: %w", err)
	}
	return OpenSpool(dir)
}

// OpenSpool opens the folder. One that others can write in is refused: reports are compared with, and believed.
func OpenSpool(dir string) (*Spool, error) {
	info, err := os.Lstat(dir)
	if err != nil {
		return nil, fmt.Errorf("open the folder of reports: %w", err)
	}
	if !info.IsDir() {
		return nil, fmt.Errorf("open the folder of reports: %s is no folder", dir)
	}
	if info.Mode().Perm()&0o022 != 0 {
		return nil, fmt.Errorf("open the folder of reports: others can write in %s; run: chmod go-w %s", dir, dir)
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok && st.Uid != 0 && int(st.Uid) != os.Geteuid() {
		return nil, fmt.Errorf("open the folder of reports: %s belongs to account %d, which could forge them; run: chown root %s", dir, st.Uid, dir)
	}
	return &Spool{dir}, nil
}

// Runs lists what is kept of a profile, or of all when it is empty, the newest first.
func (s *Spool) Runs(profile string) ([]Run, error) {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return nil, fmt.Errorf("list reports: %w", err)
	}
	runs := []Run{}
	for _, e := range entries {
		m := runName.FindStringSubmatch(e.Name())
		if m == nil || profile != "" && m[1] != profile {
			continue
		}
		at, err := time.Parse(stamp, m[2])
		if err != nil {
			continue
		}
		runs = append(runs, Run{m[1], at, filepath.Join(s.dir, e.Name())})
	}
	slices.SortFunc(runs, func(a, b Run) int {
		if c := b.Time.Compare(a.Time); c != 0 {
			return c
		}
		return strings.Compare(a.Profile, b.Profile)
	})
	return runs, nil
}

// Last returns the newest report of a profile, and nil when there is none.
func (s *Spool) Last(profile string) (*Report, error) {
	runs, err := s.Runs(profile)
	if err != nil || len(runs) == 0 {
		return nil, err
	}
	return s.Read(runs[0])
}

// Read returns one kept report.
func (s *Spool) Read(run Run) (*Report, error) {
	f, err := os.OpenFile(run.File, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0) // a link or a FIFO is none of ours
	if err != nil {
		return nil, fmt.Errorf("read report: %w", err)
	}
	defer f.Close()
	var r Report
	if err := json.NewDecoder(io.LimitReader(f, maxReport)).Decode(&r); err != nil {
		return nil, fmt.Errorf("read report %s: %w", run.File, err)
	}
	return &r, nil
}

// share gives the file the folder's group, so that who may read the folder reads the report as well, whoever started the audit.
func (s *Spool) share(f *os.File) error {
	folder, err1 := os.Stat(s.dir)
	file, err2 := f.Stat()
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	want, ok1 := folder.Sys().(*syscall.Stat_t)
	have, ok2 := file.Sys().(*syscall.Stat_t)
	if !ok1 || !ok2 || want.Gid == have.Gid {
		return nil
	}
	if err := f.Chown(-1, int(want.Gid)); err != nil && !errors.Is(err, fs.ErrPermission) {
		return err
	}
	return nil
}

// Keep writes the report whole or not at all, and removes those of its profile that are too many.
func (s *Spool) Keep(r Report) error {
	name := filepath.Join(s.dir, r.Profile+"_"+r.Time.UTC().Format(stamp)+".json")
	err := wholefile.ReplaceBy(name, 0o640, func(f *os.File) error {
		return errors.Join(json.NewEncoder(f).Encode(r), s.share(f))
	})
	if err != nil {
		return fmt.Errorf("keep report: %w", err)
	}
	runs, err := s.Runs(r.Profile)
	if err != nil {
		return err
	}
	for _, old := range runs[min(len(runs), keepRuns):] {
		if err := os.Remove(old.File); err != nil {
			return fmt.Errorf("remove an old report: %w", err)
		}
	}
	return nil
}

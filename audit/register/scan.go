package register

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/doorward/doorward/audit/scan"
	"github.com/doorward/doorward/store"
)

const (
	maxScans  = 1000 // in the store
	keepScans = 10   // of one tool and the same targets: the newest
	maxPlace  = 300  // bytes of a target, location or title
)

var (
	findingID = regexp.MustCompile(`^[0-9a-f]{32}$`)
	sum256    = regexp.MustCompile(`^[0-9a-f]{64}$`)
)

// AddScan keeps what a scanner found, and returns it with its id. Of one tool and the same targets the newest ten are kept. The same
// file is refused a second time.
func (r *Register) AddScan(ctx context.Context, by Actor, s scan.Import, now time.Time) (scan.Import, error) {
	s.Made, s.By = now.UTC().Truncate(time.Microsecond), by.Name
	s.Time, s.Until = s.Time.UTC().Truncate(time.Second), s.Until.UTC().Truncate(time.Second)
	s.File = strings.TrimSpace(store.Text(path.Base(s.File)))
	if err := checkScan(s, now); err != nil {
		return scan.Import{}, err
	}
	targets, err1 := json.Marshal(s.Targets)
	counts, err2 := json.Marshal(s.Counts)
	findings, err3 := json.Marshal(s.Findings)
	if err := errors.Join(err1, err2, err3); err != nil {
		return scan.Import{}, fmt.Errorf("write scan: %w", err)
	}
	err := r.db.Write(ctx, func(tx *sql.Tx) error {
		var same int
		if err := tx.QueryRowContext(ctx, sqlSameScan, s.SHA256, string(targets)).Scan(&same); err != nil {
			return fmt.Errorf("look for the same scan: %w", err)
		}
		if same > 0 {
			return &InputError{"file", "was imported already"}
		}
		if err := room(ctx, tx, sqlCountScans, maxScans); err != nil {
			return err
		}
		var err error
		if s.ID, err = store.NewID(); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, sqlInsertScan, s.ID, s.Kind, s.Tool, s.Version, s.Format, string(targets), s.Scope, store.Micros(s.Time),
			truth(s.Stated), string(counts), string(findings), s.File, s.Size, s.SHA256, store.Micros(s.Made), store.Micros(s.Until), s.By); err != nil {
			return fmt.Errorf("insert scan: %w", err)
		}
		if _, err := tx.ExecContext(ctx, sqlPruneScans, s.Kind, s.Tool, string(targets), keepScans-1); err != nil {
			return fmt.Errorf("remove old scans: %w", err)
		}
		noted := s
		noted.Findings = nil // the journal keeps what was imported, not what it said
		return r.note(ctx, tx, by, "audit.scan", s.ID, noted)
	})
	if err != nil {
		return scan.Import{}, fmt.Errorf("add scan: %w", err)
	}
	return s, nil
}

func truth(b bool) int {
	if b {
		return 1
	}
	return 0
}

// checkScan judges what a command made of a file: the command is trusted no more than the file.
func checkScan(s scan.Import, now time.Time) error {
	short := func(most int, texts ...string) bool {
		return !slices.ContainsFunc(texts, func(t string) bool { return len(t) > most || store.Text(t) != t })
	}
	switch {
	case !slices.Contains(scan.Kinds(), s.Kind):
		return &InputError{"kind", "has to be network, vulnerability, web or code"}
	case s.Tool == "" || !short(maxPlace, s.Tool, s.Version, s.Format, s.Scope, s.File):
		return &InputError{"tool", "is missing, or it, the version, the scope or the file's name is too long"}
	case len(s.Targets) == 0 || len(s.Targets) > scan.MaxTargets || !short(maxPlace, s.Targets...):
		return &InputError{"targets", fmt.Sprintf("have to be 1 to %d, of at most %d bytes each", scan.MaxTargets, maxPlace)}
	case s.Time.Year() < 2000 || s.Time.After(now.Add(scan.Skew)):
		return &InputError{"time", "has to be when the scan was, and cannot be in the future"}
	case s.Until.Before(s.Time) || s.Until.Sub(now) > longest:
		return &InputError{"until", "has to be after the scan, and within three years"}
	case !sum256.MatchString(s.SHA256) || s.Size <= 0:
		return &InputError{"sha256", "and size have to be those of the file"}
	case len(s.Findings) > scan.MaxFindings:
		return &InputError{"findings", fmt.Sprintf("are more than %d", scan.MaxFindings)}
	}
	kept := map[scan.Severity]int{}
	for _, f := range s.Findings {
		if !findingID.MatchString(f.ID) || f.Severity.Rank() < 0 || !short(maxPlace, f.Rule, f.Location, f.Title) {
			return &InputError{"findings", "have one that is not as it has to be"}
		}
		kept[f.Severity]++
	}
	for _, severity := range scan.Severities() {
		if n := s.Counts.Of(severity); n < kept[severity] || n < 0 {
			return &InputError{"counts", "are less than the findings"}
		}
	}
	return nil
}

// Scans lists all, the latest scan first, without their findings.
func (r *Register) Scans(ctx context.Context) ([]scan.Import, error) {
	rows, err := r.db.QueryContext(ctx, sqlScans, maxScans)
	if err != nil {
		return nil, fmt.Errorf("list scans: %w", err)
	}
	defer rows.Close()
	all := []scan.Import{}
	for rows.Next() {
		s, err := readScan(rows)
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, rows.Err()
}

// Scan returns one scan with its findings. ErrNotFound: there is none of that id.
func (r *Register) Scan(ctx context.Context, id string) (scan.Import, error) {
	s, err := readScan(r.db.QueryRowContext(ctx, sqlScan, id))
	if errors.Is(err, sql.ErrNoRows) {
		return scan.Import{}, ErrNotFound
	}
	return s, err
}

func readScan(row interface{ Scan(...any) error }) (scan.Import, error) {
	var s scan.Import
	var targets, counts, findings string
	var at, made, until int64
	var stated int
	if err := row.Scan(&s.ID, &s.Kind, &s.Tool, &s.Version, &s.Format, &targets, &s.Scope, &at, &stated, &counts, &findings, &s.File, &s.Size, &s.SHA256,
		&made, &until, &s.By); err != nil {
		return scan.Import{}, fmt.Errorf("read scan: %w", err)
	}
	s.Time, s.Made, s.Until, s.Stated = store.FromMicros(at), store.FromMicros(made), store.FromMicros(until), stated != 0
	err := errors.Join(json.Unmarshal([]byte(targets), &s.Targets), json.Unmarshal([]byte(counts), &s.Counts))
	if findings != "" {
		err = errors.Join(err, json.Unmarshal([]byte(findings), &s.Findings))
	}
	if err != nil {
		return scan.Import{}, fmt.Errorf("read scan %s: %w", s.ID, err)
	}
	return s, nil
}

// RemoveScan takes an import back. ErrNotFound: there is none of that id.
func (r *Register) RemoveScan(ctx context.Context, by Actor, id string) error {
	err := r.db.Write(ctx, func(tx *sql.Tx) error {
		if err := changed(tx.ExecContext(ctx, sqlRemoveScan, id)); err != nil {
			return err
		}
		return r.note(ctx, tx, by, "audit.scan-remove", id, nil)
	})
	if err != nil {
		return fmt.Errorf("remove scan: %w", err)
	}
	return nil
}

package facts

import (
	"cmp"
	"context"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"strings"
	"time"
)

const (
	maxBackupFiles = 50_000
	maxBackupDepth = 6
)

// Backups is what saves the host's data, and whether that has been tried the other way round.
type Backups struct {
	// Tools are the backup programs that are installed.
	Tools []Setting `cel:"tools"`
	// Jobs are those that cron or a timer runs.
	Jobs []BackupJob `cel:"jobs"`
	// Declared are the folders in which the administrator says that backups arrive.
	Declared []BackupState `cel:"declared"`
}

// BackupJob is a command that saves, or checks what was saved.
type BackupJob struct {
	Tool     string `cel:"tool"`
	Every    string `cel:"every"` // daily, or the schedule
	Restores bool   `cel:"restores"`
	// OffHost says that the command names another host or an object store.
	OffHost bool   `cel:"off_host"`
	Origin  string `cel:"origin"`
}

// BackupState is a declared folder as it is.
type BackupState struct {
	Folder  string    `cel:"folder"`
	Kind    string    `cel:"kind"` // restic, borg, or files
	Present bool      `cel:"present"`
	Last    time.Time `cel:"last"`  // of the newest backup
	Bytes   int64     `cel:"bytes"` // of the newest file
	// Fresh says that the last backup is no older than the administrator allows.
	Fresh bool `cel:"fresh"`
	// Drill is when a restore was last tried; DrillFresh that it is not too long ago.
	Drill      time.Time `cel:"drill"`
	DrillFresh bool      `cel:"drill_fresh"`
	// Encrypted says that the repository is encrypted by its tool.
	Encrypted bool   `cel:"encrypted"`
	Origin    string `cel:"origin"`
}

var backupCommands = []struct {
	tool     string
	pattern  *regexp.Regexp
	restores *regexp.Regexp
}{
	{"restic", regexp.MustCompile(`\brestic\b[^\n]*\bbackup\b|resticprofile|autorestic`), regexp.MustCompile(`\brestic\b[^\n]*\brestore\b`)},
	{"borg", regexp.MustCompile(`\bborg\b[^\n]*\bcreate\b|\bborgmatic\b`), regexp.MustCompile(`\bborg\b[^\n]*\bextract\b|borgmatic[^\n]*\bextract\b`)},
	{"duplicity", regexp.MustCompile(`\bduplicity\b|\bduply\b`), regexp.MustCompile(`\bduplicity\b[^\n]*\b(?:restore|verify)\b`)},
	{"rsnapshot", regexp.MustCompile(`\brsnapshot\b`), nil},
	{"rdiff-backup", regexp.MustCompile(`\brdiff-backup\b`), nil},
	{"kopia", regexp.MustCompile(`\bkopia\b[^\n]*\bsnapshot\b`), regexp.MustCompile(`\bkopia\b[^\n]*\brestore\b`)},
	{"database dump", regexp.MustCompile(`\b(?:mysqldump|mariadb-dump|pg_dump|pg_dumpall|pg_basebackup|mariabackup|xtrabackup|automysqlbackup|autopostgresqlbackup|mydumper|pgbackrest|barman)\b`), regexp.MustCompile(`\bpg_restore\b`)},
	{"backupninja", regexp.MustCompile(`\bbackupninja\b`), nil},
	{"rsync", regexp.MustCompile(`\brsync\b[^\n]*(?i:backup)`), nil},
	{"tar", regexp.MustCompile(`\btar\b[^\n]*(?i:backup)`), nil},
}

var otherHost = regexp.MustCompile(`(?:sftp|s3|b2|azure|gs|swift|rest|rclone|ssh|scp|rsync|webdavs?|boto3\+s3)s?:[^\s]|\b[\w.-]+@[\w.-]+:`)

func collectBackups(ctx context.Context, h *Host, t Target) (Backups, []Missing) {
	var b Backups
	for _, name := range []string{"restic", "borg", "borgmatic", "duplicity", "rsnapshot", "rdiff-backup", "kopia", "backupninja", "bacula-fd", "bareos-fd", "pgbackrest", "barman", "mariabackup", "mariadb-backup"} {
		if program := h.Look("/usr/bin/"+name, "/usr/local/bin/"+name, "/usr/sbin/"+name); program != "" {
			b.Tools = append(b.Tools, Setting{name, program})
		}
	}
	for _, declared := range t.Backups {
		state, err := backupState(ctx, h, declared, t.Now)
		if err != nil {
			return b, missing("%s", because(err))
		}
		b.Declared = append(b.Declared, state)
	}
	jobs, err := readJobs(h)
	if err != nil {
		return b, []Missing{{"jobs", because(err)}}
	}
	for _, j := range jobs {
		// Debian's own jobs that copy dpkg's and passwd's files are no backups of anybody's data.
		if base := path.Base(j.origin); base == "dpkg" || base == "dpkg-db-backup.timer" || base == "passwd" {
			continue
		}
		text := withScript(h, j.text)
		for _, c := range backupCommands {
			restores := c.restores != nil && c.restores.MatchString(text)
			if c.pattern.MatchString(text) || restores {
				b.Jobs = append(b.Jobs, BackupJob{Tool: c.tool, Every: j.every, Restores: restores, OffHost: otherHost.MatchString(text), Origin: j.origin})
			}
		}
	}
	units := unitFiles{h: h}
	for _, agent := range []string{"bacula-fd.service", "bareos-filedaemon.service", "urbackupclientbackend.service", "veeamservice.service"} {
		if by := units.enabledBy(agent); by != "" {
			b.Jobs = append(b.Jobs, BackupJob{Tool: strings.TrimSuffix(agent, ".service"), Every: "its server's schedule", OffHost: true, Origin: by})
		}
	}
	return b, nil
}

var absoluteScript = regexp.MustCompile(`(?:^|[\s;&|=-])(/[\w./@+-]+)`)

// withScript adds to a command the scripts that it names, one level deep.
func withScript(h *Host, text string) string {
	all := text
	for _, m := range absoluteScript.FindAllStringSubmatch(text, 5) {
		info, err := h.Stat(m[1])
		if err != nil || !info.Mode().IsRegular() || info.Size() > maxScript || info.Mode()&0o111 == 0 {
			continue
		}
		script, err := h.ReadFile(m[1])
		if err == nil && strings.HasPrefix(string(script), "#!") {
			all += "\n" + withoutComments(string(script))
		}
	}
	return all
}

func backupState(ctx context.Context, h *Host, b Backup, now time.Time) (BackupState, error) {
	s := BackupState{Folder: b.Folder, Kind: "files", Origin: b.Folder}
	s.Present = h.Exists(b.Folder)
	look, depth := b.Folder, maxBackupDepth
	switch {
	case h.Exists(path.Join(b.Folder, "snapshots")) && h.Exists(path.Join(b.Folder, "keys")) && h.Exists(path.Join(b.Folder, "config")):
		s.Kind, s.Encrypted, look, depth = "restic", true, path.Join(b.Folder, "snapshots"), 1
	case h.Exists(path.Join(b.Folder, "README")) && h.Exists(path.Join(b.Folder, "data")) && h.Exists(path.Join(b.Folder, "config")):
		s.Kind, depth = "borg", 1 // of its top: the index is written last
		text, err := h.ReadFile(path.Join(b.Folder, "config"))
		s.Encrypted = err == nil && strings.Contains(string(text), "\nkey =")
	}
	if s.Present {
		seen := 0
		if err := s.walk(ctx, h, look, depth, &seen); err != nil {
			return s, err
		}
	}
	s.Fresh = !s.Last.IsZero() && s.Bytes > 0 && now.Sub(s.Last) <= cmp.Or(b.Within, 26*time.Hour)
	if b.Drill != "" {
		s.Drill, _ = modified(h, b.Drill)
		s.DrillFresh = !s.Drill.IsZero() && now.Sub(s.Drill) <= cmp.Or(b.DrillWithin, 92*24*time.Hour)
	}
	return s, nil
}

// walk finds the newest file.
func (s *BackupState) walk(ctx context.Context, h *Host, folder string, depth int, seen *int) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	entries, err := h.ReadDir(folder)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if *seen++; *seen > maxBackupFiles {
			return fmt.Errorf("%s: more than %d files: name the folder that the newest backups are in", s.Folder, maxBackupFiles)
		}
		name := path.Join(folder, entry.Name())
		switch {
		case entry.Type() == fs.ModeDir && depth > 1:
			if err := s.walk(ctx, h, name, depth-1, seen); err != nil {
				return err
			}
		case entry.Type().IsRegular():
			info, err := h.Stat(name) // entry.Info would look outside the root
			if err != nil {           // it went away meanwhile
				continue
			}
			if at := info.ModTime().UTC(); at.After(s.Last) {
				s.Last, s.Bytes, s.Origin = at, info.Size(), name
			}
		}
	}
	return nil
}

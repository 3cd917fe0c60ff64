package facts

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

// Canaries is what the web server does with files that the audit puts into declared folders of data.
type Canaries struct {
	Files []CanaryFile `cel:"files"`
	// Complete is true. It is missing, with the reason, when a file could not be put into a declared folder or asked for.
	Complete bool `cel:"complete"`
}

// CanaryFile is one file that was put there, asked for and removed.
type CanaryFile struct {
	URL    string `cel:"url"`
	Folder string `cel:"folder"`
	Kind   string `cel:"kind"` // txt or php
	Status int    `cel:"status"`
	// Served says that the file's text came, Executed that its program ran.
	Served   bool   `cel:"served"`
	Executed bool   `cel:"executed"`
	Origin   string `cel:"origin"`
}

func collectCanaries(ctx context.Context, h *Host, t Target) (Canaries, []Missing) {
	if !h.Live() {
		return Canaries{}, missing("%s", ErrNotLive)
	}
	if len(t.Canaries) == 0 {
		return Canaries{}, missing("no folder is declared into which the audit may put a file (audit.canaries)")
	}
	if len(t.Canaries) > maxTargets {
		return Canaries{}, missing("audit.canaries has more than %d", maxTargets)
	}
	p, err := newProber(t)
	if err != nil {
		return Canaries{}, missing("%s", err)
	}
	type drop struct {
		Canary
		kind string
	}
	var drops []drop
	var names []string
	for _, c := range t.Canaries {
		for _, kind := range []string{"txt", "php"} {
			drops, names = append(drops, drop{c, kind}), append(names, c.Folder+" ("+kind+")")
		}
	}
	files, gone := sift(side(probesAtOnce, drops, func(d drop) looked[CanaryFile] {
		f, err := p.canary(ctx, h, d.Canary, d.kind)
		return looked[CanaryFile]{f, err}
	}), names)
	return Canaries{files, true}, gone
}

// canary puts one file there, asks for it and removes it. The product of two numbers is in no file: whoever answers it has
// executed the program.
func (p *prober) canary(ctx context.Context, h *Host, c Canary, kind string) (file CanaryFile, err error) {
	e, err := parseEndpoint(c.URL, map[string]string{"https": "443", "http": "80"})
	if err != nil {
		return file, fmt.Errorf("audit.canaries: %q: %w", c.URL, err)
	}
	random := make([]byte, 8)
	if _, err := rand.Read(random); err != nil {
		return file, err
	}
	a, b := 1_000_003+int(random[0]), 1_000_033+int(random[1])
	token := fmt.Sprintf("doorward-canary-%x", random)
	text := token + " put here by doorward audit to see whether the web server shows it; it may be removed\n"
	if kind == "php" {
		text = fmt.Sprintf("<?php /* %s */ echo %d * %d;\n", strings.TrimSpace(text), a, b)
	}
	name := path.Join(c.Folder, token+"."+kind)
	if err := h.drop(name, []byte(text)); err != nil {
		return file, err
	}
	defer func() {
		if gone := h.remove(name); gone != nil {
			err = errors.Join(err, fmt.Errorf("remove the canary: %w", gone))
		}
	}()
	address, err := url.JoinPath(c.URL, path.Base(name))
	if err != nil {
		return file, err
	}
	s := newSiteProbe(p, e)
	defer s.client.CloseIdleConnections()
	r, err := s.ask(ctx, "GET", address)
	if err != nil {
		return file, err
	}
	return CanaryFile{URL: c.URL, Folder: c.Folder, Kind: kind, Status: r.status, Origin: "GET " + address,
		Served:   bytes.Contains(r.text, []byte("put here by doorward audit")),
		Executed: bytes.Contains(r.text, fmt.Append(nil, a*b))}, nil
}

// drop makes a new file that everybody may read. It follows no link on the way: a folder of data belongs to the application,
// which must not be able to lead a process of root elsewhere.
func (h *Host) drop(name string, text []byte) error {
	how := unix.OpenHow{Flags: unix.O_WRONLY | unix.O_CREAT | unix.O_EXCL | unix.O_CLOEXEC | unix.O_NOFOLLOW, Mode: 0o644,
		Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_SYMLINKS}
	fd, err := unix.Openat2(int(h.top.Fd()), path.Clean("/"+name), &how)
	if err != nil {
		return &fs.PathError{Op: "make", Path: name, Err: err}
	}
	f := os.NewFile(uintptr(fd), name)
	_, err = f.Write(text)
	// The audit's umask must not decide whether the web server could read the file.
	return errors.Join(err, f.Chmod(0o644), f.Close())
}

// remove takes away what drop made, again without following links.
func (h *Host) remove(name string) error {
	how := unix.OpenHow{Flags: unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_SYMLINKS}
	dir, err := unix.Openat2(int(h.top.Fd()), path.Dir(path.Clean("/"+name)), &how)
	if err != nil {
		return &fs.PathError{Op: "remove", Path: name, Err: err}
	}
	defer unix.Close(dir)
	return unix.Unlinkat(dir, path.Base(name), 0)
}

package config

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/doorward/doorward/detect"
	"github.com/doorward/doorward/gateway"
	"github.com/doorward/doorward/geo"
)

// maxNamedFile bounds what is read of a file that the configuration names; a bundle of every public
// authority has a quarter of it. Only revocation lists grow beyond it.
const maxNamedFile = 1 << 20

// checkFiles judges what the configuration names in the file system, as the user who runs the check.
func checkFiles(c *Config, problems, warnings *problemList) {
	if problems.broken {
		return
	}
	checkDataDir(c.DataDir, problems.report)
	readable := make(map[string][]byte) // by setting
	for _, use := range c.fileUses() {
		switch {
		case *use.file == "" || problems.has(use.path):
		case strings.HasPrefix(*use.file, credentialPrefix):
			warnings.report(use.path, "%s is only there while systemd runs the service, so it was not looked at", *use.file)
		case use.path == geoDatabase:
			checkGeo(c.Geo, time.Now(), problems.report, warnings.report)
		default:
			if text, ok := checkFile(use, problems.report); ok {
				readable[use.path] = text
			}
		}
		if strings.HasSuffix(use.path, "ca_file") && readable[use.path] != nil && !x509.NewCertPool().AppendCertsFromPEM(readable[use.path]) {
			problems.report(use.path, "%s holds no PEM certificate", *use.file)
		}
	}
	if err := detect.Check(c.Watch); err != nil && !problems.has("watch.overrides") {
		problems.report("watch", "%v", err)
	}
	for i, s := range c.Gateway.Sites {
		path := fmt.Sprintf("sites[%d]", i)
		certificate, key := readable[path+".tls.certificate"], readable[path+".tls.key"]
		if certificate != nil && key != nil {
			checkCertificate(path, s.Hosts, certificate, key, time.Now(), problems.report, warnings.report)
		}
	}
}

// checkDataDir reports a data folder that cannot be written, or that others can write.
func checkDataDir(dir string, report func(string, string, ...any)) {
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		// It will be made; the nearest folder above must allow that.
		parent := filepath.Dir(dir)
		for ; parent != filepath.Dir(parent); parent = filepath.Dir(parent) {
			if _, err := os.Stat(parent); !errors.Is(err, fs.ErrNotExist) {
				break
			}
		}
		if unix.Access(parent, unix.W_OK|unix.X_OK) != nil {
			report("data_dir", "%s does not exist, and %s may not make it in %s; make it and give it to the user that runs doorward", dir, whoami(), parent)
		}
	case err != nil:
		report("data_dir", "%s cannot be used: %v", dir, errors.Unwrap(err))
	case !info.IsDir():
		report("data_dir", "%s is not a folder", dir)
	case info.Mode().Perm()&0o002 != 0:
		report("data_dir", "%s can be written by every user of this machine; run: chmod 700 %s", dir, dir)
	case unix.Access(dir, unix.W_OK|unix.X_OK) != nil:
		report("data_dir", "%s cannot be written by %s; run doorward as its owner, or change the owner", dir, whoami())
	}
}

func whoami() string {
	if u, err := user.LookupId(strconv.Itoa(os.Geteuid())); err == nil {
		return "user " + u.Username
	}
	return "user " + strconv.Itoa(os.Geteuid())
}

// checkFile reports a file that cannot be read, or a secret that others can read or change.
func checkFile(use fileUse, report func(string, string, ...any)) (text []byte, ok bool) {
	limit := maxNamedFile
	if strings.HasSuffix(use.path, ".crl_file") {
		limit = gateway.MaxClientFile
	}
	text, err := readBounded(*use.file, int64(limit))
	if err != nil {
		reason := errors.Unwrap(err)
		if errors.Is(err, fs.ErrPermission) {
			report(use.path, "%s cannot be read by %s; change its owner or group, and keep it from others", *use.file, whoami())
		} else {
			report(use.path, "%s cannot be read: %v", *use.file, reason)
		}
		return nil, false
	}
	if len(text) > limit {
		report(use.path, "%s is larger than %d bytes", *use.file, limit)
		return nil, false
	}
	if len(strings.TrimSpace(string(text))) == 0 {
		report(use.path, "%s is empty", *use.file)
		return nil, false
	}
	info, err := os.Stat(*use.file)
	if err == nil && use.secret && info.Mode().Perm()&0o027 != 0 {
		report(use.path, "%s holds a secret, but its mode %04o lets others read or change it; run: chmod 600 %s", *use.file, info.Mode().Perm(), *use.file)
	}
	return text, true
}

// geoDatabase is the setting whose file is not a text, and far larger than those.
const geoDatabase = "geo.database"

// checkGeo reports a country database that cannot be used, and warns of an old one: rules about countries still work
// with it, only less well every month.
func checkGeo(cfg geo.Config, now time.Time, report, warn func(string, string, ...any)) {
	table, err := geo.Open(cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		report(geoDatabase, "%v", errors.Unwrap(err))
		return
	}
	switch {
	case table.Built().IsZero():
		warn(geoDatabase, "%s does not say when it was made; renew it", cfg.Database)
	case table.Stale(now):
		warn(geoDatabase, "%s was made on %s, %d days ago; renew it", cfg.Database, table.Built().Format(time.DateOnly), table.Age(now)/(24*time.Hour))
	}
}

// expirySoon is when an expiring certificate is worth a warning: time enough for whoever renews by hand.
const expirySoon = 14 * 24 * time.Hour

// checkCertificate reports a key that does not belong to its certificate, and warns of what only makes
// browsers refuse: that must not keep the other sites from being served.
func checkCertificate(path string, hosts []string, certificate, key []byte, now time.Time, report, warn func(string, string, ...any)) {
	if block, _ := pem.Decode(certificate); block == nil {
		report(path+".tls.certificate", "the file holds no PEM certificate")
		return
	}
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		switch text := err.Error(); {
		case strings.Contains(text, "does not match"):
			report(path+".tls.key", "the key does not belong to the certificate; give the key that the certificate was requested with")
		case strings.Contains(text, "switched"):
			report(path+".tls", "certificate and key are the wrong way round; exchange the two files")
		default:
			report(path+".tls.key", "certificate and key cannot be used: %s", strings.TrimPrefix(text, "tls: "))
		}
		return
	}
	leaf := pair.Leaf
	switch {
	case now.After(leaf.NotAfter):
		warn(path+".tls.certificate", "the certificate expired on %s; browsers will refuse it", leaf.NotAfter.Format(time.DateOnly))
	case now.Before(leaf.NotBefore):
		warn(path+".tls.certificate", "the certificate is valid only from %s; browsers will refuse it until then", leaf.NotBefore.Format(time.DateOnly))
	case now.Add(expirySoon).After(leaf.NotAfter):
		warn(path+".tls.certificate", "the certificate expires on %s; renew it", leaf.NotAfter.Format(time.DateOnly))
	}
	for i, host := range hosts {
		if leaf.VerifyHostname(strings.TrimSuffix(host, ".")) != nil {
			warn(fmt.Sprintf("%s.hosts[%d]", path, i), "the certificate does not name %s, only %s; browsers will refuse it", host, strings.Join(names(leaf), ", "))
		}
	}
}

func names(leaf *x509.Certificate) []string {
	out := append([]string(nil), leaf.DNSNames...)
	for _, ip := range leaf.IPAddresses {
		out = append(out, ip.String())
	}
	if len(out) == 0 {
		return []string{"no host"}
	}
	return out
}

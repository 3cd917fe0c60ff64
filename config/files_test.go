package config_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/doorward/doorward/config"
	"github.com/doorward/doorward/geo/geotest"
)

// folder is a configuration file's folder with the files that it names.
type folder struct {
	t   *testing.T
	dir string
}

func newFolder(t *testing.T) folder { return folder{t, t.TempDir()} }

func (f folder) write(name string, mode os.FileMode, text string) {
	f.t.Helper()
	path := filepath.Join(f.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		f.t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		f.t.Fatal(err)
	}
}

// certificate writes name.pem and name.key for hosts, valid for the time around now that from and to say.
func (f folder) certificate(name string, from, to time.Duration, hosts ...string) {
	f.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		f.t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: hosts,
		NotBefore: time.Now().Add(from), NotAfter: time.Now().Add(to)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		f.t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		f.t.Fatal(err)
	}
	f.write(name+".pem", 0o644, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	f.write(name+".key", 0o600, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})))
}

// countries writes a country database that was made at built.
func (f folder) countries(name string, built time.Time) {
	f.t.Helper()
	geotest.Database{Built: built, Countries: map[string]string{"81.2.69.0/24": "GB"}}.Write(f.t, filepath.Join(f.dir, name))
}

// load writes text as the configuration file and returns everything said about it, without the folder's
// name, and the configuration if it can be used.
func (f folder) load(text string) (messages string, cfg *config.Config) {
	f.t.Helper()
	f.write("doorward.yaml", 0o644, text)
	cfg, err := config.Load(filepath.Join(f.dir, "doorward.yaml"))
	var all []config.Problem
	var invalid *config.Errors
	switch {
	case errors.As(err, &invalid):
		all = invalid.Problems
	case err != nil:
		f.t.Fatal(err)
	default:
		all = cfg.Warnings
	}
	for _, p := range all {
		messages += withoutFolder(p.String(), f.dir) + "\n"
	}
	return messages, cfg
}

func withoutFolder(message, dir string) string { return strings.ReplaceAll(message, dir+"/", "") }

const site = `data_dir: data
sites:
  - hosts: [helpdesk.example.org]
    upstreams: [https://app.internal]
`

func TestFilesThatTheConfigurationNames(t *testing.T) {
	const year = 365 * 24 * time.Hour
	for _, c := range []struct {
		name    string
		prepare func(f folder)
		text    string
		usable  bool
		want    string
	}{
		{"nothing named", nil, site, true, ""},
		{"certificate, good", func(f folder) { f.certificate("a", -time.Hour, year, "helpdesk.example.org") },
			site + "    tls: {certificate: a.pem, key: a.key}\n", true, ""},
		{"certificate, missing", nil, site + "    tls: {certificate: a.pem, key: a.key}\n", false,
			"doorward.yaml:5:24: sites[0].tls.certificate: a.pem cannot be read: no such file or directory\n" +
				"doorward.yaml:5:36: sites[0].tls.key: a.key cannot be read: no such file or directory\n"},
		{"certificate, other key", func(f folder) {
			f.certificate("a", -time.Hour, year, "helpdesk.example.org")
			f.certificate("b", -time.Hour, year, "helpdesk.example.org")
		}, site + "    tls: {certificate: a.pem, key: b.key}\n", false,
			"doorward.yaml:5:36: sites[0].tls.key: the key does not belong to the certificate; give the key that the certificate was requested with\n"},
		{"certificate, swapped", func(f folder) { f.certificate("a", -time.Hour, year, "helpdesk.example.org") },
			site + "    tls: {certificate: a.key, key: a.pem}\n", false,
			"doorward.yaml:5:5: sites[0].tls: certificate and key are the wrong way round; exchange the two files\n" +
				"doorward.yaml:5:36: sites[0].tls.key: a.pem holds a secret, but its mode 0644 lets others read or change it; run: chmod 600 a.pem\n"},
		{"certificate, no PEM", func(f folder) { f.write("a.pem", 0o644, "hello"); f.write("a.key", 0o600, "hello") },
			site + "    tls: {certificate: a.pem, key: a.key}\n", false,
			"doorward.yaml:5:24: sites[0].tls.certificate: the file holds no PEM certificate\n"},
		{"certificate, other host", func(f folder) { f.certificate("a", -time.Hour, year, "www.example.org", "*.example.net") },
			site + "    tls: {certificate: a.pem, key: a.key}\n", true,
			"doorward.yaml:3:13: sites[0].hosts[0]: the certificate does not name helpdesk.example.org, only www.example.org, *.example.net; browsers will refuse it\n"},
		{"certificate, expired", func(f folder) { f.certificate("a", -year, -time.Hour*48, "helpdesk.example.org") },
			site + "    tls: {certificate: a.pem, key: a.key}\n", true,
			"doorward.yaml:5:24: sites[0].tls.certificate: the certificate expired on " + time.Now().Add(-48*time.Hour).UTC().Format(time.DateOnly) + "; browsers will refuse it\n"},
		{"certificate, expires soon", func(f folder) { f.certificate("a", -year, time.Hour*48, "helpdesk.example.org") },
			site + "    tls: {certificate: a.pem, key: a.key}\n", true,
			"doorward.yaml:5:24: sites[0].tls.certificate: the certificate expires on " + time.Now().Add(48*time.Hour).UTC().Format(time.DateOnly) + "; renew it\n"},
		{"certificate, not yet valid", func(f folder) { f.certificate("a", time.Hour*48, year, "helpdesk.example.org") },
			site + "    tls: {certificate: a.pem, key: a.key}\n", true,
			"doorward.yaml:5:24: sites[0].tls.certificate: the certificate is valid only from " + time.Now().Add(48*time.Hour).UTC().Format(time.DateOnly) + "; browsers will refuse it until then\n"},
		{"secret, good", func(f folder) { f.write("s", 0o600, strings.Repeat("x", 40)) }, site + "    identity: {secret_file: s}\n", true, ""},
		{"secret, readable by the group", func(f folder) { f.write("s", 0o640, strings.Repeat("x", 40)) }, site + "    identity: {secret_file: s}\n", true, ""},
		{"secret, readable by others", func(f folder) { f.write("s", 0o644, strings.Repeat("x", 40)) }, site + "    identity: {secret_file: s}\n", false,
			"doorward.yaml:5:29: sites[0].identity.secret_file: s holds a secret, but its mode 0644 lets others read or change it; run: chmod 600 s\n"},
		{"secret, writable by the group", func(f folder) { f.write("s", 0o660, strings.Repeat("x", 40)) }, site + "    identity: {secret_file: s}\n", false,
			"doorward.yaml:5:29: sites[0].identity.secret_file: s holds a secret, but its mode 0660 lets others read or change it; run: chmod 600 s\n"},
		{"secret, empty", func(f folder) { f.write("s", 0o600, "\n") }, site + "    identity: {secret_file: s}\n", false,
			"doorward.yaml:5:29: sites[0].identity.secret_file: s is empty\n"},
		{"secret, a folder", nil, site + "    identity: {secret_file: .}\n", false,
			"doorward.yaml:5:29: sites[0].identity.secret_file: {DIR} cannot be read: not a regular file\n"},
		{"secret, a pipe that nobody writes to", func(f folder) {
			if err := syscall.Mkfifo(filepath.Join(f.dir, "s"), 0o600); err != nil {
				f.t.Fatal(err)
			}
		}, site + "    identity: {secret_file: s}\n", false, "doorward.yaml:5:29: sites[0].identity.secret_file: s cannot be read: not a regular file\n"},
		{"secret, too large", func(f folder) { f.write("s", 0o600, strings.Repeat("x", 1<<20+1)) }, site + "    identity: {secret_file: s}\n", false,
			"doorward.yaml:5:29: sites[0].identity.secret_file: s is larger than 1048576 bytes\n"},
		{"revoked certificates, many", func(f folder) {
			f.certificate("ca", -time.Hour, year, "app.internal")
			f.write("l.pem", 0o644, strings.Repeat("x", 1<<20+1))
		}, site + "    client_certificates: {ca_file: ca.pem, crl_file: l.pem}\n    access: [{path: /, certificate: true}]\n", true, ""},
		{"authorities without a certificate", func(f folder) { f.write("ca.pem", 0o644, "none here") }, site + "    upstream: {ca_file: ca.pem}\n", false,
			"doorward.yaml:5:25: sites[0].upstream.ca_file: ca.pem holds no PEM certificate\n"},
		{"authorities, good", func(f folder) { f.certificate("ca", -time.Hour, year, "app.internal") }, site + "    upstream: {ca_file: ca.pem}\n", true, ""},
		{"database URL, readable by others", func(f folder) { f.write("url", 0o604, "postgres://localhost/x") }, site + "store: {url_file: url}\n", false,
			"doorward.yaml:5:19: store.url_file: url holds a secret, but its mode 0604 lets others read or change it; run: chmod 600 url\n"},
		{"credential outside the service", nil, site + "store: {url_file: credential:url}\n", true,
			"doorward.yaml:5:19: store.url_file: credential:url is only there while systemd runs the service, so it was not looked at\n"},
		{"countries, good", func(f folder) { f.countries("c.mmdb", time.Now()) }, site + "geo: {database: c.mmdb}\n", true, ""},
		{"countries, missing", nil, site + "geo: {database: c.mmdb}\n", false,
			"doorward.yaml:5:17: geo.database: c.mmdb cannot be read: no such file or directory\n"},
		{"countries, not unpacked", func(f folder) { f.write("c.tar.gz", 0o644, "\x1f\x8b\x08\x00") }, site + "geo: {database: c.tar.gz}\n", false,
			"doorward.yaml:5:17: geo.database: c.tar.gz is compressed; unpack it and give the .mmdb file\n"},
		{"countries, old", func(f folder) { f.countries("c.mmdb", time.Now().Add(-40*24*time.Hour)) },
			site + "geo: {database: c.mmdb, max_age: 720h}\n", true, "doorward.yaml:5:17: geo.database: c.mmdb was made on " +
				time.Now().Add(-40*24*time.Hour).UTC().Format(time.DateOnly) + ", 40 days ago; renew it\n"},
		{"countries, without a date", func(f folder) { f.countries("c.mmdb", time.Unix(1<<40, 0)) }, site + "geo: {database: c.mmdb}\n", true,
			"doorward.yaml:5:17: geo.database: c.mmdb does not say when it was made; renew it\n"},
		{"data folder is a file", func(f folder) { f.write("data", 0o600, "x") }, site, false,
			"doorward.yaml:1:11: data_dir: data is not a folder\n"},
		{"data folder below a file", func(f folder) { f.write("data", 0o600, "x") }, strings.Replace(site, "data\n", "data/below\n", 1), false,
			"doorward.yaml:1:11: data_dir: data/below cannot be used: not a directory\n"},
		{"data folder open to all", func(f folder) {
			if err := errors.Join(os.Mkdir(filepath.Join(f.dir, "data"), 0o700), os.Chmod(filepath.Join(f.dir, "data"), 0o777)); err != nil {
				f.t.Fatal(err)
			}
		}, site, false, "doorward.yaml:1:11: data_dir: data can be written by every user of this machine; run: chmod 700 data\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFolder(t)
			if c.prepare != nil {
				c.prepare(f)
			}
			got, cfg := f.load(c.text)
			if want := strings.ReplaceAll(c.want, "{DIR}", f.dir); got != want {
				t.Errorf("messages:\n%swant:\n%s", got, want)
			}
			if usable := cfg != nil; usable != c.usable {
				t.Errorf("usable: %v, want %v", usable, c.usable)
			}
		})
	}
}

func TestConfigurationThatEverybodyCanChange(t *testing.T) {
	f := newFolder(t)
	f.write("doorward.yaml", 0o666, site)
	_, err := config.Load(filepath.Join(f.dir, "doorward.yaml"))
	if want := "doorward.yaml:1:1: every user of this machine can write the file; run: chmod 644 doorward.yaml"; err == nil || withoutFolder(err.Error(), f.dir) != want {
		t.Errorf("Load gave %v, want %s", err, want)
	}
}

// TestUnreadableForOthers runs itself as a user without rights, because root may read and write everything.
func TestUnreadableForOthers(t *testing.T) {
	if os.Getenv("DOORWARD_TEST_AS_NOBODY") != "" {
		asNobody(t, os.Getenv("DOORWARD_TEST_AS_NOBODY"))
		return
	}
	f := newFolder(t)
	f.write("s", 0o600, strings.Repeat("x", 40))
	if err := os.Mkdir(filepath.Join(f.dir, "data"), 0o700); err != nil {
		t.Fatal(err)
	}
	f.write("doorward.yaml", 0o644, site+"    identity: {secret_file: s}\n")
	output := runAsNobody(t, f.dir)
	for _, want := range []string{
		"doorward.yaml:1:11: data_dir: data cannot be written by user ",
		"doorward.yaml:5:29: sites[0].identity.secret_file: s cannot be read by user ",
	} {
		if !strings.Contains(output, want) {
			t.Errorf("output:\n%s\nwant a line with: %s", output, want)
		}
	}
}

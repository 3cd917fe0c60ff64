package identity_test

import (
	"crypto/rand"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/auth/directory"
	"github.com/doorward/doorward/test/real"
)

const (
	suffix          = "dc=example,dc=org"
	rootDN          = "cn=root," + suffix
	rootPassword    = "root of the tree"
	serviceDN       = "cn=doorward,ou=services," + suffix
	servicePassword = "the service's secret"
	zoePassword     = "correct horse battery staple"
)

// slapd is Debian's OpenLDAP server with a tree of its own.
type slapd struct {
	*real.Process
	t          testing.TB
	dir        string
	conf       string
	urls       string
	plain, tls int    // ports
	socket     string // of ldapi
	ca         string // file
}

// startSlapd makes a tree of three people and three groups and serves it. withTLS false leaves the certificate out.
func startSlapd(t testing.TB, withTLS bool) *slapd {
	t.Helper()
	real.Require(t, "/usr/sbin/slapd", "ldapadd", "ldapmodify", "/usr/lib/ldap/memberof.so")
	s := &slapd{t: t, dir: real.Folder(t), plain: real.FreePort(t), tls: real.FreePort(t)}
	if err := os.Mkdir(filepath.Join(s.dir, "db"), 0o700); err != nil {
		t.Fatal(err)
	}
	s.socket = filepath.Join(s.dir, "ldapi")
	tls := ""
	if withTLS {
		certificate, key := real.Certificate(t)
		s.ca = real.Write(t, s.dir, "slapd.crt", certificate, 0o644)
		tls = fmt.Sprintf("TLSCertificateFile %s\nTLSCertificateKeyFile %s\n", s.ca, real.Write(t, s.dir, "slapd.key", key, 0o600))
	}
	s.conf = real.Write(t, s.dir, "slapd.conf", fmt.Sprintf(`include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
pidfile %[1]s/pid
modulepath /usr/lib/ldap
moduleload back_mdb
moduleload memberof
moduleload refint
%[2]s
database mdb
suffix "%[3]s"
directory %[1]s/db
maxsize 10485760
rootdn "%[4]s"
rootpw "%[5]s"
overlay memberof
memberof-refint TRUE
overlay refint
refint_attributes member
access to attrs=userPassword by anonymous auth by * none
access to dn.subtree="ou=people,%[3]s" by dn.exact="%[6]s" read by anonymous auth by * none
access to dn.subtree="ou=services,%[3]s" by anonymous auth by * none
access to * by dn.exact="%[6]s" read by * none
`, s.dir, tls, suffix, rootDN, rootPassword, serviceDN), 0o600)
	s.urls = fmt.Sprintf("ldap://127.0.0.1:%d ldapi://%s", s.plain, strings.ReplaceAll(s.socket, "/", "%2F"))
	if withTLS {
		s.urls += fmt.Sprintf(" ldaps://127.0.0.1:%d", s.tls)
	}
	s.start()
	// Through the server, because memberof only watches what it does.
	s.change("ldapadd", tree(t))
	return s
}

// start runs slapd in the foreground.
func (s *slapd) start() {
	s.t.Helper()
	s.Process = real.Start(s.t, "slapd", exec.Command("/usr/sbin/slapd", "-d", "stats", "-f", s.conf, "-h", s.urls))
	s.AwaitListening(fmt.Sprintf("127.0.0.1:%d", s.plain), time.Minute)
	if s.ca != "" { // it listens on one after the other
		s.AwaitListening(fmt.Sprintf("127.0.0.1:%d", s.tls), time.Minute)
	}
}

// change gives LDIF to ldapadd or ldapmodify.
func (s *slapd) change(program, ldif string) {
	s.t.Helper()
	cmd := exec.CommandContext(s.t.Context(), program, "-x", "-H", fmt.Sprintf("ldap://127.0.0.1:%d", s.plain), "-D", rootDN, "-w", rootPassword)
	cmd.Stdin = strings.NewReader(ldif)
	if out, err := cmd.CombinedOutput(); err != nil {
		s.t.Fatalf("%s: %v\n%s", program, err, out)
	}
}

func tree(t testing.TB) string {
	t.Helper()
	hash := func(password string) string {
		out, err := exec.CommandContext(t.Context(), "/usr/sbin/slappasswd", "-h", "{SSHA}", "-s", password).Output()
		if err != nil {
			t.Fatalf("slappasswd: %v", err)
		}
		return strings.TrimSpace(string(out))
	}
	person := func(uid, name, password string) string {
		return fmt.Sprintf("dn: uid=%[1]s,ou=people,%[4]s\nobjectClass: inetOrgPerson\nuid: %[1]s\ncn: %[2]s\nsn: %[2]s\ndisplayName: %[2]s\nmail: %[1]s@example.org\nuserPassword: %[3]s\n\n",
			uid, name, hash(password), suffix)
	}
	group := func(cn string, members ...string) string {
		text := fmt.Sprintf("dn: cn=%s,ou=groups,%s\nobjectClass: groupOfNames\ncn: %[1]s\n", cn, suffix)
		for _, m := range members {
			text += "member: uid=" + m + ",ou=people," + suffix + "\n"
		}
		return text + "\n"
	}
	unit := func(ou string) string {
		return fmt.Sprintf("dn: ou=%[1]s,%s\nobjectClass: organizationalUnit\nou: %[1]s\n\n", ou, suffix)
	}
	service := func(cn, password string) string {
		return fmt.Sprintf("dn: cn=%[1]s,ou=services,%[2]s\nobjectClass: applicationProcess\nobjectClass: simpleSecurityObject\ncn: %[1]s\nuserPassword: %[3]s\n\n", cn, suffix, hash(password))
	}
	return fmt.Sprintf("dn: %s\nobjectClass: dcObject\nobjectClass: organization\ndc: example\no: Example\n\n", suffix) +
		unit("people") + unit("groups") + unit("services") + service("doorward", servicePassword) + service("decoy", rand.Text()) +
		person("zoe", "Zoe Miller", zoePassword) + person("bob", "Bob", "another long password") + person("eve", "Eve", "yet another password") +
		group("helpdesk", "zoe", "bob") + group("admins", "bob") + group("staff", "zoe", "bob", "eve")
}

// directory makes the client, by ldaps unless change says otherwise.
func (s *slapd) directory(change func(*directory.Config)) *directory.Directory {
	s.t.Helper()
	cfg := directory.Config{Name: "office", URL: fmt.Sprintf("ldaps://127.0.0.1:%d", s.tls), CAFile: s.ca, BindDN: serviceDN,
		BindPasswordFile: real.Write(s.t, s.dir, "service.password", servicePassword+"\n", 0o600), BaseDN: "ou=people," + suffix,
		Roles: []directory.RoleConfig{{Group: "cn=helpdesk,ou=groups," + suffix, Role: "agent"}, {Group: "admins", Role: "admin"}}}
	if change != nil {
		change(&cfg)
	}
	cfg.SetDefaults()
	cfg.Validate(func(path, format string, args ...any) { s.t.Errorf(path+": "+format, args...) })
	d, err := directory.New(cfg)
	if err != nil {
		s.t.Fatal(err)
	}
	return d
}

package facts_test

import (
	"database/sql"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	_ "modernc.org/sqlite"

	"github.com/doorward/doorward/audit/facts"
)

func TestApplicationReadsConfiguration(t *testing.T) {
	const long = "kT9#vLq2!xWz"
	for name, c := range map[string]struct {
		app   facts.App
		files map[string]string
		want  facts.AppDatabase // without its origin's path
		lost  string
	}{
		"PHP constants": {
			app:   facts.App{Kind: "deskpro", Root: "/srv/app"},
			files: map[string]string{"srv/app/config.php": "<?php\ndefine('DP_DATABASE_HOST', 'localhost');\ndefine('DP_DATABASE_USER', 'desk');\ndefine('DP_DATABASE_PASSWORD', '" + long + "');\ndefine('DP_DATABASE_NAME', 'deskpro');"},
			want:  facts.AppDatabase{Engine: "mysql", User: "desk", Host: "localhost", Name: "deskpro", PasswordSet: true, PasswordLength: 12, Readable: true, Origin: "/srv/app/config.php:3"},
		},
		"PHP keys over constants": {
			app:   facts.App{Kind: "deskpro", Root: "/srv/app"},
			files: map[string]string{"srv/app/config.php": "<?php\ndefine('DP_DATABASE_USER', 'root');\n$DP_CONFIG['db'] = array('user' => 'own', 'password' => 'own' . '', 'dbname' => DP_DATABASE_USER);"},
			want:  facts.AppDatabase{Engine: "mysql", User: "own", Name: "root", PasswordSet: true, PasswordLength: 3, PasswordCommon: true, Readable: true, Origin: "/srv/app/config.php:3"},
		},
		"PHP that computes": {
			app:   facts.App{Kind: "deskpro", Root: "/srv/app"},
			files: map[string]string{"srv/app/config.php": "<?php\n$DP_CONFIG['db']['user'] = getenv('DB_USER');"},
			lost:  "is computed",
		},
		"Laravel": {
			app:   facts.App{Kind: "faveo", Root: "/srv/app"},
			files: map[string]string{"srv/app/.env": "DB_CONNECTION=mysql\n# DB_USERNAME=root\nDB_USERNAME=faveo\nDB_PASSWORD=\"secret\"\nDB_DATABASE=help # the old one\n"},
			want:  facts.AppDatabase{Engine: "mysql", User: "faveo", Name: "help", PasswordSet: true, PasswordLength: 6, PasswordCommon: true, Readable: true, Origin: "/srv/app/.env:3"},
		},
		"Rails": {
			app:   facts.App{Kind: "mor", Root: "/home/mor"},
			files: map[string]string{"home/mor/config/database.yml": "development:\n  username: root\nproduction:\n  adapter: mysql2\n  username: mor\n  password: ''\n  database: mor\n"},
			want:  facts.AppDatabase{Engine: "mysql", User: "mor", Name: "mor", Origin: "/home/mor/config/database.yml:5"},
		},
		"Perl as Debian writes it": {
			app: facts.App{Kind: "request-tracker", Root: "/usr/share/request-tracker5"},
			files: map[string]string{"etc/request-tracker5/RT_SiteConfig.d/51-dbconfig-common.pm": "my %typemap = (\n mysql => 'mysql',\n sqlite3 => 'SQLite',\n);\nSet($DatabaseType, $typemap{sqlite3} || \"UNKNOWN\");\n" +
				"my $dbc_dbname = 'rtdb'; if ( \"sqlite3\" eq \"sqlite3\" ) { Set ($DatabaseName, '/var/lib' . '/' . $dbc_dbname); } else { Set ($DatabaseName, $dbc_dbname); }\n1;\n"},
			want: facts.AppDatabase{Engine: "sqlite", Name: "/var/lib/rtdb", Origin: "/etc/request-tracker5/RT_SiteConfig.d/51-dbconfig-common.pm:6"},
		},
		"another kind": {app: facts.App{Kind: "generic", Root: "/srv/app"}, lost: "not known"},
	} {
		t.Run(name, func(t *testing.T) {
			c.app.Name = "a"
			c.want.App = "a"
			got, missing := appFact[facts.Application](t, appHost(t, c.files), "application", oneApp(c.app))
			if c.lost != "" {
				if !strings.Contains(missing["databases"], c.lost) {
					t.Errorf("got %+v missing %v, want databases missing because it %q", got.Databases, missing, c.lost)
				}
				return
			}
			if len(got.Databases) != 1 || fmt.Sprintf("%+v", shown(got.Databases[0])) != fmt.Sprintf("%+v", shown(c.want)) {
				t.Errorf("got %+v, want %+v; missing %v", got.Databases, c.want, missing)
			}
		})
	}
}

// shown is all of a database that a control can see.
func shown(d facts.AppDatabase) []any {
	return []any{d.App, d.Engine, d.User, d.Host, d.Name, d.PasswordSet, d.PasswordLength, d.PasswordCommon, d.Readable, d.Origin}
}

// rtHost has a Request Tracker whose root has the stored password given.
func rtHost(t *testing.T, stored string, disabled int) string {
	t.Helper()
	root := appHost(t, map[string]string{"etc/request-tracker5/RT_SiteConfig.d/51.pm": "Set($DatabaseType, 'SQLite');\nSet($DatabaseName, '/var/lib/rtdb');\n", "var/lib/x": ""})
	db, err := sql.Open("sqlite", filepath.Join(root, "var/lib/rtdb"))
	must(t, err)
	defer db.Close()
	for _, text := range []string{
		"CREATE TABLE Users (id INTEGER, Name TEXT, Password TEXT)", "CREATE TABLE Principals (id INTEGER, Disabled INTEGER)",
		"CREATE TABLE ACL (PrincipalId INTEGER, RightName TEXT, ObjectType TEXT)", "CREATE TABLE CachedGroupMembers (GroupId INTEGER, MemberId INTEGER, Disabled INTEGER)",
		"INSERT INTO Users VALUES (1, 'Nobody', '*NO-PASSWORD*'), (2, 'root', '" + stored + "'), (3, 'ann', '5f4dcc3b5aa765d61d8327deb882cf99')",
		fmt.Sprintf("INSERT INTO Principals VALUES (1, 0), (2, %d), (3, 0)", disabled),
		"INSERT INTO ACL VALUES (2, 'SuperUser', 'RT::System')", "INSERT INTO CachedGroupMembers VALUES (2, 2, 0)",
	} {
		_, err := db.Exec(text)
		must(t, err)
	}
	return root
}

func TestApplicationStoredPasswords(t *testing.T) {
	// As Debian's package makes it, for the password "password".
	const fresh = "!bcrypt!12!QbagNN8NbPseDX7RfKVJFO06lqflUkudHtYrb5ziVuMutuktWHP06"
	rt := oneApp(facts.App{Name: "rt", Kind: "request-tracker", Root: "/usr/share/request-tracker5"})
	for name, c := range map[string]struct {
		stored         string
		disabled       int
		works, enabled bool
		lost           bool
	}{
		"as delivered":           {stored: fresh, works: true, enabled: true},
		"as delivered, disabled": {stored: fresh, disabled: 1},
		"another":                {stored: "5f4dcc3b5aa765d61d8327deb882cf90", enabled: true},
		"the same as MD5":        {stored: "5F4DCC3B5AA765D61D8327DEB882CF99", works: true, enabled: true},
		"in clear text":          {stored: "password", works: true, enabled: true},
		"one not understood":     {stored: "$argon2id$v=19$m=65536,t=3,p=4$c2FsdHNhbHQ$aGFzaA", enabled: true, lost: true},
		"one that takes minutes": {stored: "$2y$31$QbagNN8NbPseDX7RfKVJFO06lqflUkudHtYrb5ziVuMutuktWHP06", enabled: true, lost: true},
	} {
		t.Run(name, func(t *testing.T) {
			got, missing := appFact[facts.Application](t, rtHost(t, c.stored, c.disabled), "application", rt)
			if len(got.DefaultPasswords) != 1 || got.DefaultPasswords[0].Works != c.works || got.Accounts[0].Enabled != c.enabled || (missing["default_passwords"] != "") != c.lost {
				t.Errorf("got %+v and %+v, missing %v; want works %v, enabled %v, missing %v", got.DefaultPasswords, got.Accounts, missing, c.works, c.enabled, c.lost)
			}
			if len(got.Hashes) == 0 || len(got.Admins) != 1 || got.Admins[0].Name != "root" {
				t.Errorf("got %+v and %+v, want the ways in which passwords are kept, and root as administrator", got.Hashes, got.Admins)
			}
			for _, h := range got.Hashes {
				if h.Slow != (h.Scheme == "bcrypt" || h.Scheme == "argon2") {
					t.Errorf("got %+v, want MD5 and clear text to be no slow ones", h)
				}
			}
		})
	}
}

// TestDefaultPasswordsAreTriedWithConsent: a sign-in is an act, so it is done only where it is asked for.
func TestDefaultPasswordsAreTriedWithConsent(t *testing.T) {
	var tries atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		tries.Add(1)
		if r.URL.Path == "/rt/NoAuth/Login.html" && r.FormValue("user") == "root" && r.FormValue("pass") == "password" {
			http.Redirect(w, r, "/rt/", http.StatusFound)
		}
	}))
	defer server.Close()
	app := facts.App{Name: "rt", Kind: "request-tracker", Root: "/usr/share/request-tracker5", URL: server.URL + "/rt"}
	root := appHost(t, map[string]string{"etc/x": ""})
	if got, _ := appFact[facts.Application](t, root, "application", oneApp(app)); tries.Load() != 0 || len(got.DefaultPasswords) != 0 {
		t.Errorf("%d sign-ins without consent, %+v", tries.Load(), got.DefaultPasswords)
	}
	app.TryDefaultPasswords = true
	got, _ := appFact[facts.Application](t, root, "application", oneApp(app))
	if tries.Load() != 2 || len(got.DefaultPasswords) != 1 || !got.DefaultPasswords[0].Works || got.DefaultPasswords[0].How != "sign-in" {
		t.Errorf("got %+v after %d sign-ins, want one that worked, after one of nobody", got.DefaultPasswords, tries.Load())
	}
	server.Config.Handler = http.RedirectHandler("https://elsewhere.example/", http.StatusFound)
	got, missing := appFact[facts.Application](t, root, "application", oneApp(app))
	if len(got.DefaultPasswords) != 0 || !strings.Contains(missing["default_passwords"], "does not exist can sign in") {
		t.Errorf("got %+v, missing %v; want that a page which redirects everybody proves nothing", got.DefaultPasswords, missing)
	}
	server.Config.Handler = http.NotFoundHandler()
	got, _ = appFact[facts.Application](t, root, "application", oneApp(app))
	if len(got.DefaultPasswords) != 1 || got.DefaultPasswords[0].Works {
		t.Errorf("got %+v, want a sign-in that was refused", got.DefaultPasswords)
	}
}

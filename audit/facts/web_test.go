package facts_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/audit/facts"
)

// webHost lays out a host of files; a text that begins with "-> " is a link.
func webHost(t testing.TB, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		name = filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		var err error
		if target, ok := strings.CutPrefix(text, "-> "); ok {
			err = os.Symlink(target, name)
		} else {
			err = os.WriteFile(name, []byte(text), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// webFacts reads all facts of a host of files.
func webFacts(t testing.TB, root string, config facts.Config) facts.Facts {
	t.Helper()
	h, err := facts.OpenHost(facts.HostOptions{Root: root})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	return facts.Collect(t.Context(), h, facts.Target{Config: config, Now: time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)}, nil)
}

// lostBecause is why a fact is missing; empty when it is there.
func lostBecause(f facts.Facts, name string) string {
	for _, m := range f.Missing {
		if m.Fact == name {
			return m.Reason
		}
	}
	return ""
}

func TestDataFolders(t *testing.T) {
	const apache = "Listen 80\nDocumentRoot /srv/desk/www\n"
	desk := facts.App{Name: "desk", Kind: "deskpro", Root: "/srv/desk/www"}
	declared := facts.App{Name: "desk", Root: "/srv/desk/www", Data: []string{"/srv/data"}}
	for name, c := range map[string]struct {
		files map[string]string
		app   facts.App
		want  string // where it is shown
		lost  string // why nothing is known
	}{
		"outside":                                {app: declared},
		"inside":                                 {app: facts.App{Name: "desk", Root: "/srv/desk/www", Data: []string{"data"}}, want: "/srv/desk/www"},
		"the default of Deskpro":                 {app: desk, want: "/srv/desk/www"},
		"what is known of the kind":              {app: facts.App{Name: "rt", Kind: "request-tracker", Root: "/usr/share/request-tracker5"}},
		"what is known of the kind, shown":       {app: facts.App{Name: "rt", Kind: "request-tracker", Root: "/usr/share/request-tracker5"}, files: map[string]string{"etc/apache2/apache2.conf": apache + "Alias /cache /var/cache\n"}, want: "/var/cache"},
		"its config.php":                         {app: desk, files: map[string]string{"srv/desk/www/config.php": "<?php\n$DP_CONFIG['dir_data'] = '/srv/data';\n"}},
		"a comment in it":                        {app: desk, files: map[string]string{"srv/desk/www/config.php": "<?php\n// $DP_CONFIG['dir_data'] = '/srv/data';\n"}, want: "/srv/desk/www"},
		"the last one counts":                    {app: desk, files: map[string]string{"srv/desk/www/config.php": "<?php\n$DP_CONFIG['dir_data'] = '/srv/data';\n$DP_CONFIG[\"dir_data\"] = DP_ROOT . '/data';\n"}, want: "/srv/desk/www"},
		"beside the root":                        {app: desk, files: map[string]string{"srv/desk/www/config.php": "<?php\n$DP_CONFIG['dir_data'] = __DIR__ . '/../data';\n"}},
		"it is computed":                         {app: desk, files: map[string]string{"srv/desk/www/config.php": "<?php\n$DP_CONFIG['dir_data'] = getenv('DATA');\n"}, lost: "dir_data is computed"},
		"a link in the root":                     {app: declared, files: map[string]string{"srv/data/x": "", "srv/desk/www/files": "-> /srv/data"}, want: "/srv/desk/www/files"},
		"a link to a part":                       {app: declared, files: map[string]string{"srv/data/in/x": "", "srv/desk/www/a/b": "-> ../../../data/in"}, want: "/srv/desk/www/a/b"},
		"links are not followed":                 {app: declared, files: map[string]string{"srv/data/x": "", "srv/desk/www/files": "-> /srv/data", "etc/apache2/apache2.conf": apache + "Options None\n"}},
		"the data is a link":                     {app: declared, files: map[string]string{"srv/data": "-> /srv/desk/www/real", "srv/desk/www/real/x": ""}, want: "/srv/desk/www"},
		"an alias":                               {app: declared, files: map[string]string{"etc/apache2/apache2.conf": apache + "Alias /d /srv/data/in\nAlias /e /srv\n"}, want: "/srv"},
		"an alias in a site that is not reached": {app: declared, files: map[string]string{"etc/apache2/apache2.conf": apache + "<VirtualHost *:81>\nAlias /e /srv\n</VirtualHost>\n"}},
		"another server's root":                  {app: declared, files: map[string]string{"usr/sbin/nginx": "", "etc/nginx/nginx.conf": "http { server { root /var/x; location /d/ { alias /srv/; } } }"}, want: "/srv"},
	} {
		t.Run(name, func(t *testing.T) {
			files := map[string]string{"usr/sbin/apache2": "", "etc/apache2/apache2.conf": apache, "srv/desk/www/index.php": ""}
			for name, text := range c.files {
				files[name] = text
			}
			f := webFacts(t, webHost(t, files), facts.Config{Apps: []facts.App{c.app}})
			if got := lostBecause(f, "web.data"); c.lost != "" || got != "" {
				if c.lost == "" || !strings.Contains(got, c.lost) {
					t.Errorf("got web.data missing because %q, want %q", got, c.lost)
				}
				return
			}
			w, ok := f.Values["web"].(facts.Web)
			if !ok || len(w.Data) != 1 {
				t.Fatalf("got %+v, want one data folder; missing %v", w, f.Missing)
			}
			if w.Data[0].Shown != c.want {
				t.Errorf("got it shown at %q, want %q: %+v", w.Data[0].Shown, c.want, w.Data[0])
			}
		})
	}
}

// TestMisreadWeb holds that what cannot be read to its end is missing, with the reason, and never half an answer.
func TestMisreadWeb(t *testing.T) {
	deep := map[string]string{"usr/sbin/apache2": "", "etc/apache2/apache2.conf": "Listen 80\nDocumentRoot /srv\n<Directory /srv>\nAllowOverride All\n</Directory>\n"}
	for i := range 2_010 {
		deep[fmt.Sprintf("srv/%d/.htaccess", i)] = "Options +Indexes\n"
	}
	for name, c := range map[string]struct {
		files      map[string]string
		fact, want string
	}{
		"Apache includes itself":           {map[string]string{"usr/sbin/apache2": "", "etc/apache2/apache2.conf": "Include apache2.conf\n"}, "apache", "within each other"},
		"an include is not there":          {map[string]string{"usr/sbin/apache2": "", "etc/apache2/apache2.conf": "Include x.conf\n"}, "apache", "there is nothing"},
		"a section is not closed":          {map[string]string{"usr/sbin/apache2": "", "etc/apache2/apache2.conf": "<Directory />\n"}, "apache", "not closed"},
		"sections within each other":       {map[string]string{"usr/sbin/apache2": "", "etc/apache2/apache2.conf": strings.Repeat("<If true>\n", 500)}, "apache", "within each other"},
		"macros that grow":                 {map[string]string{"usr/sbin/apache2": "", "etc/apache2/apache2.conf": "<Macro a $x>\nUse a $x$x$x$x\n</Macro>\nUse a " + strings.Repeat("a", 1000) + "\n"}, "apache", "more than"},
		"more directives than are read":    {map[string]string{"usr/sbin/apache2": "", "etc/apache2/apache2.conf": strings.Repeat("A\n", 200_001)}, "apache", "more than 200000 directives"},
		"more folders with rules":          {deep, "apache.places", "more than 2000 folders"},
		"more virtual hosts than are told": {map[string]string{"usr/sbin/apache2": "", "etc/apache2/apache2.conf": strings.Repeat("A\n", 1000) + strings.Repeat("<VirtualHost *>\n</VirtualHost>\n", 1001)}, "apache", "inherit"},
		"nginx includes itself":            {map[string]string{"usr/sbin/nginx": "", "etc/nginx/nginx.conf": "include *.conf;"}, "nginx", "within each other"},
		"blocks within each other":         {map[string]string{"usr/sbin/nginx": "", "etc/nginx/nginx.conf": strings.Repeat("a { ", 500)}, "nginx", "within each other"},
		"a block is not closed":            {map[string]string{"usr/sbin/nginx": "", "etc/nginx/nginx.conf": "http { server {"}, "nginx", "ends within"},
		"more locations than are told":     {map[string]string{"usr/sbin/nginx": "", "etc/nginx/nginx.conf": "http { server { " + strings.Repeat("location /a { } ", 2_010) + "} }"}, "nginx", "more than 2000 locations"},
		"pools that include themselves":    {map[string]string{"usr/sbin/php-fpm8.2": "", "etc/php/8.2/fpm/php-fpm.conf": "include=*.conf\n"}, "php", "within each other"},
		"more pools than are told": {map[string]string{"usr/sbin/php-fpm8.2": "", "etc/php/8.2/fpm/php-fpm.conf": func() string {
			var b strings.Builder
			for i := range 1_100 {
				fmt.Fprintf(&b, "[p%d]\nlisten=%d\n", i, i+1)
			}
			return b.String()
		}()}, "php", "more than 1000 pools"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := webFacts(t, webHost(t, c.files), facts.Config{})
			if got := lostBecause(f, c.fact); !strings.Contains(got, c.want) {
				t.Errorf("%s: got missing because %.200q, want %q; %.300v", c.fact, got, c.want, f.Missing)
			}
		})
	}
}

// TestFolderFileIsNoConfiguration holds that a .htaccess file, which the application may write, includes and loads nothing.
func TestFolderFileIsNoConfiguration(t *testing.T) {
	root := webHost(t, map[string]string{"usr/sbin/apache2": "", "srv/.htaccess": "Include /etc/own\nLoadModule autoindex_module x\nDefine a b\n",
		"etc/own": "Options +Indexes\n", "etc/apache2/apache2.conf": "Listen 80\nDocumentRoot /srv\n<Directory /srv>\nAllowOverride All\n</Directory>\n"})
	a, ok := webFacts(t, root, facts.Config{}).Values["apache"].(facts.Apache)
	if !ok || len(a.Places) == 0 {
		t.Fatalf("got %+v, want a place", a)
	}
	for _, p := range a.Places {
		if p.Listing || strings.Contains(strings.Join(p.Options, " "), "indexes") {
			t.Errorf("got %+v, want no listing", p)
		}
	}
	for _, m := range a.Modules {
		if m.Name == "autoindex" {
			t.Error("a .htaccess file loaded a module")
		}
	}
}

// inWebTime fails where a fact was not read within its time, which a text of this length must not bring about.
func inWebTime(t *testing.T, f facts.Facts) {
	t.Helper()
	for _, m := range f.Missing {
		if strings.HasPrefix(m.Reason, "not read in") {
			t.Errorf("%s: %s", m.Fact, m.Reason)
		}
	}
}

func FuzzApache(f *testing.F) {
	f.Add("Listen 80\nDocumentRoot /srv\n<VirtualHost *:80>\n<Directory ~ \"^/s\">\nOptions +Indexes -Includes\nRequire all granted\n</Directory>\n</VirtualHost>\n", "Options All\n")
	f.Add("<IfModule !a.c>\nDefine x \"y z\"\n<IfDefine x>\nServerTokens ${x}\n</IfDefine>\n</IfModule>\n<IfVersion >= 2.4>\nUse a\n</IfVersion>\n", "<Files *.php>\nphp_value a b\n</Files>\n")
	f.Add("<Macro m $a>\nAlias $a /srv\n</Macro>\nUse m /x\n<Location /x>\nHeader always set A \"b\\\"c\" env=d\n</Location>\nAddType a/b \\\n .php\n", "Order allow,deny\nDeny from all\n")
	f.Fuzz(func(t *testing.T, config, folder string) {
		root := webHost(t, map[string]string{"usr/sbin/apache2": "", "etc/apache2/apache2.conf": config + "\nDocumentRoot /srv\nListen 80\n<Directory /srv>\nAllowOverride All\n</Directory>\n",
			"etc/apache2/envvars": folder, "srv/.htaccess": folder, "srv/a/.htaccess": folder})
		inWebTime(t, webFacts(t, root, facts.Config{}))
	})
}

func FuzzNginx(f *testing.F) {
	f.Add("http { server_tokens off; server { listen 127.0.0.1:80; location ~ \\.php$ { fastcgi_pass unix:/x; fastcgi_param A \"b\\\"c\"; } } }")
	f.Add("events{} stream { server { listen 53; } } http { upstream a { server b; } server { if ($x) { autoindex on; } location = / { return 403; } } } # x")
	f.Add("http { content_by_lua_block { a = { b } } server { root ${a}b; listen [::]:80 ssl; add_header 'A' b always; allow 1.2.3.4; deny all; } }")
	f.Fuzz(func(t *testing.T, config string) {
		inWebTime(t, webFacts(t, webHost(t, map[string]string{"usr/sbin/nginx": "", "etc/nginx/nginx.conf": config}), facts.Config{}))
	})
}

func FuzzPHP(f *testing.F) {
	f.Add("[PHP]\nexpose_php = Off ; x\nopen_basedir = \"/a:/b\"\n[PATH=/srv]\nextension=a.so\n", "[www]\nlisten = 9000\nphp_admin_value[disable_functions] = a,b\nphp_flag[x] = on\ninclude=y\n")
	f.Add("zend_extension=/a/xdebug.so\n[HOST=x]\na=${b}\n=\n[\n", "[global]\n[$pool]\nlisten = /run/$pool\nphp_value[\n")
	f.Fuzz(func(t *testing.T, ini, pool string) {
		root := webHost(t, map[string]string{"usr/sbin/php-fpm8.2": "", "usr/bin/php8.2": "", "etc/php/8.2/fpm/php.ini": ini, "etc/php/8.2/cli/php.ini": ini,
			"etc/php/8.2/fpm/php-fpm.conf": pool, "usr/sbin/nginx": "", "srv/.user.ini": ini,
			"etc/nginx/nginx.conf": "http { server { root /srv; location ~ .php { fastcgi_pass 127.0.0.1:9000; } } }"})
		inWebTime(t, webFacts(t, root, facts.Config{}))
	})
}

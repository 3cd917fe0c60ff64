package audit_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/audit"
	"github.com/doorward/doorward/audit/facts"
	"github.com/doorward/doorward/test/real"
)

// page tells what PHP does: whether a file outside of the application can be read, and which functions are there.
const page = `<?php header('Content-Type: application/json');
echo json_encode(['reads' => @file_get_contents('/etc/hostname') !== false, 'system' => function_exists('system'), 'basedir' => ini_get('open_basedir')]);
`

// pcntl are the functions of I-28. Debian's PHP for the web has none of them, so system goes with them as the one whose absence
// can be seen.
const pcntl = "pcntl_alarm,pcntl_fork,pcntl_waitpid,pcntl_wait,pcntl_wifexited,pcntl_wifstopped,pcntl_wifsignaled,pcntl_wifcontinued," +
	"pcntl_wexitstatus,pcntl_wtermsig,pcntl_wstopsig,pcntl_signal,pcntl_signal_dispatch,pcntl_get_last_error,pcntl_strerror,pcntl_sigprocmask," +
	"pcntl_sigwaitinfo,pcntl_sigtimedwait,pcntl_exec,pcntl_getpriority,pcntl_setpriority,system,"

const goodIni = "expose_php = Off\nopen_basedir = \"/var/www/html/:/tmp/\"\ndisable_functions = " + pcntl + "\n"

// comparePHP asks the running PHP at the addresses; what is good has to be so at each.
func comparePHP(t *testing.T, got map[string]audit.Finding, urls ...string) {
	t.Helper()
	expose, base, functions := expectation{"I-29", true, "no X-Powered-By"}, expectation{"I-27", true, "nothing outside"}, expectation{"I-28", true, "no functions"}
	for _, url := range urls {
		a := get(t, url)
		var says struct {
			Reads, System bool
			Basedir       string
		}
		if err := json.Unmarshal([]byte(a.body), &says); err != nil {
			t.Fatalf("%s: %v: %d %s", url, err, a.status, a.body)
		}
		if v := a.header.Get("X-Powered-By"); v != "" {
			expose.good, expose.what = false, url+" with "+v
		}
		if says.Reads {
			base.good, base.what = false, url+" with /etc/hostname and open_basedir "+says.Basedir
		}
		if says.System {
			functions.good, functions.what = false, url+" with system()"
		}
	}
	compare(t, got, expose, base, functions)
}

func TestPHPPools(t *testing.T) {
	real.Require(t, "/usr/sbin/php-fpm8.2", "/usr/sbin/nginx", "unshare")
	const ini = "/etc/php/8.2/fpm/conf.d/zz_security.ini"
	const pool = "/etc/php/8.2/fpm/pool.d/www.conf"
	const www = "[www]\nuser = www-data\ngroup = www-data\nlisten = /run/php/php8.2-fpm.sock\nlisten.owner = www-data\npm = static\npm.max_children = 1\n"
	for name, c := range map[string]struct {
		files  map[string]string
		params string
	}{
		"as installed":             {},
		"good":                     {files: map[string]string{ini: goodIni}},
		"php.ini is overruled":     {files: map[string]string{"/etc/php/8.2/fpm/php.ini": goodIni, "/etc/php/8.2/fpm/conf.d/99-x.ini": "expose_php = 1\nopen_basedir =\n"}},
		"an ini of the SAPI's own": {files: map[string]string{"/etc/php/8.2/fpm/php.ini": goodIni, "/etc/php/8.2/fpm/php-fpm-fcgi.ini": "expose_php = On\n"}},
		"the command line's":       {files: map[string]string{"/etc/php/8.2/cli/conf.d/zz.ini": goodIni}},
		"the pool over all":        {files: map[string]string{ini: goodIni, pool: www + "php_admin_flag[expose_php] = on\nphp_admin_value[open_basedir] = /\n"}},
		"the pool by value":        {files: map[string]string{ini: goodIni, pool: www + "php_value[expose_php] = 1\nphp_value[open_basedir] = /\n"}},
		"the pool makes good":      {files: map[string]string{pool: www + "php_admin_flag[expose_php] = off\nphp_admin_value[open_basedir] = /var/www/html:/tmp\nphp_admin_value[disable_functions] = " + pcntl + "\n"}},
		"functions add up":         {files: map[string]string{ini: goodIni, pool: www + "php_admin_value[disable_functions] = passthru\n"}},
		"the same twice":           {files: map[string]string{ini: goodIni, pool: www + "php_admin_value[open_basedir] = /var/www/html\nphp_admin_value[open_basedir] = /\nphp_admin_flag[expose_php] = on\nphp_admin_flag[expose_php] = off\n"}},
		"a pool continued":         {files: map[string]string{ini: goodIni, "/etc/php/8.2/fpm/pool.d/zz.conf": "[www]\nphp_admin_flag[expose_php] = on\n"}},
		"value and admin":          {files: map[string]string{ini: goodIni, pool: www + "php_admin_flag[expose_php] = off\nphp_value[expose_php] = 1\nphp_admin_value[open_basedir] = /var/www/html\nphp_value[open_basedir] = /\n"}},
		"user ini widens":          {files: map[string]string{ini: strings.Replace(goodIni, "open_basedir", ";open_basedir", 1), "/var/www/html/.user.ini": "open_basedir = /\n"}},
		"user ini limits":          {files: map[string]string{ini: strings.Replace(goodIni, "open_basedir", ";open_basedir", 1), "/var/www/html/.user.ini": "open_basedir = /var/www/html\nexpose_php = On\n"}},
		"user ini and admin":       {files: map[string]string{ini: goodIni, pool: www + "php_admin_value[open_basedir] = /var/www/html\n", "/var/www/html/.user.ini": "open_basedir = /\n"}},
		"the web server's word":    {files: map[string]string{ini: goodIni}, params: "fastcgi_param PHP_ADMIN_VALUE \"expose_php=1\nopen_basedir=/\";"},
		"the web server's value":   {files: map[string]string{ini: goodIni}, params: "fastcgi_param PHP_VALUE \"expose_php=1\";"},
		"the web server's value over an administrator's": {files: map[string]string{pool: www + "php_admin_flag[expose_php] = off\nphp_admin_value[open_basedir] = /var/www/html\n"}, params: "fastcgi_param PHP_VALUE \"expose_php=1\nopen_basedir=/\";"},
		"a section for a path":                           {files: map[string]string{ini: goodIni + "[PATH=/var/www/html]\nexpose_php = On\nopen_basedir = /\n"}},
	} {
		t.Run(name, func(t *testing.T) {
			port := real.FreePort(t)
			d := newDisposable(t, quiet(c.files, "/usr/sbin/apache2"))
			d.write("/var/www/html/page.php", page)
			d.write("/etc/nginx/sites-enabled/a.conf", fmt.Sprintf("server { listen 127.0.0.1:%d; root /var/www/html;\nlocation ~ \\.php$ { include fastcgi.conf; %s fastcgi_pass unix:/run/php/php8.2-fpm.sock; } }\n", port, c.params))
			fpm := real.Start(t, "php-fpm", d.command("/usr/sbin/php-fpm8.2", "--nodaemonize", "--fpm-config", "/etc/php/8.2/fpm/php-fpm.conf"))
			real.Eventually(t, time.Minute, "php-fpm", func() bool {
				return strings.Contains(fpm.Log(), "ready to handle") || d.logged("/var/log/php8.2-fpm.log", "ready to handle")
			})
			p := real.Start(t, "nginx", d.command("/usr/sbin/nginx", "-g", "daemon off;"))
			p.AwaitListening(fmt.Sprintf("127.0.0.1:%d", port), time.Minute)
			comparePHP(t, d.judge(facts.Config{}), fmt.Sprintf("http://localhost:%d/page.php", port))
		})
	}
}

func TestPHPModule(t *testing.T) {
	real.Require(t, "/usr/lib/apache2/modules/libphp8.2.so", "unshare")
	const ini = "/etc/php/8.2/apache2/conf.d/zz_security.ini"
	const noBase = "expose_php = Off\ndisable_functions = " + pcntl + "\n"
	override := func(what string) string { return "<Directory /var/www/html>\nAllowOverride " + what + "\n</Directory>" }
	for name, c := range map[string]struct {
		files map[string]string
		more  string
	}{
		"as installed":      {},
		"good":              {files: map[string]string{ini: goodIni}},
		"fpm's files":       {files: map[string]string{"/etc/php/8.2/fpm/conf.d/zz.ini": goodIni}},
		"vhost by admin":    {files: map[string]string{ini: goodIni}, more: "php_admin_flag expose_php on\nphp_admin_value open_basedir /"},
		"vhost by value":    {files: map[string]string{ini: goodIni}, more: "php_flag expose_php on\nphp_value open_basedir /"},
		"vhost makes good":  {more: "php_admin_flag expose_php off\nphp_admin_value open_basedir \"/var/www/html:/tmp\"\nphp_admin_value disable_functions \"" + pcntl + "\""},
		"value cannot hide": {more: "php_flag expose_php off\nphp_value open_basedir /var/www/html"},
		"a folder":          {files: map[string]string{ini: goodIni}, more: "<Directory /var/www/html/files>\nphp_admin_value open_basedir /\n</Directory>"},
		"a location":        {files: map[string]string{ini: goodIni}, more: "<Location /files>\nphp_admin_flag expose_php on\n</Location>"},
		"htaccess that may": {files: map[string]string{ini: noBase, "/var/www/html/.htaccess": "php_value open_basedir /var/www/html\n",
			"/etc/apache2/mods-enabled/alias.conf": ""}, more: override("Options")},
		"htaccess that is unread": {files: map[string]string{ini: noBase, "/var/www/html/.htaccess": "php_value open_basedir /var/www/html\n"}, more: override("None")},
		"htaccess and admin":      {files: map[string]string{ini: noBase, "/var/www/html/.htaccess": "php_value open_basedir /\n"}, more: override("All") + "\nphp_admin_value open_basedir /var/www/html"},
		"another ini":             {files: map[string]string{"/etc/php/8.2/apache2/php.ini": goodIni, "/etc/apache2/conf-enabled/php.conf": "PHPIniDir /etc/own\n", "/etc/own/php.ini": "expose_php = On\n"}},
		"user ini is not read":    {files: map[string]string{ini: noBase, "/var/www/html/.user.ini": "open_basedir = /var/www/html\n"}},
	} {
		t.Run(name, func(t *testing.T) {
			port := real.FreePort(t)
			files := maps.Clone(c.files)
			if files == nil {
				files = map[string]string{}
			}
			files["/etc/apache2/ports.conf"] = fmt.Sprintf("Listen 127.0.0.1:%d\n", port)
			files["/etc/apache2/sites-enabled/site.conf"] = fmt.Sprintf("<VirtualHost *:%d>\nServerName localhost\nDocumentRoot /var/www/html\n%s\n</VirtualHost>\n", port, c.more)
			files["/var/www/html/page.php"], files["/var/www/html/files/page.php"] = page, page
			d := newDisposable(t, quiet(files, "/usr/sbin/nginx", "/usr/sbin/php-fpm8.2"))
			d.apache(port)
			base := fmt.Sprintf("http://localhost:%d", port)
			comparePHP(t, d.judge(facts.Config{}), base+"/page.php", base+"/files/page.php")
		})
	}
}

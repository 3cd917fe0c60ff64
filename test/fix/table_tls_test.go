package fix_test

import "strings"

// certificate makes one for app.example.test that the copy trusts.
const certificate = `mkdir -p /srv/tls; openssl req -x509 -newkey rsa:2048 -nodes -days 90 -subj /CN=app.example.test -addext subjectAltName=DNS:app.example.test \
-addext basicConstraints=critical,CA:TRUE -keyout /srv/tls/key.pem -out /srv/tls/cert.pem 2>/dev/null
cat /srv/tls/cert.pem >>/etc/ssl/certs/ca-certificates.crt; echo '127.0.0.1 app.example.test' >>/etc/hosts
`

const (
	tlsConfig = "audit:\n  urls: [https://app.example.test/]\n  connect_to: 127.0.0.1\n"
	noTLS11   = "! openssl s_client -connect 127.0.0.1:443 -tls1_1 -cipher ALL:@SECLEVEL=0 </dev/null >/dev/null 2>&1"
	noCBC     = "! openssl s_client -connect 127.0.0.1:443 -tls1_2 -cipher AES128-SHA:@SECLEVEL=0 </dev/null >/dev/null 2>&1"
	// ordered succeeds when two offers in opposite orders end with the same suite.
	ordered = `s() { openssl s_client -connect 127.0.0.1:443 -tls1_2 -cipher $1 </dev/null 2>/dev/null | sed -n 's/^ *Cipher *: //p'; }
a=ECDHE-RSA-AES128-GCM-SHA256 b=ECDHE-RSA-AES256-GCM-SHA384; [ "$(s $a:$b)" = "$(s $b:$a)" ]`
)

// sends succeeds when the start page and a page that is not there have a header once, with this value.
func sends(name, value string) string {
	return `for page in / /nothing-here; do curl -skI https://app.example.test$page | tr -d '\r' | grep -ix '` + name + `: ` + value + `' | wc -l | grep -qx 1 || exit 1; done`
}

// headerRows are the same for every server: set writes a header into the site, nested into a place of its own inside.
func headerRows(set func(name, value string) string, nested func(name, value string) string) []row {
	const year = "max-age=31536000; includeSubDomains"
	var rows []row
	for _, h := range []struct{ control, name, value, wrong string }{
		{"I-40", "X-Content-Type-Options", "nosniff", "none"},
		{"I-38", "X-Frame-Options", "SAMEORIGIN", "ALLOWALL"},
		{"I-49", "Strict-Transport-Security", year, "max-age=0"},
	} {
		good := sends(h.name, h.value)
		rows = append(rows,
			row{name: "no " + h.name, topic: "headers", control: h.control, variant: "bad", breaks: ":", good: good},
			row{name: h.name + " says the opposite", topic: "headers", control: h.control, variant: "tricky", breaks: set(h.name, h.wrong), good: good},
			row{name: "a place of its own forgets " + h.name, topic: "headers", control: h.control, variant: "tricky", breaks: nested("X-Own-"+h.control, "1"), good: good},
			row{name: h.name, topic: "headers", control: h.control, variant: "good", breaks: set(h.name, h.value), good: good},
		)
	}
	return rows
}

// tlsRows take the server's words for protocols, suites and order.
func tlsRows(set func(directive string) string, versions, suites, order, on, off string) []row {
	const lax, strict = "ALL:@SECLEVEL=0", "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-RSA-AES128-GCM-SHA256"
	all, two := "TLSv1 TLSv1.1 TLSv1.2 TLSv1.3", "TLSv1.2 TLSv1.3"
	if versions == "SSLProtocol" {
		all, two = "-all +TLSv1 +TLSv1.1 +TLSv1.2 +TLSv1.3", "-all +TLSv1.2 +TLSv1.3"
	}
	return []row{
		{name: "old versions", topic: "tls", control: "I-44", variant: "bad", breaks: set(versions+" "+all) + set(suites+" "+lax), good: noTLS11, alone: true},
		{name: "old versions, in capitals and with blanks", topic: "tls", control: "I-44", variant: "tricky",
			breaks: set(strings.ReplaceAll(versions, "P", "p")+"   "+all) + set(suites+" "+lax), good: noTLS11, alone: true},
		{name: "1.2 and 1.3", topic: "tls", control: "I-44", variant: "good", breaks: set(versions + " " + two), good: noTLS11},
		{name: "suites without forward secrecy", topic: "tls", control: "I-45", variant: "bad", breaks: set(suites + " HIGH:!aNULL"), good: noCBC},
		{name: "one old suite at the end of a good list", topic: "tls", control: "I-45", variant: "tricky", breaks: set(suites + " " + strict + ":AES128-SHA"), good: noCBC},
		{name: "two good suites", topic: "tls", control: "I-45", variant: "good", breaks: set(suites + " " + strict), good: noCBC},
		{name: "the client's order", topic: "tls", control: "I-46", variant: "bad", breaks: set(order + " " + off), good: ordered},
		{name: "the server's order", topic: "tls", control: "I-46", variant: "good", breaks: set(order + " " + on), good: ordered},
	}
}

// apacheTLSKind is Apache with TLS at port 443 alone.
func apacheTLSKind() kind {
	const site = "/etc/apache2/sites-available/tls.conf"
	set := func(directive string) string {
		return "sed -i 's#^</VirtualHost>#  " + directive + "\\n&#' " + site + "\n"
	}
	header := func(name, value string) string { return set(`Header always set ` + name + ` "` + value + `"`) }
	k := kind{
		name: "apache-tls", programs: []string{"/usr/sbin/apache2", "curl", "openssl"}, folders: "/etc/apache2 /etc/php",
		setup: debianApache + certificate + `a2enmod -q ssl headers; a2dissite -q 000-default; sed -i '/^Listen 80/d' /etc/apache2/ports.conf
sed -i '/^\s*SSL\(CipherSuite\|Protocol\|HonorCipherOrder\|Compression\)/d' /etc/apache2/mods-available/ssl.conf
cat >` + site + ` <<'E'
<VirtualHost *:443>
  ServerName app.example.test
  DocumentRoot /srv/site
  SSLEngine on
  SSLCertificateFile /srv/tls/cert.pem
  SSLCertificateKeyFile /srv/tls/key.pem
  <Directory /srv/site>
    Require all granted
  </Directory>
</VirtualHost>
E
a2ensite -q tls; apache2ctl start`,
		config: tlsConfig, restart: "apache2ctl restart", up: "curl -sk -o /dev/null https://app.example.test/", log: "tail -5 /var/log/apache2/error.log; apache2ctl configtest 2>&1",
		rows: tlsRows(set, "SSLProtocol", "SSLCipherSuite", "SSLHonorCipherOrder", "on", "off"),
	}
	for _, r := range headerRows(header, header) {
		if !strings.HasPrefix(r.name, "a place") { // Apache adds the headers of a place to those above
			k.rows = append(k.rows, r)
		}
	}
	const csp = "curl -skI https://app.example.test/ | grep -qi '^content-security-policy:.*default-src .self'"
	k.rows = append(k.rows,
		row{name: "no policy", topic: "headers", control: "I-37", variant: "bad", breaks: ":", good: csp},
		row{name: "a policy that allows everything", topic: "headers", control: "I-37", variant: "tricky", breaks: header("Content-Security-Policy", "default-src *"), good: csp})
	return k
}

// nginxKind is nginx with TLS at port 443, and with the site at port 80 too.
func nginxKind() kind {
	const site = "/etc/nginx/sites-enabled/site"
	set := func(directive string) string {
		return "sed -i 's#^  location / {#  " + directive + ";\\n&#' " + site + "\n"
	}
	header := func(name, value string) string { return set(`add_header ` + name + ` "` + value + `" always`) }
	nested := func(name, value string) string {
		return "sed -i 's#^  location / {#&\\n    add_header " + name + " " + value + ";#' " + site + "\n"
	}
	const quiet = `curl -skI https://app.example.test/ | tr -d '\r' | grep -qix 'server: nginx'`
	const unlisted = `! curl -sk https://app.example.test/list/ | grep -q backup.txt`
	return kind{
		name: "nginx", programs: []string{"/usr/sbin/nginx", "curl", "openssl"}, folders: "/etc/nginx",
		setup: "rm -rf /etc/apache2 /usr/sbin/apache2 /etc/php/*/fpm /usr/sbin/php-fpm*; mkdir -p /srv/site/list; echo hello >/srv/site/index.html; echo hello >/srv/site/list/backup.txt\n" + certificate +
			`rm -f /etc/nginx/sites-enabled/* /etc/nginx/modules-enabled/*; sed -i '/^\s*\(ssl_\|server_tokens\|# server_tokens\)/d; s/^http {/http {\n  server_tokens off;/' /etc/nginx/nginx.conf
cat >` + site + ` <<'E'
server {
  listen 443 ssl;
  server_name app.example.test;
  root /srv/site;
  ssl_certificate /srv/tls/cert.pem;
  ssl_certificate_key /srv/tls/key.pem;
  location / {
  }
}
E
nginx`,
		config: tlsConfig, restart: "nginx -t -q && nginx -s reload; sleep 0.5", up: "curl -sk -o /dev/null https://app.example.test/", log: "nginx -t 2>&1; tail -5 /var/log/nginx/error.log",
		rows: append(append(headerRows(header, nested), tlsRows(set, "ssl_protocols", "ssl_ciphers", "ssl_prefer_server_ciphers", "on", "off")[:1]...),
			row{name: "suites without forward secrecy", topic: "tls", control: "I-45", variant: "bad", breaks: set("ssl_ciphers HIGH:!aNULL"), good: noCBC},
			row{name: "one old suite at the end", topic: "tls", control: "I-45", variant: "tricky", breaks: set("ssl_ciphers ECDHE-RSA-AES256-GCM-SHA384:AES128-SHA"), good: noCBC},
			row{name: "the client's order", topic: "tls", control: "I-46", variant: "bad", breaks: set("ssl_prefer_server_ciphers off"), good: ordered},
			row{name: "the version in Server", topic: "nginx", control: "I-43", variant: "bad", breaks: "sed -i '/server_tokens/d' /etc/nginx/nginx.conf", good: quiet},
			row{name: "one server says it again", topic: "nginx", control: "I-43", variant: "tricky", breaks: set("server_tokens  on"), good: quiet},
			row{name: "one location says it again", topic: "nginx", control: "I-42", variant: "tricky",
				breaks: "sed -i 's#^  location / {#&\\n    server_tokens build;#' " + site, good: quiet, alone: true},
			row{name: "no version", topic: "nginx", control: "I-43", variant: "good", breaks: ":", good: quiet},
			row{name: "a folder is listed", topic: "nginx", control: "I-51", variant: "bad", breaks: set("autoindex on"), good: unlisted},
			row{name: "one location lists", topic: "nginx", control: "I-51", variant: "tricky",
				breaks: set("autoindex off") + "sed -i 's#^  location / {#&\\n    autoindex  on; \\# for now#' " + site, good: unlisted},
			row{name: "nothing is listed", topic: "nginx", control: "I-51", variant: "good", breaks: set("autoindex off"), good: unlisted}),
	}
}

// fpmKind is nginx before php-fpm with two pools.
func fpmKind() kind {
	const www, pool = "/etc/php/8.2/fpm/pool.d/www.conf", "/etc/php/8.2/fpm/php.ini"
	const quiet = `! curl -sI http://127.0.0.1/ | grep -qi '^x-powered-by'`
	page := func(want string) string { return "curl -s http://127.0.0.1/ | grep -q '" + want + "'" }
	return kind{
		name: "php-fpm", programs: []string{"/usr/sbin/nginx", "/usr/sbin/php-fpm8.2", "curl"}, folders: "/etc/php",
		setup: `rm -rf /etc/apache2 /usr/sbin/apache2 /etc/php/*/apache2; mkdir -p /srv/site /run/php
cat >/srv/site/index.php <<'E'
<?php echo ini_get("disable_functions"), " ", @file_get_contents("/etc/passwd") ? "open" : "shut";
E
rm -f /etc/nginx/sites-enabled/* /etc/nginx/modules-enabled/*
cat >/etc/nginx/sites-enabled/site <<'E'
server {
  listen 127.0.0.1:80;
  root /srv/site;
  index index.php;
  location ~ \.php$ { include fastcgi.conf; fastcgi_pass unix:/run/php/php8.2-fpm.sock; }
}
E
sed -i 's/^expose_php.*/expose_php = Off/' ` + pool + `; nginx; php-fpm8.2`,
		config:  "audit:\n  apps:\n  - {name: site, kind: generic, root: /srv/site}\n",
		restart: "php-fpm8.2 -t 2>/dev/null && kill -USR2 $(cat /run/php/php8.2-fpm.pid); sleep 0.5", up: "curl -sf -o /dev/null http://127.0.0.1/", log: "php-fpm8.2 -t 2>&1; tail -5 /var/log/php8.2-fpm.log",
		rows: []row{
			{name: "a pool tells the version", topic: "php", control: "I-29", variant: "bad", breaks: "sed -i 's/^expose_php.*/expose_php = On/' " + pool, good: quiet},
			{name: "a pool overrides the file", topic: "php", control: "I-29", variant: "tricky", breaks: "echo 'php_admin_value[expose_php] = 1' >>" + www, good: quiet},
			{name: "a pool's flag", topic: "php", control: "I-29", variant: "tricky", breaks: "echo ' php_flag[expose_php]=on' >>" + www, good: quiet},
			{name: "a quiet pool", topic: "php", control: "I-29", variant: "good", breaks: "echo 'php_admin_flag[expose_php] = off' >>" + www, good: quiet},
			{name: "no function is disabled in a pool", topic: "php", control: "I-28", variant: "bad", breaks: ":", good: page("pcntl_exec")},
			{name: "a later file of the pools", topic: "php", control: "I-28", variant: "tricky",
				breaks: "echo 'disable_functions = phpinfo,pcntl_fork' >/etc/php/8.2/fpm/conf.d/40-own.ini", good: page("pcntl_exec.*phpinfo")},
			{name: "a pool reads everything", topic: "php", control: "I-27", variant: "bad", breaks: ":", good: page("shut")},
			{name: "a folder above the site's is allowed", topic: "php", control: "I-27", variant: "tricky",
				breaks: "echo 'open_basedir = /srv/site/:/etc/' >/etc/php/8.2/fpm/conf.d/40-base.ini", good: page("shut")},
		},
	}
}

// hostKind is a host without servers.
func hostKind() kind {
	const app = "/srv/desk"
	writes := func(name string) string {
		return "! setpriv --reuid=www-data --regid=www-data --init-groups sh -c 'exec 3>>" + app + "/" + name + "'"
	}
	return kind{
		name: "host", programs: []string{"setpriv", "getfacl", "setfacl", "/usr/bin/unattended-upgrade"}, folders: "/etc/apt/apt.conf.d /etc/sysctl.d " + app,
		setup: `mkdir -p ` + app + `/upload; echo '<?php' >` + app + `/index.php; chown -R root:www-data ` + app + `; chmod -R u=rwX,g=rX,o= ` + app + `; chown www-data ` + app + `/upload
rm -f /etc/apt/apt.conf.d/*periodic* /etc/apt/apt.conf.d/20auto-upgrades`,
		config: "audit:\n  apps:\n  - {name: desk, kind: generic, root: " + app + ", data: [upload], web_user: www-data}\n",
		state:  "cat /proc/sys/net/ipv6/conf/*/disable_ipv6",
		rows: []row{
			{name: "IPv6 is on", topic: "system", control: "I-97", variant: "bad", breaks: ":", good: "! ping -6 -c1 -W1 ::1 >/dev/null 2>&1 && ! ip -6 addr show dev lo | grep -q inet6"},
			{name: "the web server writes a file", topic: "files", control: "D-24", variant: "bad", breaks: "chmod g+w " + app + "/index.php", good: writes("index.php"), alone: true},
			{name: "an access list lets it write", topic: "files", control: "D-24", variant: "tricky", breaks: "setfacl -m u:www-data:rw " + app + "/index.php", good: writes("index.php"), alone: true},
			{name: "no seal", topic: "files", control: "I-71", variant: "bad", breaks: ":", good: "! sh -c 'exec 3>>" + app + "/index.php' 2>/dev/null", alone: true},
		},
	}
}

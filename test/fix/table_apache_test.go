package fix_test

// debianApache leaves Apache with PHP as Debian configures it, and no other web server.
const debianApache = `rm -rf /etc/nginx /usr/sbin/nginx /etc/php/*/fpm /usr/sbin/php-fpm*; mkdir -p /srv/site/list
echo '<?php echo 1;' >/srv/site/index.php; echo hello >/srv/site/list/backup.txt; echo '<!--#echo var="DATE_LOCAL" -->' >/srv/site/page.shtml
echo 'ServerName localhost' >/etc/apache2/conf-enabled/name.conf
sed -i 's#DocumentRoot .*#DocumentRoot /srv/site#' /etc/apache2/sites-available/000-default.conf
sed -i 's#Options Indexes FollowSymLinks#Options FollowSymLinks#' /etc/apache2/apache2.conf
sed -i 's/^ServerTokens.*/ServerTokens Prod/; s/^ServerSignature.*/ServerSignature Off/' /etc/apache2/conf-available/security.conf
`

// apacheKind is Apache with PHP at port 80.
func apacheKind() kind {
	return kind{
		name: "apache", programs: []string{"/usr/sbin/apache2", "curl"},
		folders: "/etc/apache2 /etc/php /srv/site",
		setup:   debianApache + "apache2ctl start",
		config:  "audit:\n  apps:\n  - {name: site, kind: generic, root: /srv/site}\n",
		restart: "apache2ctl restart",
		up:      "curl -s -o /dev/null http://127.0.0.1/",
		log:     "tail -5 /var/log/apache2/error.log; apache2ctl configtest 2>&1",
		rows:    append(apacheRows(), phpModuleRows()...),
	}
}

const (
	security = "/etc/apache2/conf-available/security.conf"
	siteFile = "/etc/apache2/sites-available/000-default.conf"
)

// inSite puts lines into the virtual host.
func inSite(lines string) string {
	return "sed -i 's#^</VirtualHost>#" + lines + "\\n</VirtualHost>#' " + siteFile + "\n"
}

func apacheRows() []row {
	const (
		server    = `curl -sI http://127.0.0.1/ | tr -d '\r' | grep -qx 'Server: Apache'`
		unsigned  = `! curl -s http://127.0.0.1/nothing-here | grep -q '<address>'`
		unlisted  = `! curl -s http://127.0.0.1/list/ | grep -q backup.txt`
		noInclude = `curl -s http://127.0.0.1/page.shtml | grep -q '#echo'`
		root      = "<Directory /srv/site>\\n  Require all granted\\n"
	)
	module := func(name string) string { return "! apache2ctl -M 2>/dev/null | grep -q " + name + "_module" }
	return []row{
		{name: "the version in Server", topic: "apache", control: "I-43", variant: "bad", breaks: "sed -i 's/^ServerTokens.*/ServerTokens OS/' " + security, good: server},
		{name: "a site read later says it again", topic: "apache", control: "I-43", variant: "tricky", breaks: "echo 'ServerTokens Full' >>" + siteFile, good: server},
		{name: "a file that sorts after ours", topic: "apache", control: "I-43", variant: "tricky", breaks: "echo ' servertokens  Minimal' >/etc/apache2/conf-enabled/zzz.conf", good: server},
		{name: "only the product", topic: "apache", control: "I-43", variant: "good", breaks: ":", good: server},

		{name: "signed error pages", topic: "apache", control: "I-42", variant: "bad", breaks: "sed -i 's/^ServerSignature.*/ServerSignature On/' " + security, good: unsigned},
		{name: "one site signs", topic: "apache", control: "I-42", variant: "tricky", breaks: inSite("  ServerSignature EMail"), good: unsigned},
		{name: "one folder signs", topic: "apache", control: "I-42", variant: "tricky", breaks: inSite("  <Location /nothing-here>\\n    ServerSignature On\\n  </Location>"), good: unsigned},
		{name: "no signature", topic: "apache", control: "I-42", variant: "good", breaks: ":", good: unsigned},

		{name: "a folder is listed", topic: "apache", control: "I-51", variant: "bad", breaks: inSite(root + "  Options Indexes FollowSymLinks\\n</Directory>"), good: unlisted},
		{name: "one option more is listing", topic: "apache", control: "I-51", variant: "tricky",
			breaks: inSite(root + "  Options FollowSymLinks\\n</Directory>\\n<Location /list>\\n  Options +Indexes\\n</Location>"), good: unlisted},
		{name: "Options All", topic: "apache", control: "I-51", variant: "tricky", breaks: inSite(root + "  Options All\\n</Directory>"), good: unlisted},
		{name: "pages include", topic: "apache", control: "I-51", variant: "tricky",
			breaks: "a2enmod -q include\n" + inSite(root+"  Options Includes Indexes\\n  AddOutputFilter INCLUDES .shtml\\n</Directory>"), good: noInclude},
		{name: "nothing is listed", topic: "apache", control: "I-51", variant: "good", breaks: inSite(root + "  Options -Indexes +FollowSymLinks\\n</Directory>"), good: unlisted},

		{name: "WebDAV is loaded", topic: "apache", control: "I-15", variant: "bad", breaks: "a2enmod -q dav", good: module("dav")},
		{name: "a comment uses the module", topic: "apache", control: "I-15", variant: "tricky",
			breaks: "a2enmod -q dav; echo '# Dav On' >>" + siteFile, good: module("dav")},
	}
}

func phpModuleRows() []row {
	const quiet = `! curl -sI http://127.0.0.1/ | grep -qi '^x-powered-by'`
	page := func(want string) string {
		return `out=$(curl -si http://127.0.0.1/probe.php); echo "$out"; echo "$out" | grep -q '` + want + `'`
	}
	probe := func(code string) string { return "echo '<?php " + code + "' >/srv/site/probe.php\n" }
	ini := "/etc/php/8.2/apache2/php.ini"
	return []row{
		{name: "PHP tells its version", topic: "php", control: "I-29", variant: "bad", breaks: "sed -i 's/^expose_php.*/expose_php = On/' " + ini, good: quiet},
		{name: "a site turns it on again", topic: "php", control: "I-29", variant: "tricky",
			breaks: "sed -i 's/^expose_php.*/expose_php = Off/' " + ini + "\n" + inSite("  php_admin_value expose_php 1"), good: quiet},
		{name: "a later file of conf.d", topic: "php", control: "I-29", variant: "tricky",
			breaks: "sed -i 's/^expose_php.*/expose_php = Off/' " + ini + "; echo 'expose_php = yes' >/etc/php/8.2/apache2/conf.d/99-own.ini", good: quiet},
		{name: "PHP is quiet", topic: "php", control: "I-29", variant: "good", breaks: "sed -i 's/^expose_php.*/expose_php = Off/' " + ini, good: quiet},

		{name: "no function is disabled", topic: "php", control: "I-28", variant: "bad",
			breaks: "sed -i 's/^disable_functions.*/disable_functions =/' " + ini + "\n" + probe(`echo ini_get("disable_functions");`), good: page("pcntl_exec")},
		{name: "a later list takes the first away", topic: "php", control: "I-28", variant: "tricky",
			breaks: "echo 'disable_functions = pcntl_fork,phpinfo' >/etc/php/8.2/apache2/conf.d/30-own.ini\n" + probe(`echo ini_get("disable_functions");`), good: page("pcntl_exec.*phpinfo")},

		{name: "PHP reads everything", topic: "php", control: "I-27", variant: "bad", breaks: probe(`echo @file_get_contents("/etc/passwd") ? "open" : "shut";`), good: page("shut"), alone: true},
		{name: "the whole disk is allowed", topic: "php", control: "I-27", variant: "tricky",
			breaks: "echo 'open_basedir = /srv/site/:/' >/etc/php/8.2/apache2/conf.d/30-own.ini\n" + probe(`echo @file_get_contents("/etc/passwd") ? "open" : "shut";`), good: page("shut"), alone: true},

		{name: "a module for developers", topic: "php", control: "I-16", variant: "bad",
			breaks: "printf 'extension=xdebug.so\\n' >/etc/php/8.2/mods-available/xdebug.ini; ln -s /etc/php/8.2/mods-available/xdebug.ini /etc/php/8.2/apache2/conf.d/20-xdebug.ini"},
	}
}

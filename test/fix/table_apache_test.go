package fix_test

// apacheKind is Apache at port 80 as Debian configures it.
func apacheKind() kind {
	return kind{
		name: "apache", programs: []string{"/usr/sbin/apache2", "curl"},
		folders: "/etc/apache2 /etc/php /srv/site",
		setup: `rm -rf /etc/nginx /usr/sbin/nginx /etc/php/*/fpm /usr/sbin/php-fpm*; mkdir -p /srv/site; echo '<?php echo 1;' >/srv/site/index.php
echo 'ServerName localhost' >/etc/apache2/conf-enabled/name.conf; apache2ctl start`,
		restart: "apache2ctl restart",
		up:      "curl -sf -o /dev/null http://127.0.0.1/",
		rows:    apacheRows(),
	}
}

func apacheRows() []row {
	return []row{
		{name: "the version in Server", topic: "apache", control: "I-43", variant: "bad", breaks: "sed -i 's/^ServerTokens.*/ServerTokens OS/' /etc/apache2/conf-available/security.conf",
			good: "curl -sI http://127.0.0.1/ | tr -d '\\r' | grep -qx 'Server: Apache'"},
		{name: "a site read later says it again", topic: "apache", control: "I-43", variant: "tricky",
			breaks: "sed -i 's/^ServerTokens.*/ServerTokens Prod/' /etc/apache2/conf-available/security.conf; echo 'ServerTokens Full' >>/etc/apache2/sites-available/000-default.conf",
			good:   "curl -sI http://127.0.0.1/ | tr -d '\\r' | grep -qx 'Server: Apache'"},
	}
}

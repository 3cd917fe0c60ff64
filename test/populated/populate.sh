# Makes a host with everything on it out of the disposable copy in which it runs, and starts it. $1 is the number of files
# that the application's folder gets beside its own. Servers are the real ones, on the ports that are theirs.
set -e
export LC_ALL=C.UTF-8 PATH=/usr/sbin:/usr/bin:/sbin:/bin
umask 022
ip link set lo up
ip link add outer0 type veth peer name outer1
ip address add 192.0.2.10/24 dev outer0
ip link set outer0 up; ip link set outer1 up
ip route add default via 192.0.2.1
printf 'nameserver 127.0.0.1\n' >/etc/resolv.conf
printf '127.0.0.1 localhost\n127.0.0.1 %s\n' "$(hostname)" >/etc/hosts
mkdir -p /run/lock /run/sshd /run/php /run/apache2 /run/lock/apache2 /run/fail2ban /run/mysqld /run/postgresql /etc/tls
chown mysql /run/mysqld; chown postgres /run/postgresql

# An authority that this host trusts, and one certificate for all of its names.
cd /etc/tls
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout root.key -out root.crt -days 3650 -subj '/CN=Company root' 2>/dev/null
openssl req -newkey rsa:2048 -nodes -keyout site.key -out site.csr -subj /CN=wiki.example.test 2>/dev/null
printf 'subjectAltName=DNS:wiki.example.test,DNS:mail.example.test,DNS:mta-sts.example.test\nextendedKeyUsage=serverAuth\n' >site.ext
openssl x509 -req -in site.csr -CA root.crt -CAkey root.key -CAcreateserial -days 90 -extfile site.ext -out site.crt 2>/dev/null
chmod 600 root.key site.key
cat root.crt >>/etc/ssl/certs/ca-certificates.crt

# People, SSH and cron.
useradd --create-home --shell /bin/bash --groups sudo anna
printf 'anna:%s\n' "$(openssl passwd -6 "$(openssl rand -hex 12)")" | chpasswd -e
install -d -o anna -m 700 /home/anna/.ssh
ssh-keygen -q -t ed25519 -N '' -C anna -f /tmp/anna
install -o anna -m 600 /tmp/anna.pub /home/anna/.ssh/authorized_keys
ssh-keygen -A >/dev/null
cat >/etc/ssh/sshd_config.d/00-local.conf <<'END'
PermitRootLogin no
PasswordAuthentication no
AllowUsers *@10.0.0.0/8
END
/usr/sbin/sshd
printf '17 3 * * * root /usr/bin/doorward audit --format nagios\n' >/etc/cron.d/doorward-audit
cron
cat >/etc/apt/apt.conf.d/20auto-upgrades <<'END'
APT::Periodic::Update-Package-Lists "1";
APT::Periodic::Unattended-Upgrade "1";
END

# Databases.
setpriv --reuid=mysql --regid=mysql --init-groups mariadbd >/var/log/mariadb.log 2>&1 &
printf "listen_addresses = 'localhost'\n" >>/etc/postgresql/15/main/postgresql.conf
pg_ctlcluster 15 main start

# The application: Debian's DokuWiki behind Apache and PHP, behind nginx, behind Doorward.
install -d /var/www/wiki
printf 'Listen 127.0.0.1:8081\n' >/etc/apache2/ports.conf
cat >/etc/apache2/sites-available/000-default.conf <<'END'
<VirtualHost 127.0.0.1:8081>
	ServerName wiki.example.test
	DocumentRoot /usr/share/dokuwiki
	ErrorLog ${APACHE_LOG_DIR}/error.log
	CustomLog ${APACHE_LOG_DIR}/access.log combined
</VirtualHost>
END
sed 's/^order allow,deny/Require all granted/; s/^Allow from.*//; /Allow from/d' /etc/dokuwiki/apache.conf >/etc/apache2/conf-enabled/dokuwiki.conf
a2enmod -q php8.2 rewrite >/dev/null
printf 'ServerName wiki.example.test\n' >/etc/apache2/conf-enabled/name.conf
printf '%s\n' '# <?php exit()?>' 'admin:$2y$10$abcdefghijklmnopqrstuuM1dNKp1dMlJzVyzTb9xKqLrwQOyHu2q:Admin:admin@example.test:admin,user' >/var/lib/dokuwiki/acl/users.auth.php
printf '%s\n' '# <?php exit()?>' '* @ALL 1' >/var/lib/dokuwiki/acl/acl.auth.php
chown -R www-data /var/lib/dokuwiki/acl /var/lib/dokuwiki/data
apache2ctl start
cat >/etc/nginx/sites-enabled/default <<'END'
server {
	listen 127.0.0.1:8080;
	server_name wiki.example.test;
	server_tokens off;
	location / { proxy_pass http://127.0.0.1:8081; proxy_set_header Host $host; }
}
END
nginx
if [ "$1" -gt 0 ]; then
	mkdir -p /srv/helpdesk/data
	cd /srv/helpdesk
	seq 1 "$1" | awk '{ dir = "src/part" int($1 / 100); if (!(dir in made)) { system("mkdir -p " dir); made[dir] = 1 } f = dir "/file" $1 ".php"; print "<?php // " $1 >f; close(f) }'
	chown www-data data
fi

# What watches, and what stands in the way.
cat >/etc/fail2ban/jail.local <<'END'
[DEFAULT]
banaction = nftables-multiport
[sshd]
backend = polling
logpath = /var/log/auth.log
maxretry = 3
END
printf '%s host sshd[1]: Server listening on 0.0.0.0 port 22.\n' "$(date '+%b %d %T')" >/var/log/auth.log
rm -f /var/lib/fail2ban/fail2ban.sqlite3
fail2ban-client -b start >/dev/null
cat >/etc/nftables.conf <<'END'
#!/usr/sbin/nft -f
flush ruleset
table inet filter {
	chain input {
		type filter hook input priority 0; policy drop;
		iif lo accept
		ct state established,related accept
		meta l4proto { icmp, ipv6-icmp } accept
		tcp dport { 80, 443 } accept
		ip saddr 10.0.0.0/8 tcp dport 22 accept
	}
	chain output {
		type filter hook output priority 0; policy drop;
		oif lo accept
		ct state established,related accept
		udp dport { 53, 123 } accept
	}
}
END
systemctl enable nftables 2>/dev/null
nft -f /etc/nftables.conf

# Backups, logs, and evidence for what people say.
install -d -m 700 /srv/backup
tar -C /etc -czf /srv/backup/etc.tar.gz hostname
printf 'restored and compared\n' >/srv/backup/drill
printf '%s admin changed a right\n' "$(date -Is)" >/var/log/wiki-actions.log
printf '%s nothing to say\n' "$(date -Is)" >/var/log/wiki-errors.log
printf 'shown to the auditor\n' >/root/evidence.txt

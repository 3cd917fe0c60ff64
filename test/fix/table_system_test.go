package fix_test

// systemKind is the host's own accounts, jobs and records.
func systemKind() kind {
	return kind{
		name: "system", programs: []string{"/usr/sbin/cron", "/usr/sbin/sendmail", "/usr/bin/sudo", "/usr/sbin/visudo", "setpriv", "su"},
		folders: "/etc/cron.d /etc/crontab /etc/sudoers /etc/sudoers.d /etc/shadow /etc/passwd /usr/local/bin /opt /var/log/wtmp /var/log/lastlog",
		setup: `rm -rf /etc/mysql /etc/apache2 /etc/nginx; rm -f /etc/cron.d/* /etc/sudoers.d/*; mkdir -p /opt/jobs /opt/work
useradd -m -s /bin/bash -G sudo anna; usermod -p '*' anna; useradd -m -s /bin/bash job; usermod -p '*' job
[ -e /var/log/wtmp ] || { touch /var/log/wtmp; chown root:utmp /var/log/wtmp; chmod 664 /var/log/wtmp; }
touch /var/log/lastlog
printf '#!/bin/sh\necho done; echo boom >&2\n' >/opt/jobs/night.sh; cp /opt/jobs/night.sh /opt/work/night.sh; cp /opt/jobs/night.sh /opt/work/other; chmod 755 /opt/jobs/night.sh /opt/work/*`,
		config: "audit:\n  administrators: [anna]\n",
		rows:   systemRows(),
	}
}

func systemRows() []row {
	tab := func(name, text string) string {
		return "cat >/etc/cron.d/" + name + " <<'E'\n" + text + "\nE\nchmod 644 /etc/cron.d/" + name + "\n"
	}
	job := func(text string) string { return tab("night", text) }
	work := func(text string) string { return tab("work", text) }
	const (
		// mailed does what cron would do with the job of the last line, and succeeds when there is something to mail to somebody.
		mailed = "! grep -q '^MAILTO=\"\"' /etc/cron.d/night && sh -c \"$(sed -n 's/^[*0-9 @a-z]* root //p' /etc/cron.d/night | tail -1)\" 2>&1 | grep -q boom"
		asJob  = "setpriv --reuid=job --regid=job --clear-groups "
		sudo   = "! setpriv --reuid=anna --regid=anna --init-groups sudo -n true"
	)
	rows := []row{
		{name: "errors are thrown away", topic: "cron", control: "I-89", variant: "bad", breaks: job("0 3 * * * root /opt/jobs/night.sh >/dev/null 2>&1"), good: mailed},
		{name: "mail to nobody", topic: "cron", control: "I-89", variant: "tricky", breaks: job("MAILTO=\"\"\n0 3 * * * root /opt/jobs/night.sh"), good: mailed},
		{name: "errors go where the output went before", topic: "cron", control: "I-89", variant: "tricky", breaks: job("MAILTO=root\n@daily root /opt/jobs/night.sh 2>/dev/null  >  /dev/null"), good: mailed},
		{name: "the output alone is thrown away", topic: "cron", control: "I-89", variant: "good", breaks: job("0 3 * * * root /opt/jobs/night.sh 2>&1 >/dev/null"), good: mailed},

		{name: "a job of root that everybody may change", topic: "cron", control: "F-24", variant: "bad", breaks: work("0 3 * * * root /opt/work/night.sh") + "chmod 777 /opt/work/night.sh", good: "! " + asJob + "test -w /opt/work/night.sh"},
		{name: "the folder of a job is another account's", topic: "cron", control: "F-24", variant: "tricky", breaks: work("0 3 * * * root cd /tmp && nice /opt/work/night.sh") + "chown job /opt/work", good: "! " + asJob + "test -w /opt/work"},
		{name: "a script behind run-parts", topic: "cron", control: "F-24", variant: "tricky", breaks: work("0 3 * * * root run-parts /opt/work") + "chgrp job /opt/work/other; chmod 775 /opt/work/other", good: "! " + asJob + "test -w /opt/work/other"},
		{name: "jobs of root's own", topic: "cron", control: "F-24", variant: "good", breaks: work("0 3 * * * root /opt/work/night.sh"), good: "! " + asJob + "test -w /opt/work/night.sh"},

		{name: "sudo asks for no password", topic: "system", control: "F-24", variant: "bad", breaks: "echo '%sudo ALL=(ALL:ALL) NOPASSWD: ALL' >/etc/sudoers.d/90-own; chmod 440 /etc/sudoers.d/90-own", good: sudo},
		{name: "a later file of sudoers.d, and Defaults", topic: "system", control: "F-24", variant: "tricky", breaks: "echo 'anna ALL=(ALL) ALL' >/etc/sudoers.d/10-anna; echo 'anna ALL=(root) NOPASSWD:SETENV: ALL' >/etc/sudoers.d/zz; chmod 440 /etc/sudoers.d/*", good: sudo},

		{name: "logins are not recorded", topic: "files", control: "F-25", variant: "bad", breaks: "rm -f /var/log/wtmp* /var/log/lastlog", good: "[ \"$(stat -c %a:%G /var/log/wtmp)\" = 664:utmp ]"},
		{name: "logins are recorded", topic: "files", control: "F-25", variant: "good", breaks: ":", good: "[ -e /var/log/wtmp ]"},

		{name: "a password that is the account's name", topic: "system", control: "I-80", variant: "bad", breaks: "echo anna:anna | chpasswd", good: "grep -q '^anna:!' /etc/shadow"},
		{name: "no password at all", topic: "system", control: "I-80", variant: "tricky", breaks: "usermod -p '' anna", good: "! setpriv --reuid=job --regid=job --clear-groups su anna -c true </dev/null"},
		{name: "passwords that nobody guesses", topic: "system", control: "I-80", variant: "good", breaks: "echo anna:kT9-vLq2-xWz8-hRb4 | chpasswd", good: "! grep -q '^anna:!' /etc/shadow"},
	}
	return rows
}

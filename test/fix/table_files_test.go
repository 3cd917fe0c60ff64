package fix_test

// sealKind is an application with its folders, of an account of its own (mail), which a web server runs as www-data: with files of
// the web server the profile all never passes D-24.
func sealKind() kind {
	return kind{
		name: "files", programs: []string{"setpriv", "lsattr", "getfacl", "setfacl"},
		folders: "/srv/www",
		setup: `mkdir -p /srv/www/i-doit; cd /srv/www/i-doit; mkdir -p src log imports temp upload/files
echo '<?php $g_db_system = array("user" => "x", "pass" => "y");' >src/config.inc.php; echo 1 >index.php; echo x >upload/files/a; printf '#!/bin/sh\n' >controller
chown -R mail:www-data .; find . -type f -exec chmod 440 {} +; find . -type d -exec chmod 550 {} +; chmod 550 controller
find log imports temp upload -type d -exec chmod 770 {} +; touch upload/probe; chattr +i upload/probe && chattr -i upload/probe && rm upload/probe`,
		config: "audit:\n  apps:\n  - {name: cmdb, kind: idoit, root: /srv/www/i-doit, web_user: www-data}\n",
		rows:   sealRows(),
	}
}

// Repairs of the seal are always done, so that these controls have no good rows.
//
// sealByHand is what a person would do, for rows whose control asks for the flag.
const sealByHand = "cd /srv/www/i-doit; chattr -R +i index.php src controller; chattr +i .\n"

func sealRows() []row {
	web := func(script string) string {
		return "( cd /srv/www/i-doit && setpriv --reuid=www-data --regid=www-data --init-groups sh -c '" + script + "' )"
	}
	stranger := func(script string) string {
		return "( cd /srv/www/i-doit && setpriv --reuid=nobody --regid=nogroup --clear-groups sh -c '" + script + "' )"
	}
	const in = "cd /srv/www/i-doit; "
	// The owner of a file may chmod it, unless it is immutable; root's slips are stopped by the flag only.
	immutable := "! ( cd /srv/www/i-doit && mv index.php index.old 2>/dev/null && mv index.old index.php )"
	rows := []row{
		{name: "everybody may write a program", control: "D-24", variant: "bad", breaks: in + "chown mail:mail index.php; chmod 666 index.php", good: "! " + web("test -w index.php")},
		{name: "an access list lets the web server write", control: "D-24", variant: "tricky", breaks: in + "chown mail:www-data index.php; chmod 440 index.php; setfacl -m u:www-data:rw index.php", good: "! " + web("test -w index.php")},
		{name: "the web server may add files to a folder", control: "D-24", variant: "tricky", breaks: in + "chown mail:www-data src; chmod 2770 src", good: "! " + web("echo 2 >src/evil.php && rm src/evil.php")},
		{name: "an access list that its mask cuts", control: "D-24", variant: "good", breaks: in + "chown mail:www-data index.php; setfacl -m u:www-data:rw index.php; chmod g-w index.php", good: "! " + web("test -w index.php")},

		{name: "everybody may write uploads", control: "D-26", variant: "bad", breaks: in + "chmod o+x .; chmod -R o+rwX upload", good: "! " + stranger("test -w upload/files") + " && " + web("echo x >upload/files/b && rm upload/files/b")},
		{name: "one folder of uploads is root's", control: "D-26", variant: "tricky", breaks: in + "mkdir upload/files/deep; chown root:root upload/files/deep; chmod 755 upload/files/deep", good: web("echo x >upload/files/deep/b && rm upload/files/deep/b")},
		{name: "data folders of the web server", control: "D-26", variant: "good", breaks: ":", good: web("echo x >upload/files/b && rm upload/files/b")},

		{name: "other accounts read the configuration", control: "I-69", variant: "bad", breaks: in + "chmod 444 src/config.inc.php; chmod 755 src .", good: "! " + stranger("cat src/config.inc.php")},
		{name: "a tool cannot be run", control: "I-70", variant: "bad", breaks: in + "chmod 440 controller", good: web("./controller")},
		{name: "nothing is immutable", control: "I-71", variant: "bad", breaks: ":", good: immutable},
		{name: "all but one folder is immutable", control: "I-71", variant: "tricky", breaks: sealByHand + "chattr -i .", good: immutable + " && ! ( cd /srv/www/i-doit && touch new 2>/dev/null && rm new )"},
		{name: "a folder for logs that is sealed", control: "I-72", variant: "bad", breaks: in + "chmod 550 log", good: web("echo x >log/a && rm log/a")},
		{name: "a folder for logs that is immutable", control: "I-72", variant: "tricky", breaks: in + "chattr +i log", good: web("echo x >log/a && rm log/a")},
		{name: "an update that was forgotten", control: "I-74", variant: "bad", breaks: in + "chmod -R ug+w src", good: "! " + web("test -w src/config.inc.php")},
		{name: "the group may write still", control: "D-25", variant: "tricky", breaks: in + "chmod g+w index.php; chown mail index.php", good: "! " + web("test -w index.php")},
	}
	for i := range rows {
		rows[i].topic, rows[i].alone = "files", true
	}
	return rows
}

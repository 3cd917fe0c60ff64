package fix_test

// asteriskKind is configuration of Asterisk alone: no package of it is to be had on Debian 12, so that nothing live is asked, and the
// names of the rows say fixture.
func asteriskKind() kind {
	return kind{
		name: "asterisk", programs: []string{"/bin/sh"},
		folders: "/etc/asterisk",
		setup: `mkdir -p /etc/asterisk/templates.d
cat >/etc/asterisk/sip.conf <<'E'
[general]
alwaysauthreject=yes
allowguest=no
#tryinclude "templates.d/*.conf"

[1001]
type=friend
host=dynamic
secret=uF7#mQz9!pLw
E
cat >/etc/asterisk/manager.conf <<'E'
[general]
enabled=yes
bindaddr=127.0.0.1
[billing]
secret=qM8!wXc5#tRd
deny=0.0.0.0/0.0.0.0
permit=127.0.0.1/255.255.255.255
E
chmod 640 /etc/asterisk/*.conf`,
		config: "audit: {}\n",
		rows:   asteriskRows(),
	}
}

func asteriskRows() []row {
	add := func(file, text string) string { return "cat >>/etc/asterisk/" + file + " <<'E'\n" + text + "\nE\n" }
	rows := []row{
		{name: "fixture: calls without a password", control: "M-10", variant: "bad", breaks: add("sip.conf", "[1002]\ntype=friend\nhost=dynamic\nsecret=xR5&nBv2*jHs\ninsecure=port,invite")},
		{name: "fixture: insecure by a template of another file", control: "M-10", variant: "tricky", breaks: add("templates.d/a.conf", "[open](!)\ninsecure=very") + add("sip.conf", "[1002](open)\ntype=friend\nhost=dynamic\nsecret=xR5&nBv2*jHs")},
		{name: "fixture: a later section of the same name adds a line", control: "M-10", variant: "tricky", breaks: add("sip.conf", "[1002]\ntype=friend\nhost=dynamic\nsecret=xR5&nBv2*jHs\n[1001](+)\nsecret=")},
		{name: "fixture: the auth of pjsip is in a comment", control: "M-10", variant: "tricky", breaks: add("pjsip.conf", "[desk]\ntype=endpoint\naors=desk\n;--\nauth=desk\n--;\n[desk]\ntype=aor\nmax_contacts=1")},
		{name: "fixture: insecure=port alone", control: "M-10", variant: "good", breaks: add("sip.conf", "[1002]\ntype=friend\nhost=dynamic\nsecret=xR5&nBv2*jHs\ninsecure=port")},

		{name: "fixture: the password is the extension", control: "M-11", variant: "bad", breaks: add("sip.conf", "[2002]\ntype=friend\nhost=dynamic\nsecret=2002")},
		{name: "fixture: one secret for all by a template", control: "M-11", variant: "tricky", breaks: add("sip.conf", "[hall](!)\ntype=friend\nhost=dynamic\nsecret=wP3+zKq8?dMf\n[2002](hall)\n[2003](hall)\ncallerid=x")},
		{name: "fixture: a weak password in a section of pjsip of its own", control: "M-11", variant: "tricky", breaks: add("pjsip.conf", "[hall]\ntype=endpoint\nauth=hall-in\naors=hall\n[hall-in]\ntype=auth\nauth_type=userpass\nusername=hall\npassword=hall1234\n[hall]\ntype=aor\nmax_contacts=1")},
		{name: "fixture: a long secret each", control: "M-11", variant: "good", breaks: add("sip.conf", "[2002]\ntype=friend\nhost=dynamic\nsecret=wP3+zKq8?dMf")},

		{name: "fixture: a trunk from anywhere", control: "M-17", variant: "bad", breaks: add("sip.conf", "[provider]\ntype=peer\nhost=203.0.113.7\nsecret=cV9%rTg4,sNb")},
		{name: "fixture: a permit after the deny", control: "M-17", variant: "tricky", breaks: add("sip.conf", "[provider]\ntype=peer\nhost=203.0.113.7\nsecret=cV9%rTg4,sNb\ndeny=0.0.0.0/0\npermit=203.0.113.7\npermit=0.0.0.0/0.0.0.0")},
		{name: "fixture: a trunk that is held to its address", control: "M-17", variant: "good", breaks: add("sip.conf", "[provider]\ntype=peer\nhost=203.0.113.7\nsecret=cV9%rTg4,sNb\ndeny=0.0.0.0/0.0.0.0\npermit=203.0.113.7/255.255.255.255")},

		{name: "fixture: the manager interface is open", control: "M-25", variant: "bad", breaks: "sed -i 's/^bindaddr.*/bindaddr=0.0.0.0/; /^permit/d; s/^deny.*/permit=0.0.0.0\\/0/' /etc/asterisk/manager.conf"},
		{name: "fixture: a later bindaddr, and a later permit", control: "M-25", variant: "tricky", breaks: "sed -i 's/^bindaddr.*/&\\nbindaddr=0.0.0.0/' /etc/asterisk/manager.conf\n" + add("manager.conf", "permit=0.0.0.0/0.0.0.0")},
		{name: "fixture: an account whose password is its name", control: "M-25", variant: "tricky", breaks: add("manager.conf", "[wallboard]\nsecret=wallboard1\ndeny=0.0.0.0/0\npermit=127.0.0.1/32")},
		{name: "fixture: a manager interface of the host's own", control: "M-25", variant: "good", breaks: ":"},
	}
	for i := range rows {
		rows[i].topic = "asterisk"
	}
	return rows
}

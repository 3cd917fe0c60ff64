package fix_test

import (
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/test/real"
)

const sealedApp = "/var/www/html/i-doit"

// web tries something as the web server's account.
func (h *host) web(script string) error {
	h.t.Helper()
	_, err := h.try("cd " + sealedApp + " && setpriv --reuid=www-data --regid=www-data --init-groups sh -c '" + script + "'")
	return err
}

func TestSeal(t *testing.T) {
	t.Parallel()
	h := newHost(t, "setpriv", "lsattr", "getfacl", "setfacl")
	h.run(`mkdir -p ` + sealedApp + ` && cd ` + sealedApp + ` && mkdir -p src log imports temp upload/files
echo '<?php $g_db_system = array("user" => "x", "pass" => "y");' >src/config.inc.php; echo 1 >index.php; echo x >upload/files/a; printf '#!/bin/sh\n' >controller; chmod +x controller
ln -s index.php link; chown -R www-data:www-data .; chmod 4755 controller; setfacl -m u:mail:rw src/config.inc.php; chown root:root index.php
touch probe; chattr +i probe && chattr -i probe && rm probe`)
	h.write("/root/doorward.yaml", "audit:\n  apps:\n  - {name: cmdb, kind: idoit, root: "+sealedApp+"}\n")
	before := h.snapshot(sealedApp)
	if err := h.web("echo evil >src/evil.php && rm src/evil.php"); err != nil {
		t.Fatalf("before the seal the web server can write: %v", err)
	}
	out := h.run("doorward fix apply I-69 I-70 I-71 I-72 --yes -c /root/doorward.yaml")
	for _, id := range []string{"I-69", "I-70", "I-71", "I-72"} {
		h.has(out, id+": pass")
	}
	for _, attempt := range []string{"echo evil >src/evil.php", "echo evil >>index.php", "rm -f index.php", "mv src old", "chmod u+w src/config.inc.php", "ln -s /etc evil", "mkdir evil",
		"chattr -i index.php", "cp /bin/sh controller", "setfacl -m u:www-data:rwx src", "touch index.php"} {
		if err := h.web(attempt); err == nil {
			t.Errorf("under the seal the web server can: %s", attempt)
		}
	}
	for _, works := range []string{"cat index.php src/config.inc.php", "./controller", "echo data >upload/files/b && rm upload/files/b", "echo line >log/app.log", "rm log/app.log"} {
		if err := h.web(works); err != nil {
			t.Errorf("under the seal the application cannot: %s: %v", works, err)
		}
	}

	out = h.run("doorward unseal --app cmdb --for 20s --reason 'update to 33'")
	h.has(out, "the seal of cmdb is lifted until")
	h.has(h.run("doorward fix history"), "kept until")
	if err := h.web("echo 2 >index.php; echo new >src/new.php; rm link"); err != nil {
		t.Errorf("the update does not work: %v", err)
	}
	real.Eventually(t, 60*time.Second, "the seal to be put on again", func() bool {
		out, err := h.try("doorward fix history")
		return err == nil && strings.Contains(out, "1 added, 1 removed, 1 changed")
	})
	h.has(h.run("cat /var/lib/doorward-fix/*-reseal-cmdb/report.json"), "src/new.php")
	for _, attempt := range []string{"echo evil >>src/new.php", "echo evil >>index.php", "echo evil >src/evil.php"} {
		if err := h.web(attempt); err == nil {
			t.Errorf("under the new seal the web server can: %s", attempt)
		}
	}
	h.watchEnds()

	h.run("doorward unseal --app cmdb --for 1h --reason 'take it back'; cd " + sealedApp + "; echo 1 >index.php; rm src/new.php; ln -s index.php link; chown -h www-data:www-data link")
	h.has(h.run("doorward unseal --app cmdb --end"), "1 added, 1 removed, 1 changed")
	h.run("doorward fix undo --all")
	if now := h.snapshot(sealedApp); now != before {
		t.Errorf("the application is\n%s\nand was\n%s", now, before)
	}
	h.watchEnds()
}

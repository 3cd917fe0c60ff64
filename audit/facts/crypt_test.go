package facts_test

import (
	"strings"
	"testing"

	"github.com/doorward/doorward/audit/facts"
)

// TestHashes: the hashes were made by libxcrypt's crypt(3); each but the last of a kind is of a common password.
func TestHashes(t *testing.T) {
	f := collect(t, shadowed(), facts.Config{})
	got := f.Values["accounts"].(facts.Accounts)
	for _, h := range got.Hashes {
		kind, want, _ := strings.Cut(h.Name, "-")
		if h.Kind != kind || h.Guessed != (want == "bad" && kind != "yescrypt") || h.Tried == (kind == "yescrypt") {
			t.Errorf("%s: got kind %q, guessed %v, tried %v", h.Name, h.Kind, h.Guessed, h.Tried)
		}
	}
	if len(got.Hashes) != 10 {
		t.Errorf("got %d hashes", len(got.Hashes))
	}
	if r := reason(f, "accounts.all_tried"); !strings.Contains(r, "yescrypt-bad") {
		t.Errorf("all_tried is missing because %q, want the accounts that were not tried", r)
	}
}

// shadowed is a host whose accounts are named by how their passwords are hashed, and whether they are common.
func shadowed() string {
	return `
-- etc/passwd --
md5crypt-bad:x:1000:1000::/home/x:/bin/sh
md5crypt-good:x:1001:1001::/home/x:/bin/sh
sha256crypt-bad:x:1002:1002::/home/x:/bin/sh
sha256crypt-good:x:1003:1003::/home/x:/bin/sh
sha512crypt-bad:x:1004:1004::/home/x:/bin/sh
sha512crypt-good:x:1005:1005::/home/x:/bin/sh
bcrypt-bad:x:1006:1006::/home/x:/bin/sh
bcrypt-good:x:1007:1007::/home/x:/bin/sh
yescrypt-bad:x:1008:1008::/home/x:/bin/sh
yescrypt-good:x:1009:1009::/home/x:/bin/sh
-- etc/shadow --
md5crypt-bad:$1$abcdefgh$xY/ZI7a75E6mkxGKMv8n7/:20000:0:99999:7:::
md5crypt-good:$1$abcdefgh$fY90n0fSWdJjmZDz8l05t.:20000:0:99999:7:::
sha256crypt-bad:$5$saltsalt$G4NgQjb.wnydZTvDSerrrlI/ktboaOYuUFgr4SCQO17:20000:0:99999:7:::
sha256crypt-good:$5$saltsalt$8mliCwenM16ptpbpYkIclsb08x7.MbdZzcrVOmbBYu/:20000:0:99999:7:::
sha512crypt-bad:$6$rounds=1234$saltstring$KHMu3UlBeqsCByuinQZ7etUPW3tnwQIQXJ.mIXDxPhFApXcSPd8t0lSDlsBHEIv.Yh85/w7NRAGEatkmDi0.P0:20000:0:99999:7:::
sha512crypt-good:$6$rounds=1234$saltstring$RxWbpY2yd/LTdJf5qNFiyzBZaT8EO5tOrohoK814WsmDSoYA5lh83C8XGh2.qJgUCnmPiaTIk2AZK7wIh6NMi.:20000:0:99999:7:::
bcrypt-bad:$2b$04$abcdefghijklmnopqrstuuhDKGX3ioRCGRj4ZKE0S/xoRzya4bp1.:20000:0:99999:7:::
bcrypt-good:$2b$04$abcdefghijklmnopqrstuuln9P/YRLMyZKI.ceyYODyw/FEs393YC:20000:0:99999:7:::
yescrypt-bad:$y$j9T$F5Jx5fExrKuPp53xLKQ..1$Gp.qcQZHxykw1pKvwXyc5MZCeA/EiGOlghiwWrd7i/B:20000:0:99999:7:::
yescrypt-good:$y$j9T$F5Jx5fExrKuPp53xLKQ..1$yZo8kQ2uD3BfRr.k267EiGUJlpmZ9u.P7emhdwJUkQ9:20000:0:99999:7:::
`
}

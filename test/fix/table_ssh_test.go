package fix_test

// sshdSays succeeds when sshd, asked for one connection, says a line.
func sshdSays(line, from string) string {
	return `/usr/sbin/sshd -T -C ` + from + ` | grep -qix "` + line + `"`
}

const (
	anybody  = "user=root,host=client.example,addr=203.0.113.9"
	loopback = "user=root,host=localhost,addr=127.0.0.1"
	noRoot   = "! " + ssh + "true"
	// noPassword succeeds when a stranger is not even asked for a password.
	noPassword = `ssh -v -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o BatchMode=yes -o PubkeyAuthentication=no root@127.0.0.1 true 2>&1 |
tr -d '\r' | grep -q 'Authentications that can continue: publickey$'`
)

// sshKind is a real sshd at port 22 with root's key.
func sshKind() kind {
	return kind{
		name: "sshd", programs: []string{"/usr/sbin/sshd", "/usr/bin/ssh", "/usr/bin/ssh-keygen"},
		folders: "/etc/ssh /root/.ssh",
		setup: `ssh-keygen -A; mkdir -p -m 700 .ssh; rm -f key key.pub; ssh-keygen -q -t ed25519 -N '' -f key; cp key.pub .ssh/authorized_keys
rm -f /etc/ssh/sshd_config.d/*.conf /var/log/auth.log*
/usr/sbin/sshd -E /root/sshd.log; for i in $(seq 50); do ` + ssh + `true && break; sleep 0.1; done
echo "Nov 25 10:00:00 host sshd[77]: $(grep -o 'Accepted publickey for root .*' sshd.log | head -1)" >/var/log/auth.log`,
		restart: `[ ! -e /run/sshd.pid ] || kill $(cat /run/sshd.pid); while [ -e /run/sshd.pid ]; do sleep 0.05; done; /usr/sbin/sshd -E /root/sshd.log`,
		up:      "bash -c 'exec 3<>/dev/tcp/127.0.0.1/22; read -t 2 line <&3; echo $line' | grep SSH-",
		log:     "tail -20 /root/sshd.log; cat /run/sshd.pid; ps ax | grep ssh",
		rows:    sshRows(),
	}
}

func sshRows() []row {
	dropIn := func(name, text string) string {
		return "cat >/etc/ssh/sshd_config.d/" + name + " <<'E'\n" + text + "\nE\n"
	}
	last := func(text string) string { return "cat >>/etc/ssh/sshd_config <<'E'\n" + text + "\nE\n" }
	first := func(text string) string { return "sed -i '1i " + text + "' /etc/ssh/sshd_config\n" }
	return []row{
		{name: "one address takes every place", topic: "sshd", control: "M-36", variant: "bad", breaks: last("PerSourceMaxStartups none"), good: limited},
		{name: "a line after the drop-in wins", topic: "sshd", control: "M-36", variant: "tricky",
			breaks: dropIn("40-limit.conf", "PerSourceMaxStartups 3") + last("PerSourceMaxStartups none"), good: limited},
		{name: "a limit for each source", topic: "sshd", control: "M-36", variant: "good", breaks: last("PerSourceMaxStartups 3"), good: limited},

		{name: "passwords suffice", topic: "sshd", control: "I-06", variant: "bad", breaks: last("PasswordAuthentication yes\nKbdInteractiveAuthentication no"), good: noPassword},
		{name: "PAM asks for the password", topic: "sshd", control: "I-06", variant: "tricky",
			breaks: "sed -i '/^KbdInteractiveAuthentication/d' /etc/ssh/sshd_config\n" + dropIn("20-no.conf", "PasswordAuthentication no"), good: noPassword},
		{name: "the older name of a directive", topic: "sshd", control: "I-06", variant: "tricky",
			breaks: "sed -i '/^KbdInteractiveAuthentication/d' /etc/ssh/sshd_config\n" + dropIn("00-aa.conf", "PasswordAuthentication no\nChallengeResponseAuthentication yes"), good: noPassword},
		{name: "passwords for one network", topic: "sshd", control: "M-05", variant: "tricky",
			breaks: dropIn("20-no.conf", "PasswordAuthentication no\nKbdInteractiveAuthentication no") + last("Match Address 127.0.0.1\n  PasswordAuthentication yes"), good: noPassword, alone: true},
		{name: "keys only", topic: "sshd", control: "I-06", variant: "good", breaks: dropIn("20-no.conf", "PasswordAuthentication no\nKbdInteractiveAuthentication no"), good: noPassword},

		{name: "keys are off", topic: "sshd", control: "I-05", variant: "bad", breaks: last("PubkeyAuthentication no"), good: sshdSays("pubkeyauthentication yes", anybody), alone: true},
		{name: "a Match block switches keys off", topic: "sshd", control: "I-05", variant: "tricky",
			breaks: last("PubkeyAuthentication yes\nMatch Address 127.0.0.0/8\n  PubkeyAuthentication no"), good: sshdSays("pubkeyauthentication yes", loopback), alone: true},
		{name: "everybody writes authorized_keys", topic: "files", control: "I-05", variant: "tricky", breaks: "chmod 666 /root/.ssh/authorized_keys", good: ssh + "true", alone: true},
		{name: "keys are taken", topic: "sshd", control: "I-05", variant: "good", breaks: dropIn("10-keys.conf", "PubkeyAuthentication yes"), good: ssh + "true", alone: true},

		{name: "root signs in", topic: "sshd", control: "I-03", variant: "bad", breaks: last("PermitRootLogin yes"), good: noRoot},
		{name: "a Match block lets root in", topic: "sshd", control: "I-03", variant: "tricky",
			breaks: dropIn("10-no.conf", "PermitRootLogin no") + last("Match Address 127.0.0.1\n  PermitRootLogin yes"), good: noRoot},
		{name: "a drop-in wins over sshd_config", topic: "sshd", control: "I-03", variant: "tricky",
			breaks: last("PermitRootLogin no") + dropIn("50-cloud.conf", "PermitRootLogin yes"), good: noRoot},
		{name: "a drop-in that sorts before ours", topic: "sshd", control: "I-03", variant: "tricky",
			breaks: dropIn("00-aaa.conf", "PermitRootLogin=yes"), good: noRoot},
		{name: "a line before the Include", topic: "sshd", control: "I-03", variant: "tricky",
			breaks: first("PermitRootLogin yes") + dropIn("50-no.conf", "PermitRootLogin no"), good: noRoot},
		{name: "a Match block in a drop-in", topic: "sshd", control: "I-03", variant: "tricky",
			breaks: last("PermitRootLogin no") + dropIn("50-backup.conf", "Match User root\n\tpermitrootlogin  without-password"), good: noRoot},
		{name: "no PermitRootLogin anywhere", topic: "sshd", control: "I-03", variant: "tricky", breaks: "sed -i '/PermitRootLogin/d' /etc/ssh/sshd_config", good: noRoot},
		{name: "root is kept out", topic: "sshd", control: "I-03", variant: "good", breaks: dropIn("10-no.conf", "PermitRootLogin no"), good: noRoot},
	}
}

// limited succeeds when one address gets no twenty connections that have not signed in.
const limited = `bash -c 'for i in 1 2 3 4 5 6 7 8 9; do (exec 3<>/dev/tcp/127.0.0.1/22; read -t 1 line <&3; echo "$line"; sleep 1.5) & done 2>/dev/null; wait' | grep -c SSH- | { read n; [ $n -lt 9 ]; }`

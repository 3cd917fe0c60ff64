package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/doorward/doorward/firewall"
)

const watchNamespace = "dwbench"

var nsenter = []string{"nsenter", "--net=/run/netns/" + watchNamespace}

// inNamespace calls f in a network namespace. Sockets that it makes stay there. The thread comes back from it: if it ended, the kernel
// would tell the programs that it started that their parent had died.
func inNamespace(name string, f func() error) (err error) {
	runtime.LockOSThread()
	own, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		runtime.UnlockOSThread()
		return err
	}
	defer own.Close()
	there, err := os.Open("/run/netns/" + name)
	if err != nil {
		runtime.UnlockOSThread()
		return err
	}
	defer there.Close()
	if err = unix.Setns(int(there.Fd()), unix.CLONE_NEWNET); err == nil {
		err = f()
	}
	back := unix.Setns(int(own.Fd()), unix.CLONE_NEWNET)
	if back == nil {
		runtime.UnlockOSThread()
	}
	return errors.Join(err, back)
}

// kernelEvents hears of every change of the namespace's nftables.
type kernelEvents struct{ conn *netlink.Conn }

func listenKernel() (*kernelEvents, error) {
	var k kernelEvents
	err := inNamespace(watchNamespace, func() (err error) {
		if k.conn, err = netlink.Dial(unix.NETLINK_NETFILTER, nil); err != nil {
			return err
		}
		return errors.Join(k.conn.SetReadBuffer(8<<20), k.conn.JoinGroup(unix.NFNLGRP_NFTABLES))
	})
	if err != nil {
		return nil, fmt.Errorf("hear of changes in the kernel: %w", err)
	}
	return &k, nil
}

// element waits until a set has the address, and returns when that was heard.
func (k *kernelEvents) element(a netip.Addr, until time.Time) (time.Time, error) {
	if err := k.conn.SetReadDeadline(until); err != nil {
		return time.Time{}, err
	}
	for {
		messages, err := k.conn.Receive()
		at := time.Now()
		if err != nil && !errors.Is(err, unix.ENOBUFS) {
			return at, fmt.Errorf("wait for %s in the kernel: %w", a, err)
		}
		for _, m := range messages {
			if uint16(m.Header.Type) == unix.NFNL_SUBSYS_NFTABLES<<8|unix.NFT_MSG_NEWSETELEM && bytes.Contains(m.Data, a.AsSlice()) {
				return at, nil
			}
		}
	}
}

// watchKernel measures what needs a kernel to ban in: that of a network namespace of its own.
func (b *bench) watchKernel(ctx context.Context, r *watchResult) error {
	if err := installed("ip", "nft", "nsenter"); err != nil {
		return err
	}
	_ = exec.Command("ip", "netns", "del", watchNamespace).Run() // of a run that was killed
	if out, err := exec.CommandContext(ctx, "sh", "-c", "ip netns add "+watchNamespace+" && ip -n "+watchNamespace+" link set lo up").CombinedOutput(); err != nil {
		return fmt.Errorf("make a network namespace: %w: %s", err, out)
	}
	defer func() { _ = exec.Command("ip", "netns", "del", watchNamespace).Run() }()
	for _, measure := range []func(context.Context, *watchResult) error{b.delaysDoorward, b.delaysFail2ban, b.restarts, b.restartFail2ban} {
		if err := measure(ctx, r); err != nil {
			return err
		}
	}
	return nil
}

// runEnforce starts the enforcer in the namespace; config is of the server that it works for.
func (b *bench) runEnforce(config, socket string) (*process, error) {
	return runProcess("doorward enforce", append(slices.Clone(nsenter), b.file("doorward"), "enforce", "--config", config, "--socket", socket,
		"--as", "nobody", "--client", "root")...)
}

// startEnforce starts the enforcer and waits until it answers.
func (b *bench) startEnforce(ctx context.Context, config, socket string) (*process, error) {
	p, err := b.runEnforce(config, socket)
	if err != nil {
		return nil, err
	}
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if link, err := firewall.Dial(ctx, socket); err == nil {
			link.Close()
			return p, nil
		}
		if time.Now().After(end) || ctx.Err() != nil {
			p.stop()
			return nil, fmt.Errorf("start the enforcer: it does not answer\n%s", p.log)
		}
	}
}

// fail2banWithAction makes a folder of that name for a fail2ban whose action is nftables' own: the folder, the empty log that it reads, and its
// configuration.
func (b *bench) fail2banWithAction(name string) (dir, read, folder string, err error) {
	dir = b.file(name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", "", "", err
	}
	read = filepath.Join(dir, "read.log")
	if err := os.WriteFile(read, nil, 0o644); err != nil {
		return "", "", "", err
	}
	folder, err = fail2banFolder(dir, jail{filter: "sshd", log: read, retry: delayRetry, findTime: "10m", action: "nftables[type=multiport]"})
	return dir, read, folder, err
}

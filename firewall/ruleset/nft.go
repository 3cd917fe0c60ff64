package ruleset

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// nftTime bounds one run of nft.
const nftTime = 30 * time.Second

// nft runs nft with a text on its standard input.
func nft(ctx context.Context, stdin string, args ...string) (string, error) {
	return command(ctx, nil, stdin, "nft", args...)
}

func command(ctx context.Context, attributes *syscall.SysProcAttr, stdin, name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, nftTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	var out, said bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = strings.NewReader(stdin), &out, &said, attributes
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8"}
	err := cmd.Run()
	switch {
	case errors.Is(err, exec.ErrNotFound):
		return "", fmt.Errorf("%s is not installed: apt-get install nftables", name)
	case err != nil:
		text := said.String()
		return "", fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, strings.TrimSpace(text[:min(len(text), 1500)]))
	}
	return out.String(), nil
}

// listing is how nft shows our table without counters and without what came into sets by itself.
var listing = [...]string{"-s", "-t", "list", "table", "inet", TableName}

// InForce is the base ruleset in the kernel as nft writes it; empty when there is none. It takes root.
func InForce(ctx context.Context) (string, error) {
	tables, err := nft(ctx, "", "list", "tables", "inet")
	if err != nil {
		return "", err
	}
	if !strings.Contains(tables+"\n", "table inet "+TableName+"\n") {
		return "", nil
	}
	return nft(ctx, "", listing[:]...)
}

// Written is how nft writes a ruleset back once it is in force. It is put into force in a network of its own that nothing is
// connected to, and vanishes with it; so a ruleset that the kernel refuses is refused here, and changes nothing. It takes root.
func Written(ctx context.Context, text string) (string, error) {
	script := "nft -f - && exec nft " + strings.Join(listing[:], " ")
	out, err := command(ctx, &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}, text, "sh", "-c", script)
	if err != nil {
		return "", fmt.Errorf("try the ruleset: %w", err)
	}
	return out, nil
}

// put puts a text into force, in one transaction.
func put(ctx context.Context, text string) error {
	_, err := nft(ctx, text, "-f", "-")
	return err
}

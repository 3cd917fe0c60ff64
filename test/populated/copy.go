// Package populated makes a host with everything on it that the security guides speak of, out of a disposable copy of this machine:
// an overlay over the root, with processes and a network of its own. Nothing of it stays, and nothing gets out. It knows what is
// installed and started there; it must not know what the audit says of it.
package populated

import (
	"context"
	_ "embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

//go:embed copy.sh
var copyScript string

// InCopy is a command that runs this very program, with the arguments, in a disposable copy of this machine. The copy lies below dir,
// which must be empty. doorward, if not empty, becomes the copy's /usr/bin/doorward. It needs root.
func InCopy(ctx context.Context, dir, doorward string, args ...string) (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	for name, from := range map[string]string{"program": self, "doorward": doorward} {
		if from == "" {
			continue
		}
		if out, err := exec.CommandContext(ctx, "cp", from, filepath.Join(dir, name)).CombinedOutput(); err != nil {
			return nil, fmt.Errorf("copy %s: %w: %s", from, err, out)
		}
	}
	all := append([]string{"--mount", "--net", "--pid", "--fork", "--kill-child", "--propagation", "private", "sh", "-c", copyScript, "sh"}, args...)
	cmd := exec.CommandContext(ctx, "unshare", all...)
	cmd.Dir = dir
	return cmd, nil
}

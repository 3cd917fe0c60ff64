package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"sync"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/doorward/doorward/app"
	"github.com/doorward/doorward/config"
	"github.com/doorward/doorward/firewall"
)

// enforceFlags are the flags of doorward enforce.
type enforceFlags struct {
	config, socket, user, client string
}

func newEnforce(s streams) *cobra.Command {
	var f enforceFlags
	c := &cobra.Command{
		Use:   "enforce",
		Short: "Drop the packets of banned addresses in the kernel",
		Long: `Enforce keeps nftables sets, in a table of Doorward's own, equal to the bans that doorward serve tells it. It is a process of its
own because it is the only one that needs a privilege: it keeps CAP_NET_ADMIN, gives everything else away, and answers a few
requests of doorward serve's user and of root on a unix socket. The allow list of the configuration file, which has to be root's,
is checked here again; a change of the file counts before the next ban, and within ten seconds or at a SIGHUP for those in force.

Started by root it becomes the user of --as. Under systemd the unit doorward-enforce.service starts it. Bans stay in the kernel
until their time when it ends.`,
		Example: "  doorward enforce --config /etc/doorward/doorward.yaml",
		Args:    exactly(),
	}
	flags := c.Flags()
	flags.StringVarP(&f.config, "config", "c", config.DefaultPath, "the configuration file; its section firewall counts")
	flags.StringVar(&f.socket, "socket", "", "where to listen, when systemd passes no socket; default: firewall.socket")
	flags.StringVar(&f.user, "as", "doorward-enforce", "the user to become when root starts it")
	flags.StringVar(&f.client, "client", "doorward", "the user, beside root, whose requests are carried out")
	c.MarkFlagFilename("config", "yaml", "yml")
	c.RunE = func(c *cobra.Command, _ []string) error { return enforce(c.Context(), s, f) }
	return c
}

func enforce(ctx context.Context, s streams, f enforceFlags) error {
	before, _ := fileStateOf(f.config) // an error is the loading's too
	cfg, err := loadConfig(f.config, config.LoadFirewall)
	if err != nil {
		return err
	}
	if err := rootsOwn(f.config); err != nil {
		return failure("chown root: "+f.config+"; chmod 644 "+f.config, "trust the allow list: %w", err)
	}
	if f.socket == "" {
		f.socket = cfg.Firewall.Socket
	}
	if os.Geteuid() == 0 && os.Getenv("LISTEN_FDS") == "" {
		if err := prepareFolder(filepath.Dir(f.socket), f.user); err != nil {
			return failure("install packaging/systemd/doorward.sysusers, which makes the user, or name another with --as", "make the socket's folder: %w", err)
		}
	}
	if err := firewall.Confine(f.user); err != nil {
		return failure("install packaging/systemd/doorward.sysusers, which makes the user, or name another with --as", "give rights away: %w", err)
	}
	log := slog.New(cfg.Log.Handler(s.err))
	client, err := user.Lookup(f.client)
	if err != nil {
		return failure("name the user that runs doorward serve with --client", "find the client's user: %w", err)
	}
	uid, err := strconv.Atoi(client.Uid)
	if err != nil {
		return failure("", "find the client's user: %w", err)
	}
	allow := &allowList{path: f.config, log: log, seen: before, list: allowedBy(cfg)}
	enforcer, err := firewall.NewEnforcer(allow.now, log)
	if err != nil {
		return failure("", "make the firewall's table: %w", err)
	}
	l, err := enforceSocket(f.socket)
	switch {
	case errors.Is(err, fs.ErrPermission):
		return failure(fmt.Sprintf("%s has to be able to write to %s", f.user, filepath.Dir(f.socket)), "%w", err)
	case err != nil:
		return failure("", "%w", err)
	}
	return runEnforce(ctx, enforcer, firewall.NewServer(enforcer, []int{uid}, log), l, log)
}

// runEnforce runs both parts until ctx ends or one of them fails.
func runEnforce(ctx context.Context, e *firewall.Enforcer, server *firewall.Server, l *net.UnixListener, log *slog.Logger) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var parts sync.WaitGroup
	var keepErr, serveErr error
	parts.Go(func() { defer cancel(); keepErr = e.Run(ctx) })
	parts.Go(func() { followHangups(ctx, e) })
	parts.Go(func() { defer cancel(); serveErr = server.Serve(ctx, l) })
	log.Info("ready", slog.String("socket", l.Addr().String()))
	parts.Wait()
	if err := errors.Join(keepErr, serveErr); err != nil {
		return failure("", "enforce: %w", err)
	}
	log.Info("stopped; the bans stay in the kernel until their time")
	return nil
}

// enforceSocket is the socket that systemd passed, or one at path.
func enforceSocket(path string) (*net.UnixListener, error) {
	passed, err := app.Sockets()
	if err != nil {
		return nil, err
	}
	for _, list := range passed {
		for _, l := range list {
			if one, ok := l.(*net.UnixListener); ok {
				return one, nil
			}
		}
	}
	return firewall.Listen(path)
}

// rootsOwn refuses a file that others than root can change.
func rootsOwn(path string) error {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return fmt.Errorf("look at %s: %w", path, err)
	}
	if st.Uid != 0 || st.Mode&0o022 != 0 {
		return fmt.Errorf("%s can be changed by others than root", path)
	}
	return nil
}

// prepareFolder makes the folder of the socket for the user that enforce becomes. One that is there already is left as it is.
func prepareFolder(dir, name string) error {
	if err := os.Mkdir(dir, 0o755); err != nil {
		if errors.Is(err, os.ErrExist) {
			return nil
		}
		return err
	}
	u, err := user.Lookup(name)
	if err != nil {
		return errors.Join(err, os.Remove(dir))
	}
	uid, err1 := strconv.Atoi(u.Uid)
	gid, err2 := strconv.Atoi(u.Gid)
	return errors.Join(err1, err2, os.Chown(dir, uid, gid), os.Chmod(dir, 0o755))
}

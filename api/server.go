package api

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/user"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/doorward/doorward/auth"
)

// Server answers commands on the admin socket. Make one with Listen, start it with Run.
type Server struct {
	listener *net.UnixListener
	http     *http.Server
	socket   string
}

// ErrInUse says that another Doorward already listens on the socket.
var ErrInUse = errors.New("another doorward already uses this data folder")

// Listen opens the socket, mode 0600. A socket that a dead process left is replaced; one that somebody
// still listens on gives ErrInUse.
func Listen(socket string, h *Handler) (*Server, error) {
	if err := removeStale(socket); err != nil {
		return nil, err
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", socket, err)
	}
	// Before this the folder's mode (0700) and the peer check keep others out. A umask would close that moment
	// too, but it is the whole process's, and would take from other goroutines' new folders the right to enter.
	if err := os.Chmod(socket, 0o600); err != nil {
		l.Close()
		return nil, fmt.Errorf("protect %s: %w", socket, err)
	}
	s := &Server{listener: l, socket: socket}
	s.http = &http.Server{
		Handler:           s.requireActor(h),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      5 * time.Minute, // verifying a long journal takes its time
		IdleTimeout:       10 * time.Second,
		MaxHeaderBytes:    8 << 10,
		ErrorLog:          slog.NewLogLogger(h.deps.Log.Handler(), slog.LevelWarn),
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			who, err := peer(c)
			if err != nil {
				h.deps.Log.Warn("refuse command", slog.Any("error", err))
				return ctx
			}
			return withActor(ctx, who)
		},
	}
	return s, nil
}

// removeStale removes a socket that nobody answers on, and nothing else that has that name.
func removeStale(socket string) error {
	info, err := os.Lstat(socket)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look at %s: %w", socket, err)
	}
	if info.Mode().Type() != fs.ModeSocket {
		return fmt.Errorf("%s is in the way and is not a socket; move it elsewhere", socket)
	}
	c, err := net.DialTimeout("unix", socket, time.Second)
	if err == nil {
		c.Close()
		return fmt.Errorf("%w (%s)", ErrInUse, socket)
	}
	if !errors.Is(err, unix.ECONNREFUSED) {
		return fmt.Errorf("%w (%s): %w", ErrInUse, socket, err)
	}
	if err := os.Remove(socket); err != nil {
		return fmt.Errorf("remove stale socket: %w", err)
	}
	return nil
}

// peer asks the kernel who is on the other end. Only root and the daemon's own user may command it: the
// mode of the socket says so already, but a mode can be changed by mistake.
func peer(c net.Conn) (auth.Actor, error) {
	u, ok := c.(*net.UnixConn)
	if !ok {
		return auth.Actor{}, fmt.Errorf("connection of type %T has no credentials", c)
	}
	raw, err := u.SyscallConn()
	if err != nil {
		return auth.Actor{}, fmt.Errorf("reach the socket: %w", err)
	}
	var cred *unix.Ucred
	var credErr error
	if err := raw.Control(func(fd uintptr) { cred, credErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) }); err != nil {
		return auth.Actor{}, fmt.Errorf("reach the socket: %w", err)
	}
	if credErr != nil {
		return auth.Actor{}, fmt.Errorf("read peer credentials: %w", credErr)
	}
	if cred.Uid != 0 && int(cred.Uid) != os.Geteuid() {
		return auth.Actor{}, fmt.Errorf("user %d may not command doorward", cred.Uid)
	}
	return ActorOf(int(cred.Uid)), nil
}

// ActorOf is the actor that the journal names for a command of the user with this id on this machine.
func ActorOf(uid int) auth.Actor {
	name := strconv.Itoa(uid)
	if u, err := user.LookupId(name); err == nil {
		name = u.Username
	}
	return auth.Actor{Name: "cli:" + name, Origin: "local"}
}

// requireActor refuses connections whose user is not known or may not command.
func (s *Server) requireActor(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := actor(r); err != nil {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Connection", "close")
			w.WriteHeader(http.StatusForbidden)
			fmt.Fprintln(w, `{"error":"only root and the user that runs doorward may do this"}`)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// Run answers commands until ctx ends, then lets those under way finish for up to five seconds.
func (s *Server) Run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() {
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		if s.http.Shutdown(end) != nil {
			s.http.Close()
		}
	})
	defer stop()
	if err := s.http.Serve(s.listener); err != nil && !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve admin socket: %w", err)
	}
	return nil
}

// Close stops listening and removes the socket.
func (s *Server) Close() error {
	err := s.http.Close()
	// The HTTP server only knows listeners that it has served.
	if closeErr := s.listener.Close(); closeErr != nil && !errors.Is(closeErr, net.ErrClosed) {
		err = errors.Join(err, closeErr)
	}
	return err
}

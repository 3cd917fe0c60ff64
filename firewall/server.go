package firewall

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	maxConnections = 16 // at once
	maxPerUser     = 6  // so that one user cannot keep root from asking
	maxIdle        = 2 * time.Minute
	maxPause       = 10 * time.Second // within a line, and to take an answer
)

// Server answers requests on a unix socket. It is for root and the users that it is told, whom the kernel names.
type Server struct {
	enforcer *Enforcer
	users    []int
	log      *slog.Logger

	mu   sync.Mutex
	open map[int]int // connections by user
}

// NewServer makes a server for root and the users with these ids.
func NewServer(e *Enforcer, users []int, log *slog.Logger) *Server {
	return &Server{enforcer: e, users: append([]int{0}, users...), log: log, open: map[int]int{}}
}

// Listen opens the socket at path. A socket that a dead process left is replaced. Everybody may connect, and the kernel tells who
// does: a mode would need a group that both sides are in.
func Listen(path string) (*net.UnixListener, error) {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, fmt.Errorf("look at %s: %w", path, err)
	case info.Mode().Type() != fs.ModeSocket:
		return nil, fmt.Errorf("%s is in the way and is not a socket; move it elsewhere", path)
	default:
		if c, err := net.DialTimeout("unix", path, time.Second); err == nil {
			c.Close()
			return nil, fmt.Errorf("another process answers on %s", path)
		}
		if err := os.Remove(path); err != nil {
			return nil, fmt.Errorf("remove the old socket: %w", err)
		}
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	if err := os.Chmod(path, 0o666); err != nil {
		l.Close()
		return nil, fmt.Errorf("open %s to others: %w", path, err)
	}
	return l, nil
}

// Serve answers until ctx ends.
func (s *Server) Serve(ctx context.Context, l *net.UnixListener) error {
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer stop()
	var all sync.WaitGroup
	defer all.Wait()
	for {
		c, err := l.AcceptUnix()
		switch {
		case ctx.Err() != nil:
			if err == nil {
				c.Close()
			}
			return nil
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("accept: %w", err)
		case err != nil: // no file descriptors, for one
			s.log.Warn("a connection could not be taken", slog.Any("error", err))
			select {
			case <-time.After(100 * time.Millisecond):
			case <-ctx.Done():
			}
			continue
		}
		all.Go(func() { s.serve(ctx, c) })
	}
}

// serve answers one connection.
func (s *Server) serve(ctx context.Context, c *net.UnixConn) {
	defer c.Close()
	stop := context.AfterFunc(ctx, func() { c.Close() })
	defer stop()
	user, err := peer(c)
	if err == nil && !slices.Contains(s.users, user) {
		err = fmt.Errorf("user %d may not command the firewall", user)
	}
	if err == nil && !s.admit(user) {
		err = fmt.Errorf("user %d has too many connections", user)
	}
	if err != nil {
		s.log.Warn("connection refused", slog.Any("error", err))
		_ = send(c, answer{Error: err.Error()}) // it may be gone already
		return
	}
	defer s.leave(user)
	in, session := bufio.NewReaderSize(c, maxLine), session{enforcer: s.enforcer}
	for {
		line, err := readLine(c, in)
		if err != nil {
			if !errors.Is(err, io.EOF) && !errors.Is(err, os.ErrDeadlineExceeded) && ctx.Err() == nil {
				s.log.Warn("connection ended", slog.Any("error", err))
				_ = send(c, answer{Error: err.Error()})
			}
			return
		}
		r, err := parseRequest(line)
		if err != nil { // whoever speaks another language is not listened to any more
			s.log.Warn("connection ended", slog.Any("error", err))
			_ = send(c, answer{Error: err.Error()})
			return
		}
		if send(c, session.handle(r)) != nil {
			return
		}
	}
}

func (s *Server) admit(user int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	total := 0
	for _, n := range s.open {
		total += n
	}
	if total >= maxConnections || s.open[user] >= maxPerUser {
		return false
	}
	s.open[user]++
	return true
}

func (s *Server) leave(user int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open[user]--
}

// readLine reads one line. A client may be silent between lines, but not within one.
func readLine(c net.Conn, in *bufio.Reader) ([]byte, error) {
	if err := c.SetReadDeadline(time.Now().Add(maxIdle)); err != nil {
		return nil, err
	}
	if _, err := in.Peek(1); err != nil {
		return nil, err
	}
	if err := c.SetReadDeadline(time.Now().Add(maxPause)); err != nil {
		return nil, err
	}
	line, err := in.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		return nil, fmt.Errorf("a line of more than %d bytes", maxLine)
	}
	if err != nil {
		return nil, err
	}
	return line, nil
}

func send(c net.Conn, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("write a line: %w", err)
	}
	if err := c.SetWriteDeadline(time.Now().Add(maxPause)); err != nil {
		return err
	}
	_, err = c.Write(append(text, '\n'))
	return err
}

// peer asks the kernel who is on the other end.
func peer(c *net.UnixConn) (uid int, err error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, fmt.Errorf("reach the socket: %w", err)
	}
	var cred *unix.Ucred
	var credErr error
	if err := raw.Control(func(fd uintptr) { cred, credErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) }); err != nil {
		return 0, fmt.Errorf("reach the socket: %w", err)
	}
	if credErr != nil {
		return 0, fmt.Errorf("ask who is on the other end: %w", credErr)
	}
	return int(cred.Uid), nil
}

package firewall

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// ours are the netlink addresses of this process, so that the monitor can tell our own changes from others'. An address is
// reused by the kernel only after its socket was closed; the oldest are forgotten.
type ours struct {
	mu    sync.Mutex
	ports []uint32
}

func (o *ours) add(port uint32) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.ports = append(o.ports, port); len(o.ports) > 64 {
		o.ports = o.ports[1:]
	}
}

func (o *ours) has(port uint32) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, p := range o.ports {
		if p == port {
			return true
		}
	}
	return false
}

// watcher hears of every change of the kernel's firewall.
type watcher struct {
	own  *ours
	conn *netlink.Conn
}

func newWatcher(own *ours) (*watcher, error) {
	conn, err := netlink.Dial(unix.NETLINK_NETFILTER, nil)
	if err != nil {
		return nil, fmt.Errorf("watch the kernel's firewall: %w", err)
	}
	if err := errors.Join(conn.SetReadBuffer(bufferBytes), conn.JoinGroup(unix.NFNLGRP_NFTABLES)); err != nil {
		return nil, errors.Join(fmt.Errorf("watch the kernel's firewall: %w", err), conn.Close())
	}
	return &watcher{own, conn}, nil
}

// during calls f, for the time of which nothing is heard: the kernel makes a message of each element, which takes it longer than a
// large change itself. Whoever calls looks at the table afterwards.
func (w *watcher) during(f func() error) error {
	// Whoever hears too much loses only time.
	_ = w.conn.LeaveGroup(unix.NFNLGRP_NFTABLES)
	err := f()
	if joined := w.conn.JoinGroup(unix.NFNLGRP_NFTABLES); joined != nil {
		return errors.Join(err, fmt.Errorf("watch the kernel's firewall: %w", joined))
	}
	return err
}

// run tells by a value on changed that somebody else changed our table, or may have. It ends with ctx.
func (w *watcher) run(ctx context.Context, changed chan<- struct{}) error {
	stop := context.AfterFunc(ctx, func() { _ = w.conn.Close() })
	defer stop()
	for {
		messages, err := w.conn.Receive()
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, unix.ENOBUFS): // more at once than there is room for
		case err != nil:
			return fmt.Errorf("watch the kernel's firewall: %w", err)
		}
		foreign := err != nil
		for _, m := range messages {
			foreign = foreign || concerns(m) && !w.own.has(m.Header.PID)
		}
		if foreign {
			select {
			case changed <- struct{}{}:
			default: // it is told already
			}
		}
	}
}

// concerns says whether a message is about our table: in all of them, the first attribute names it.
func concerns(m netlink.Message) bool {
	const attribute, name = 4, 8 // after struct nfgenmsg; after the attribute's own head
	if len(m.Data) < name || uint16(m.Header.Type)>>8 != unix.NFNL_SUBSYS_NFTABLES || uint16(m.Header.Type)&0xff == unix.NFT_MSG_NEWGEN {
		return false
	}
	size, kind := binary.NativeEndian.Uint16(m.Data[attribute:]), binary.NativeEndian.Uint16(m.Data[attribute+2:])
	if kind != unix.NFTA_TABLE_NAME || int(size) < 4 || attribute+int(size) > len(m.Data) {
		return false
	}
	return string(bytes.TrimRight(m.Data[name:attribute+int(size)], "\x00")) == TableName
}

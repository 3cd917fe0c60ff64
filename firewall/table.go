package firewall

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// TableName is the table of the bans, of the family inet. No other table is touched.
const TableName = "doorward"

// priority puts our chains before those of iptables, of Docker and of the base ruleset, which have 0. A drop is final,
// whatever a later chain says.
const priority = -10

const (
	// perCall is how many elements stand in one message: its length has 16 bits, and what does not fit is lost in silence.
	perCall = 500
	// bufferBytes holds a whole transaction on its way to the kernel, and the answers to its messages.
	bufferBytes = 16 << 20
)

// length is one kind of set: all banned networks of one length of one version of IP. A packet's address is masked and looked
// up by its hash, so that networks within one another do not disturb each other.
type length struct {
	v6   bool
	bits int
}

func lengthOf(p netip.Prefix) length { return length{p.Addr().Is6(), p.Bits()} }

func (l length) name() string {
	if l.v6 {
		return fmt.Sprintf("v6_%d", l.bits)
	}
	return fmt.Sprintf("v4_%d", l.bits)
}

func (l length) size() int {
	if l.v6 {
		return 16
	}
	return 4
}

// mask is nil where the whole address is looked up.
func (l length) mask() []byte {
	if l.bits == l.size()*8 {
		return nil
	}
	mask := make([]byte, l.size())
	for i := range l.bits {
		mask[i/8] |= 0x80 >> (i % 8)
	}
	return mask
}

// usual are the lengths that are always there: single addresses, and the /64 that one customer of IPv6 has.
func usual() []length { return []length{{false, 32}, {true, 128}, {true, 64}} }

// kernelTable is the kernel's side: it builds, changes and reads our table. It is used by one goroutine at a time.
type kernelTable struct {
	conn *nftables.Conn
	seen func(port uint32)
}

func newKernelTable(seen func(port uint32)) (*kernelTable, error) {
	k := &kernelTable{seen: seen}
	conn, err := nftables.New(nftables.WithSockOptions(k.prepare))
	if err != nil {
		return nil, fmt.Errorf("reach the kernel's firewall: %w", err)
	}
	k.conn = conn
	return k, nil
}

// prepare sets the buffers of a new socket and notes its address.
func (k *kernelTable) prepare(c *netlink.Conn) error {
	if err := c.SetWriteBuffer(bufferBytes); err != nil {
		return err
	}
	if err := c.SetReadBuffer(bufferBytes); err != nil {
		return err
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	return raw.Control(func(fd uintptr) {
		if a, err := unix.Getsockname(int(fd)); err == nil && k.seen != nil {
			if n, ok := a.(*unix.SockaddrNetlink); ok {
				k.seen(n.Pid)
			}
		}
	})
}

func (k *kernelTable) table() *nftables.Table {
	return &nftables.Table{Name: TableName, Family: nftables.TableFamilyINet}
}

func (k *kernelTable) set(l length) *nftables.Set {
	kind := nftables.TypeIPAddr
	if l.v6 {
		kind = nftables.TypeIP6Addr
	}
	return &nftables.Set{Table: k.table(), Name: l.name(), KeyType: kind, HasTimeout: true, KeyByteOrder: binaryutil.BigEndian}
}

func (k *kernelTable) allowSet(v6 bool) *nftables.Set {
	s := &nftables.Set{Table: k.table(), Name: "allow4", KeyType: nftables.TypeIPAddr, Interval: true, KeyByteOrder: binaryutil.BigEndian}
	if v6 {
		s.Name, s.KeyType = "allow6", nftables.TypeIP6Addr
	}
	return s
}

// build makes the table anew with all its elements, in one transaction: there is no moment without it.
func (k *kernelTable) build(g guard, all map[netip.Prefix]time.Time, counts map[string]Count, now time.Time) error {
	t := k.conn.AddTable(k.table())
	k.conn.DelTable(t)
	t = k.conn.AddTable(t)
	for _, v6 := range []bool{false, true} {
		s := k.allowSet(v6)
		if err := k.conn.AddSet(s, g.intervals(v6)); err != nil {
			return fmt.Errorf("describe the set %s: %w", s.Name, err)
		}
	}
	for _, chain := range []string{"from4", "from6", "to4", "to6"} {
		k.conn.AddChain(&nftables.Chain{Table: t, Name: chain})
	}
	for _, r := range opening() {
		k.rule(r.chain, r.exprs)
	}
	lengths := lengthsOf(all)
	for _, l := range lengths {
		if err := k.addLength(l, counts); err != nil {
			return err
		}
	}
	accept := nftables.ChainPolicyAccept
	for name, hook := range map[string]*nftables.ChainHook{"input": nftables.ChainHookInput, "forward": nftables.ChainHookForward} {
		k.conn.AddChain(&nftables.Chain{Table: t, Name: name, Type: nftables.ChainTypeFilter, Hooknum: hook,
			Priority: nftables.ChainPriorityRef(priority), Policy: &accept})
		k.rule(name, jump(false, "from4"))
		k.rule(name, jump(true, "from6"))
	}
	k.rule("forward", jump(false, "to4"))
	k.rule("forward", jump(true, "to6"))
	if err := k.fill(all, now); err != nil {
		return err
	}
	return k.flush("make the table")
}

// lengthsOf lists the sets that elements need, the usual ones first.
func lengthsOf(all map[netip.Prefix]time.Time) []length {
	list, have := usual(), map[length]bool{}
	for _, l := range list {
		have[l] = true
	}
	for p := range all {
		if l := lengthOf(p); !have[l] {
			have[l] = true
			list = append(list, l)
		}
	}
	slices.SortFunc(list[len(usual()):], func(a, b length) int { return a.bits - b.bits })
	return list
}

// addLength adds a set and the rules that ask it.
func (k *kernelTable) addLength(l length, counts map[string]Count) error {
	s := k.set(l)
	if err := k.conn.AddSet(s, nil); err != nil {
		return fmt.Errorf("describe the set %s: %w", s.Name, err)
	}
	version := "4"
	if l.v6 {
		version = "6"
	}
	for _, way := range []string{"from", "to"} {
		c := counts[way+" "+l.name()]
		k.rule(way+version, slices.Concat(address(l, way == "to"), []expr.Any{
			&expr.Lookup{SourceRegister: 1, SetName: s.Name, SetID: s.ID},
			&expr.Counter{Packets: c.Packets, Bytes: c.Bytes},
			&expr.Verdict{Kind: expr.VerdictDrop},
		}))
	}
	return nil
}

// fill adds the elements of all sets to the transaction.
func (k *kernelTable) fill(all map[netip.Prefix]time.Time, now time.Time) error {
	lists := map[length][]nftables.SetElement{}
	for p, until := range all {
		e := Element{p, until}
		if !e.expired(now) {
			lists[lengthOf(p)] = append(lists[lengthOf(p)], element(e, now))
		}
	}
	for l, list := range lists {
		if err := k.elements(l, list, k.conn.SetAddElements); err != nil {
			return err
		}
	}
	return nil
}

// elements hands a list to the transaction, no more at a time than a message holds.
func (k *kernelTable) elements(l length, list []nftables.SetElement, do func(*nftables.Set, []nftables.SetElement) error) error {
	s := k.set(l)
	for part := range slices.Chunk(list, perCall) {
		if err := do(s, part); err != nil {
			return fmt.Errorf("describe elements of %s: %w", s.Name, err)
		}
	}
	return nil
}

// element is a ban as the kernel takes it. Its timeout is what is left of it; at least a millisecond, because 0 is for good.
func element(e Element, now time.Time) nftables.SetElement {
	s := nftables.SetElement{Key: e.Prefix.Addr().AsSlice()}
	if !e.Until.IsZero() {
		s.Timeout = max(e.Until.Sub(now), time.Millisecond)
	}
	return s
}

// change adds and removes elements in one transaction. Those of add that may be there already get their new time.
func (k *kernelTable) change(add, remove []Element, present func(netip.Prefix) bool, now time.Time) error {
	fresh, gone := map[length][]nftables.SetElement{}, map[length][]nftables.SetElement{}
	var lengths []length
	put := func(lists map[length][]nftables.SetElement, e Element) {
		l := lengthOf(e.Prefix)
		if !slices.Contains(lengths, l) {
			lengths = append(lengths, l)
		}
		lists[l] = append(lists[l], element(e, now))
	}
	for _, e := range remove {
		put(gone, e)
	}
	for _, e := range add {
		put(fresh, e)
		if present(e.Prefix) {
			put(gone, e)
		}
	}
	for _, l := range lengths {
		// An element that is just expiring cannot be deleted, and would undo the whole transaction: so it is added first.
		for _, step := range []struct {
			list []nftables.SetElement
			do   func(*nftables.Set, []nftables.SetElement) error
		}{{gone[l], k.conn.SetAddElements}, {gone[l], k.conn.SetDeleteElements}, {fresh[l], k.conn.SetAddElements}} {
			if err := k.elements(l, step.list, step.do); err != nil {
				return err
			}
		}
	}
	return k.flush("change elements")
}

// swap puts other elements, or another guard, in the place of those that are there, in one transaction. Rules and counters stay.
func (k *kernelTable) swap(g guard, lengths []length, all map[netip.Prefix]time.Time, now time.Time) error {
	for _, v6 := range []bool{false, true} {
		s := k.allowSet(v6)
		k.conn.FlushSet(s)
		if list := g.intervals(v6); len(list) > 0 {
			if err := k.conn.SetAddElements(s, list); err != nil {
				return fmt.Errorf("describe elements of %s: %w", s.Name, err)
			}
		}
	}
	for _, l := range lengths {
		k.conn.FlushSet(k.set(l))
	}
	if err := k.fill(all, now); err != nil {
		return err
	}
	return k.flush("swap elements")
}

func (k *kernelTable) flush(what string) error {
	if err := k.conn.Flush(); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

func (k *kernelTable) rule(chain string, exprs []expr.Any) {
	k.conn.AddRule(&nftables.Rule{Table: k.table(), Chain: &nftables.Chain{Table: k.table(), Name: chain}, Exprs: exprs})
}

package facts

import (
	"encoding/binary"
	"errors"
	"slices"
)

// Permission bits, as in each digit of a mode.
const (
	mayRead  = 4
	mayWrite = 2
	maySeek  = 1 // into a folder; to execute a file
)

// Tags of POSIX access control lists, as the kernel stores them (linux/posix_acl_xattr.h).
const (
	aclVersion  = 2
	aclUserObj  = 0x01
	aclUser     = 0x02
	aclGroupObj = 0x04
	aclGroup    = 0x08
	aclMask     = 0x10
	aclOther    = 0x20
	maxACL      = 4 + 8*4096 // bytes; ext4 and xfs keep far fewer entries
)

type aclEntry struct {
	tag, perm uint16
	id        uint32
}

// parseACL reads the extended attribute system.posix_acl_access.
func parseACL(raw []byte) ([]aclEntry, error) {
	if len(raw) < 4 || len(raw) > maxACL || (len(raw)-4)%8 != 0 || binary.LittleEndian.Uint32(raw) != aclVersion {
		return nil, errors.New("an access control list of an unknown form")
	}
	var entries []aclEntry
	for raw = raw[4:]; len(raw) > 0; raw = raw[8:] {
		entries = append(entries, aclEntry{
			binary.LittleEndian.Uint16(raw), binary.LittleEndian.Uint16(raw[2:]), binary.LittleEndian.Uint32(raw[4:]),
		})
	}
	return entries, nil
}

// identity is an account as the kernel sees it when it opens a file.
type identity struct {
	name string
	uid  uint32
	gids []uint32
}

func (who identity) in(gid uint32) bool { return slices.Contains(who.gids, gid) }

// inode is what decides who may do what with a file.
type inode struct {
	uid, gid uint32
	mode     uint16
	acl      []aclEntry // nil: the mode alone decides
}

// may says whether who has all permissions of want, in the order in which the kernel asks: owner, named user, groups,
// others (acl(5)). Root has all; what no permission gives, such as writing to a sealed file, is not asked here.
func (n inode) may(who identity, want uint16) bool {
	has := func(perm uint16) bool { return perm&want == want }
	switch {
	case who.uid == 0:
		return true
	case who.uid == n.uid:
		return has(n.mode >> 6 & 7)
	case n.acl == nil && who.in(n.gid):
		return has(n.mode >> 3 & 7)
	case n.acl == nil:
		return has(n.mode & 7)
	}
	mask, other := uint16(7), uint16(0)
	for _, e := range n.acl {
		switch e.tag {
		case aclMask:
			mask = e.perm
		case aclOther:
			other = e.perm
		}
	}
	inGroup := false
	for _, e := range n.acl {
		if e.tag == aclUser && e.id == who.uid {
			return has(e.perm & mask)
		}
	}
	for _, e := range n.acl {
		gid := e.id
		if e.tag == aclGroupObj {
			gid = n.gid
		}
		if (e.tag == aclGroupObj || e.tag == aclGroup) && who.in(gid) {
			if has(e.perm & mask) {
				return true
			}
			inGroup = true
		}
	}
	return !inGroup && has(other)
}

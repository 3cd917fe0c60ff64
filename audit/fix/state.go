package fix

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"maps"
	"time"
)

// The types of what can stand under a path. Nothing is the zero value.
const (
	isFile   = "file"
	isFolder = "folder"
	isLink   = "link"
	isOther  = "other" // FIFO, socket, device: never touched
)

// Inode flags, as chattr sets them (linux/fs.h).
const (
	syncFlag      = 0x8
	immutableFlag = 0x10
	appendFlag    = 0x20
	noDumpFlag    = 0x40
	noAtimeFlag   = 0x80
	dirSyncFlag   = 0x10000

	// keptFlags are the flags that a fix keeps and sets; the others belong to the file system.
	keptFlags = syncFlag | immutableFlag | appendFlag | noDumpFlag | noAtimeFlag | dirSyncFlag
)

// attributes are what a file or folder has beside its content.
type attributes struct {
	Mode  uint32 `json:"mode"` // the permission bits with setuid, setgid and sticky
	UID   uint32 `json:"uid"`
	GID   uint32 `json:"gid"`
	Flags uint32 `json:"flags,omitempty"` // of keptFlags
	// Xattrs are the extended attributes: the ACLs (system.posix_acl_access and _default), capabilities, labels.
	Xattrs map[string][]byte `json:"xattrs,omitempty"`
}

func (a attributes) equal(b attributes) bool {
	return a.Mode == b.Mode && a.UID == b.UID && a.GID == b.GID && a.Flags == b.Flags && maps.EqualFunc(a.Xattrs, b.Xattrs, bytes.Equal)
}

// setMode changes the permission bits, and with them what an access list says of owner, mask and others, as chmod does.
func (a *attributes) setMode(mode uint32) {
	a.Mode = mode
	old := a.Xattrs[aclAccess]
	if len(old) < 4 || len(old)%8 != 4 {
		return
	}
	// A header of 4 bytes, then entries of 8: tag and rights of 2 bytes each, and an id (linux/posix_acl_xattr.h).
	const owner, group, mask, others = 0x01, 0x04, 0x10, 0x20
	list := bytes.Clone(old)
	masked := false
	for at := 4; at < len(list); at += 8 {
		masked = masked || binary.LittleEndian.Uint16(list[at:]) == mask
	}
	for at := 4; at < len(list); at += 8 {
		rights := uint32(0)
		switch tag := binary.LittleEndian.Uint16(list[at:]); {
		case tag == owner:
			rights = mode >> 6
		case tag == mask, tag == group && !masked:
			rights = mode >> 3
		case tag == others:
			rights = mode
		default:
			continue
		}
		binary.LittleEndian.PutUint16(list[at+2:], uint16(rights&7))
	}
	a.Xattrs = maps.Clone(a.Xattrs)
	a.Xattrs[aclAccess] = list
}

// String is how ls, getfacl and lsattr would say it, in short.
func (a attributes) String() string {
	text := fmt.Sprintf("mode %04o, owner %d:%d", a.Mode, a.UID, a.GID)
	if a.Flags&immutableFlag != 0 {
		text += ", immutable"
	}
	if a.Flags&appendFlag != 0 {
		text += ", append only"
	}
	if a.Xattrs[aclAccess] != nil || a.Xattrs[aclDefault] != nil {
		text += ", with an ACL"
	}
	return text
}

const (
	aclAccess  = "system.posix_acl_access"
	aclDefault = "system.posix_acl_default"
)

// state is all that stands under a path. Type "" is that nothing does.
type state struct {
	Type   string `json:"type"`
	Bytes  []byte `json:"bytes,omitempty"`  // of a file
	SHA256 string `json:"sha256,omitempty"` // of Bytes
	Target string `json:"target,omitempty"` // of a link
	attributes
	Modified time.Time `json:"modified,omitzero"` // put back with the rest, and not compared
	links    uint64    // hard links
	inode    uint64
	born     int64 // nanoseconds; with inode it names a file for good, because numbers of inodes are used again
}

// is says whether two states are of the very same file.
func (s state) is(inode uint64, born int64) bool { return s.inode == inode && s.born == born }

// fileOf is a regular file with these bytes.
func fileOf(text []byte, a attributes) state {
	return state{Type: isFile, Bytes: text, SHA256: hashOf(text), attributes: a}
}

func hashOf(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// equal says whether two states are the same to whoever reads the path.
func (s state) equal(b state) bool {
	switch {
	case s.Type != b.Type:
		return false
	case s.Type == "":
		return true
	case s.Type == isLink:
		return s.Target == b.Target
	}
	return s.SHA256 == b.SHA256 && s.attributes.equal(b.attributes)
}

// describe says in one line what there is.
func (s state) describe() string {
	switch s.Type {
	case "":
		return "nothing"
	case isLink:
		return "a link to " + s.Target
	}
	return "a " + s.Type + ", " + s.String()
}

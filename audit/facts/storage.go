package facts

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	maxMounts = 5000
	maxStack  = 16 // block devices on top of each other
)

// Storage is where the host's data lies, and whether it is encrypted there and safe from a broken disk.
type Storage struct {
	Mounts []Mount `cel:"mounts"` // of the running system; pseudo file systems are left out
	// Fstab are the file systems of /etc/fstab, of a folder of files too.
	Fstab []Mount `cel:"fstab"`
	// Data are the folders that hold data, with what they lie on, and the swap space, into which memory is written. Where none
	// is readable on disk and the kernel does not tell of one, the whole is missing.
	Data []DataFolder `cel:"data"`
	Swap []Swap       `cel:"swap"`
	RAID []RAID       `cel:"raid"`
	// MemoryControllers is how many memory controllers count errors (ECC); Corrected and Uncorrected are the errors since the start.
	MemoryControllers int64  `cel:"memory_controllers"`
	Corrected         int64  `cel:"corrected"`
	Uncorrected       int64  `cel:"uncorrected"`
	Virtual           string `cel:"virtual"` // the hypervisor that the host runs on, as its firmware says; empty on hardware
	Origin            string `cel:"origin"`
}

// Mount is a file system in the tree.
type Mount struct {
	Path    string   `cel:"path"`
	Source  string   `cel:"source"` // /dev/mapper/data
	Type    string   `cel:"type"`
	Options []string `cel:"options"`
	// Encryption is dm-crypt, none, memory (tmpfs), network, or unknown where the kernel does not tell, as for overlay and ZFS.
	Encryption string `cel:"encryption"`
	// Free is the part of the space that is free for others than root, in percent, and Inodes that of the file names.
	Free   int64  `cel:"free"`
	Inodes int64  `cel:"inodes"`
	Origin string `cel:"origin"`

	device string // major:minor
}

// DataFolder is a folder with data of people.
type DataFolder struct {
	Path       string `cel:"path"`
	Mount      string `cel:"mount"` // the file system that it lies on
	Encryption string `cel:"encryption"`
	Origin     string `cel:"origin"`
}

// Swap is a place that memory is written to.
type Swap struct {
	Path       string `cel:"path"`
	Encryption string `cel:"encryption"` // as of Mount; memory for zram
	Origin     string `cel:"origin"`
}

// RAID is an array of the kernel's md driver.
type RAID struct {
	Name     string `cel:"name"`
	Level    string `cel:"level"`
	Disks    int64  `cel:"disks"`
	Working  int64  `cel:"working"`
	Degraded bool   `cel:"degraded"`
	Origin   string `cel:"origin"`
}

// usualData are where data lies when nobody says so.
func usualData() []string {
	return []string{"/var/lib/mysql", "/var/lib/postgresql", "/var/lib/ldap", "/var/lib/dbconfig-common", "/var/www", "/srv", "/var/mail", "/var/vmail", "/var/backups", "/var/spool/asterisk"}
}

func collectStorage(_ context.Context, h *Host, t Target) (Storage, []Missing) {
	s := Storage{Origin: "/proc/self/mountinfo"}
	var gone []Missing
	if err := s.fstab(h); err != nil {
		gone = append(gone, Missing{"fstab", because(err)})
	}
	live := []string{"mounts", "data", "swap", "raid", "memory_controllers", "corrected", "uncorrected", "virtual"}
	if !h.Live() {
		for _, field := range live {
			gone = append(gone, Missing{field, ErrNotLive.Error()})
		}
		return s, gone
	}
	if err := s.mounts(); err != nil {
		return s, append(gone, Missing{"mounts", because(err)}, Missing{"data", because(err)})
	}
	s.data(h, t)
	if err := s.swap(); err != nil {
		gone = append(gone, Missing{"swap", because(err)}, Missing{"data", because(err)})
	}
	if why := s.doubt(); why != "" {
		gone = append(gone, Missing{"data", why})
	}
	if text, err := os.ReadFile("/proc/mdstat"); err == nil { // without the md driver there is no such file, and no array
		s.RAID = readMDStat(string(text), "/proc/mdstat")
	}
	s.memory()
	s.Virtual = hypervisor()
	return s, gone
}

// fstab reads the table of file systems; what does not exist has none.
func (s *Storage) fstab(h *Host) error {
	const name = "/etc/fstab"
	if !h.Exists(name) {
		return nil
	}
	text, err := h.ReadFile(name)
	if err != nil {
		return err
	}
	number := 0
	for line := range strings.Lines(string(text)) {
		number++
		f := strings.Fields(line)
		if len(f) < 4 || strings.HasPrefix(f[0], "#") || len(s.Fstab) == maxMounts {
			continue
		}
		s.Fstab = append(s.Fstab, Mount{Path: unescapeMount(f[1]), Source: unescapeMount(f[0]), Type: f[2], Options: strings.Split(f[3], ","), Origin: fmt.Sprintf("%s:%d", name, number)})
	}
	return nil
}

// unescapeMount reads \040 and the like.
func unescapeMount(text string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(text)
}

// pseudo file systems hold no data.
func pseudo(kind string) bool {
	switch kind {
	case "proc", "sysfs", "devpts", "devtmpfs", "cgroup", "cgroup2", "securityfs", "debugfs", "tracefs", "pstore", "bpf", "mqueue", "hugetlbfs", "configfs",
		"fusectl", "autofs", "binfmt_misc", "rpc_pipefs", "nsfs", "efivarfs", "selinuxfs":
		return true
	}
	return false
}

func (s *Storage) mounts() error {
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	number := 0
	for line := range strings.Lines(string(text)) {
		number++
		before, after, ok := strings.Cut(line, " - ")
		b, a := strings.Fields(before), strings.Fields(after)
		if !ok || len(b) < 6 || len(a) < 3 || pseudo(a[0]) || len(s.Mounts) == maxMounts {
			continue
		}
		m := Mount{Path: unescapeMount(b[4]), Source: unescapeMount(a[1]), Type: a[0], device: b[2], Origin: fmt.Sprintf("/proc/self/mountinfo:%d", number),
			Options: append(strings.Split(b[5], ","), strings.Split(a[2], ",")...)}
		m.Encryption = m.encryption()
		m.Free, m.Inodes = 100, 100
		var st unix.Statfs_t
		if remote(m.Type) { // one that hangs would hang the audit
			m.Free, m.Inodes = -1, -1
		} else if unix.Statfs(m.Path, &st) == nil {
			if st.Blocks > 0 {
				m.Free = int64(st.Bavail * 100 / st.Blocks)
			}
			if st.Files > 0 {
				m.Inodes = int64(st.Ffree * 100 / st.Files)
			}
		}
		s.Mounts = append(s.Mounts, m)
	}
	return nil
}

func remote(kind string) bool {
	switch kind {
	case "nfs", "nfs4", "cifs", "smb3", "9p", "ceph", "glusterfs", "fuse.glusterfs", "fuse.sshfs", "fuse.s3fs", "fuse.rclone", "afs", "virtiofs":
		return true
	}
	return false
}

func (m Mount) encryption() string {
	switch {
	case m.Type == "tmpfs" || m.Type == "ramfs":
		return "memory"
	case remote(m.Type):
		return "network"
	case m.Type == "squashfs" || m.Type == "iso9660":
		return "none"
	case m.Type == "ecryptfs" || m.Type == "fuse.gocryptfs" || m.Type == "fuse.encfs":
		return m.Type
	}
	device := m.device
	if strings.HasPrefix(device, "0:") { // btrfs and others have no device of their own
		var st unix.Stat_t
		if !strings.HasPrefix(m.Source, "/dev/") || unix.Stat(m.Source, &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFBLK {
			return "unknown"
		}
		device = fmt.Sprintf("%d:%d", unix.Major(st.Rdev), unix.Minor(st.Rdev))
	}
	return stackEncryption("/sys/dev/block/"+device, 0)
}

// stackEncryption walks from a block device to those below it: dm-crypt if every way down passes one.
func stackEncryption(dir string, depth int) string {
	if _, err := os.Stat(dir); err != nil || depth > maxStack {
		return "unknown"
	}
	if uuid, err := os.ReadFile(dir + "/dm/uuid"); err == nil && bytes.HasPrefix(uuid, []byte("CRYPT-")) {
		return "dm-crypt"
	}
	if strings.HasPrefix(deviceName(dir), "zram") {
		return "memory"
	}
	below, err := os.ReadDir(dir + "/slaves")
	if err != nil { // a partition has no slaves; its disk may be an array or a loop device on a file
		if _, err := os.Stat(dir + "/partition"); err == nil {
			return stackEncryption(path.Join(realPath(dir), ".."), depth+1)
		}
	}
	if len(below) == 0 {
		return "none"
	}
	for _, one := range below {
		if stackEncryption(dir+"/slaves/"+one.Name(), depth+1) != "dm-crypt" {
			return "none"
		}
	}
	return "dm-crypt"
}

func realPath(dir string) string {
	if target, err := os.Readlink(dir); err == nil {
		return path.Join(path.Dir(dir), target)
	}
	return dir
}

func deviceName(dir string) string { return path.Base(realPath(dir)) }

// data finds the file system of each folder with data that is there.
func (s *Storage) data(h *Host, t Target) {
	folders := t.DataFolders
	if len(folders) == 0 {
		folders = usualData()
	}
	for _, b := range t.Backups {
		folders = append(slices.Clone(folders), b.Folder)
	}
	for _, folder := range folders {
		if !h.Exists(folder) {
			continue
		}
		real := folder
		if resolved, err := os.Readlink(folder); err == nil {
			real = inFolder(path.Dir(folder), resolved)
		}
		d := DataFolder{Path: folder, Encryption: "unknown"}
		for _, m := range s.Mounts { // the last mount of the longest path counts
			if (real == m.Path || m.Path == "/" || strings.HasPrefix(real, m.Path+"/")) && len(m.Path) >= len(d.Mount) {
				d.Mount, d.Encryption, d.Origin = m.Path, m.Encryption, m.Origin
			}
		}
		s.Data = append(s.Data, d)
	}
}

func (s *Storage) swap() error {
	text, err := os.ReadFile("/proc/swaps")
	if err != nil {
		return err
	}
	for i, line := range strings.Split(string(text), "\n") {
		f := strings.Fields(line)
		if i == 0 || len(f) < 2 {
			continue
		}
		one := Swap{Path: unescapeMount(f[0]), Encryption: "unknown", Origin: "/proc/swaps"}
		var st unix.Stat_t
		if unix.Stat(one.Path, &st) == nil {
			device := st.Rdev
			if f[1] == "file" {
				device = st.Dev
			}
			one.Encryption = stackEncryption(fmt.Sprintf("/sys/dev/block/%d:%d", unix.Major(device), unix.Minor(device)), 0)
		}
		s.Swap = append(s.Swap, one)
		s.Data = append(s.Data, DataFolder{"swap on " + one.Path, one.Path, one.Encryption, one.Origin})
	}
	return nil
}

// doubt says which folder decides and cannot be told: a folder that is not encrypted decides by itself.
func (s *Storage) doubt() (why string) {
	for _, d := range s.Data {
		switch d.Encryption {
		case "none":
			return ""
		case "unknown", "network":
			why = "the kernel does not tell how " + d.Path + " on " + d.Mount + " is encrypted (" + d.Encryption + ")"
		}
	}
	return why
}

// readMDStat reads the state of the kernel's arrays: "md0 : active raid1 sdb1[1] sda1[0]", then "… [2/1] [U_]".
func readMDStat(text, origin string) (all []RAID) {
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) >= 4 && strings.HasPrefix(f[0], "md") && f[1] == ":" && len(all) < 1000 {
			r := RAID{Name: f[0], Origin: origin, Degraded: f[2] != "active"}
			for _, word := range f[3:] {
				if strings.HasPrefix(word, "raid") || word == "linear" {
					r.Level = word
				}
				r.Degraded = r.Degraded || strings.HasSuffix(word, "(F)")
			}
			all = append(all, r)
			continue
		}
		if len(all) == 0 {
			continue
		}
		for _, word := range f {
			inner, ok := strings.CutPrefix(word, "[")
			inner, closed := strings.CutSuffix(inner, "]")
			disks, working, slash := strings.Cut(inner, "/")
			if !ok || !closed || !slash {
				continue
			}
			r := &all[len(all)-1]
			r.Disks, _ = strconv.ParseInt(disks, 10, 32)
			r.Working, _ = strconv.ParseInt(working, 10, 32)
			r.Degraded = r.Degraded || r.Working < r.Disks
		}
	}
	return all
}

// memory counts the errors that ECC has seen.
func (s *Storage) memory() {
	const dir = "/sys/devices/system/edac/mc"
	entries, err := os.ReadDir(dir)
	if err != nil { // no driver
		return
	}
	count := func(name string) int64 {
		text, err := os.ReadFile(name)
		if err != nil {
			return 0
		}
		n, _ := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
		return n
	}
	for _, entry := range entries {
		if name := entry.Name(); strings.HasPrefix(name, "mc") && len(name) > 2 && digit(name[2]) {
			s.MemoryControllers++
			s.Corrected += count(path.Join(dir, name, "ce_count"))
			s.Uncorrected += count(path.Join(dir, name, "ue_count"))
		}
	}
}

// hypervisor is what the firmware calls the machine, where that is a virtual one.
func hypervisor() string {
	if _, err := os.Stat("/sys/hypervisor/type"); err == nil {
		return "xen"
	}
	var texts []string
	for _, name := range []string{"sys_vendor", "product_name"} {
		if text, err := os.ReadFile("/sys/class/dmi/id/" + name); err == nil {
			texts = append(texts, strings.TrimSpace(string(text)))
		}
	}
	text := strings.Join(texts, " ")
	for _, mark := range []string{"QEMU", "KVM", "VMware", "VirtualBox", "innotek", "Xen", "Microsoft Corporation Virtual", "Google Compute", "Amazon EC2", "OpenStack", "Hetzner", "DigitalOcean", "Firecracker"} {
		if strings.Contains(text, mark) {
			return text
		}
	}
	if flags, err := os.ReadFile("/proc/cpuinfo"); err == nil && bytes.Contains(flags, []byte(" hypervisor")) {
		return "hypervisor"
	}
	return ""
}

package facts

import (
	"context"
	"regexp"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const maxPending = 5000

// Updates is what newer versions there are for what is installed, and for how long there will be any.
type Updates struct {
	// Pending are the packages for which apt's lists have a newer version that apt would install.
	Pending []Upgrade `cel:"pending"`
	// Lists are apt's lists of packages, one an archive and component.
	Lists []AptList `cel:"sources"`
	// Refreshed is when the host last fetched its lists.
	Refreshed time.Time `cel:"refreshed"`
	// Security says that a list of security updates is among the lists.
	Security bool `cel:"security"`
	// RebootRequired says that what runs is older than what is installed. Reboot tells why.
	RebootRequired bool    `cel:"reboot_required"`
	Reboot         Setting `cel:"reboot"`
	// Release is the support of the operating system; PHP that of every installed PHP.
	Release Support   `cel:"release"`
	PHP     []Support `cel:"php"`
	Origin  string    `cel:"origin"`
}

// Upgrade is an installed package that has a newer version.
type Upgrade struct {
	Name      string `cel:"name"`
	Installed string `cel:"installed"`
	Candidate string `cel:"candidate"`
	// Security says that a security archive has a version above the installed one, be it the candidate or not.
	Security bool   `cel:"security"`
	Hold     bool   `cel:"hold"` // it is kept from upgrades
	Origin   string `cel:"origin"`
}

var phpPackage = regexp.MustCompile(`^(?:libapache2-mod-)?php([0-9]\.[0-9]{1,2})(?:-(?:cli|fpm|cgi|phpdbg|common))?$|^libphp([0-9]\.[0-9]{1,2})-embed$`)

func collectUpdates(ctx context.Context, h *Host, t Target) (Updates, []Missing) {
	u := Updates{Origin: aptLists}
	all, err := dpkgPackages(h)
	if err != nil {
		return u, missing("%s", because(err))
	}
	all = slices.DeleteFunc(all, func(p Package) bool { return p.Status == "config-files" || p.Status == "not-installed" })
	var gone []Missing
	wanted := map[string]bool{}
	for _, p := range all {
		wanted[p.Name] = true
	}
	lists, offered, err := aptAvailable(ctx, h, wanted)
	switch {
	case err != nil:
		for _, field := range []string{"pending", "sources", "security"} {
			gone = append(gone, Missing{field, because(err)})
		}
	case len(lists) == 0:
		gone = append(gone, Missing{"pending", "there are no lists of packages in " + aptLists + ": run apt-get update"})
	}
	u.Lists = lists
	for i := range lists {
		lists[i].Expired = !lists[i].ValidUntil.IsZero() && t.Now.After(lists[i].ValidUntil)
	}
	u.Security = slices.ContainsFunc(lists, func(l AptList) bool { return l.Security })
	if err := pinVersions(h, lists, offered); err != nil {
		gone = append(gone, Missing{"pending", because(err)})
	}
	u.pending(all, offered)
	u.Refreshed = refreshed(h)
	if u.Refreshed.IsZero() {
		gone = append(gone, Missing{"refreshed", "nothing tells when the lists were fetched"})
	}
	u.reboot(h)
	if err := u.support(h, all, offered); err != nil {
		gone = append(gone, Missing{"release", because(err)}, Missing{"php", because(err)})
	}
	return u, gone
}

func (u *Updates) pending(all []Package, offered map[string][]available) {
	for _, p := range all {
		best, ok := candidate(p.Version, offered[p.Name])
		security := securityAbove(p.Version, offered[p.Name])
		if !ok && !security || len(u.Pending) == maxPending {
			continue
		}
		up := Upgrade{Name: p.Name, Installed: p.Version, Candidate: best.version, Security: security, Hold: p.Hold, Origin: best.list}
		if up.Origin == "" {
			up.Origin = p.Origin
		}
		u.Pending = append(u.Pending, up)
	}
}

// refreshed is when lists were last fetched: apt gives the lists themselves the archive's time, so that only the folders and stamps
// tell.
func refreshed(h *Host) (last time.Time) {
	for _, name := range []string{"/var/lib/apt/periodic/update-success-stamp", "/var/lib/apt/periodic/update-stamp", aptLists + "/partial", aptLists} {
		if t, ok := modified(h, name); ok && t.After(last) {
			last = t
		}
	}
	return last
}

func (u *Updates) reboot(h *Host) {
	for _, name := range []string{"/run/reboot-required", "/var/run/reboot-required"} {
		if h.Exists(name) {
			u.RebootRequired, u.Reboot = true, Setting{"an upgrade asks for it", name}
			return
		}
	}
	var uts unix.Utsname
	if !h.Live() || unix.Uname(&uts) != nil {
		return
	}
	running := unix.ByteSliceToString(uts.Release[:])
	kernels, err := h.Glob("/boot/vmlinuz-*")
	if err != nil || !slices.Contains(kernels, "/boot/vmlinuz-"+running) { // a kernel from outside, as in a container
		return
	}
	newest := slices.MaxFunc(kernels, compareDeb)
	u.Reboot = Setting{running + " runs", newest}
	if compareDeb(newest, "/boot/vmlinuz-"+running) > 0 {
		u.RebootRequired = true
	}
}

func (u *Updates) support(h *Host, all []Package, offered map[string][]available) error {
	table, err := readEOL()
	if err != nil {
		return err
	}
	values, name, err := osRelease(h)
	if err != nil {
		return err
	}
	u.Release = table.of(values["ID"], values["VERSION_ID"], values["VERSION_CODENAME"])
	u.Release.Origin = name
	own := map[string]bool{} // lists of the host's own distribution
	for _, l := range u.Lists {
		own[l.Origin] = strings.EqualFold(l.Maker, values["ID"]) || strings.HasPrefix(l.Maker, "UbuntuESM")
		if strings.HasPrefix(l.Maker, "UbuntuESM") && u.Release.subscription.After(u.Release.Ends) {
			u.Release.Ends = u.Release.subscription
		}
	}
	seen := map[string]bool{}
	for _, p := range all {
		m := phpPackage.FindStringSubmatch(p.Name)
		if m == nil || seen[m[1]+m[2]] {
			continue
		}
		version := m[1] + m[2]
		seen[version] = true
		s := table.of("php", version, "")
		s.Origin = p.Origin
		s.Distribution = len(offered[p.Name]) > 0 && !slices.ContainsFunc(offered[p.Name], func(o available) bool {
			return !own[o.list] && compareDeb(o.version, p.Version) >= 0
		})
		u.PHP = append(u.PHP, s)
	}
	return nil
}

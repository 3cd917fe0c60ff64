package judge

import (
	"fmt"
	"io/fs"
	"net/netip"
	"path"
	"strconv"
	"strings"
)

// newByteRange is true for a text with a byte outside the list, "9,10,13,32-126". As in Coraza, an empty list is true
// for every text.
func newByteRange(argument string, _ fs.FS) (Judge, error) {
	if argument == "" {
		return func(string) (string, bool) { return "", true }, nil
	}
	var valid [256]bool
	for item := range strings.SplitSeq(argument, ",") {
		from, to, isRange := strings.Cut(strings.TrimSpace(item), "-")
		if !isRange {
			to = from
		}
		first, err := byteNumber(from)
		if err != nil {
			return nil, err
		}
		last, err := byteNumber(to)
		if err != nil {
			return nil, err
		}
		if first > last {
			return nil, fmt.Errorf("the range %q ends before it begins", item)
		}
		for c := first; c <= last; c++ {
			valid[c] = true
		}
	}
	return func(s string) (string, bool) {
		for i := range len(s) {
			if !valid[s[i]] {
				return "", true
			}
		}
		return "", false
	}, nil
}

func byteNumber(s string) (int, error) {
	n, err := strconv.ParseUint(s, 10, 8)
	if err != nil {
		return 0, fmt.Errorf("%q is no number of a byte; want 0 to 255", s)
	}
	return int(n), nil
}

// newIPMatch is true for an address in one of the networks, which are separated by commas. An IPv4 address within IPv6
// (::ffff:192.0.2.1) is the IPv4 address.
func newIPMatch(argument string, _ fs.FS) (Judge, error) {
	var networks []netip.Prefix
	for item := range strings.SplitSeq(argument, ",") {
		item = strings.TrimSpace(item)
		if item == "" {
			continue
		}
		network, err := parseNetwork(item)
		if err != nil {
			return nil, err
		}
		networks = append(networks, network)
	}
	return func(s string) (string, bool) {
		if s == "" || len(s) > 45 { // an address has at most 45 characters, and the error would copy the text
			return "", false
		}
		address, err := netip.ParseAddr(s)
		if err != nil || address.Zone() != "" {
			return "", false
		}
		address = address.Unmap()
		for _, n := range networks {
			if n.Contains(address) {
				return "", true
			}
		}
		return "", false
	}, nil
}

func parseNetwork(s string) (netip.Prefix, error) {
	if !strings.Contains(s, "/") {
		address, err := netip.ParseAddr(s)
		if err != nil || address.Zone() != "" {
			return netip.Prefix{}, fmt.Errorf("%q is no address and no network", s)
		}
		address = address.Unmap()
		return netip.PrefixFrom(address, address.BitLen()), nil
	}
	network, err := netip.ParsePrefix(s)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("%q is no address and no network", s)
	}
	if network.Addr().Is4In6() {
		if network.Bits() < 96 {
			return netip.Prefix{}, fmt.Errorf("the network %q holds IPv4 and IPv6 addresses; name them apart", s)
		}
		network = netip.PrefixFrom(network.Addr().Unmap(), network.Bits()-96)
	}
	return network.Masked(), nil
}

// newIPMatchFromFile is ipMatch with the networks of a file.
func newIPMatchFromFile(argument string, data fs.FS) (Judge, error) {
	lines, err := readLines(argument, data)
	if err != nil {
		return nil, err
	}
	return newIPMatch(strings.Join(lines, ","), nil)
}

// Phrases splits the argument of @pm into its phrases, in their order, in small letters as Coraza makes them: a capital
// beyond ASCII is then found in its small form only.
func Phrases(argument string) ([]string, error) {
	phrases := strings.Fields(strings.ToLower(argument))
	if len(phrases) == 0 {
		return nil, fmt.Errorf("operator @pm: the argument %q has no phrase", argument)
	}
	return phrases, nil
}

// PhraseFiles reads the phrases of @pmFromFile: one a line of each file that the argument names, in small letters.
// White space around them, empty lines and those that begin with # do not count; nothing is escaped.
func PhraseFiles(argument string, data fs.FS) ([]string, error) {
	var phrases []string
	names := strings.Fields(argument)
	if len(names) == 0 {
		return nil, fmt.Errorf("operator @pmFromFile: the argument names no file")
	}
	for _, name := range names {
		lines, err := readLines(name, data)
		if err != nil {
			return nil, fmt.Errorf("operator @pmFromFile: %w", err)
		}
		if len(lines) == 0 {
			return nil, fmt.Errorf("operator @pmFromFile: %s has no phrase", name)
		}
		for _, line := range lines {
			phrases = append(phrases, strings.ToLower(line))
		}
	}
	return phrases, nil
}

// readLines returns the lines of a file that are not empty and no comment.
func readLines(name string, data fs.FS) ([]string, error) {
	if data == nil {
		return nil, fmt.Errorf("read %s: the rules have no folder of data files", name)
	}
	name = path.Clean(name)
	if !fs.ValidPath(name) {
		return nil, fmt.Errorf("read %s: the file is outside the folder of the rules", name)
	}
	text, err := fs.ReadFile(data, name)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	var lines []string
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			lines = append(lines, line)
		}
	}
	return lines, nil
}

package scan

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// vulnScripts are the scripts of nmap that look for known weaknesses: --script vuln, vulners, vulscan, http-vuln-….
var vulnScripts = regexp.MustCompile(`--script[= ]\S*vul`)

// maxTag is how many bytes an element's beginning may have: the reader holds all of its attributes at once, and each is many times as large in
// memory as in the file.
const maxTag = 4 << 20

// nmap is the XML of nmap -oX as far as it was read.
type nmap struct {
	c        *collector
	report   Report
	root     bool
	finished bool
	up       bool   // the host
	address  string // of the host
	names    []string
	port     string // tcp/80; empty: the host itself
	open     bool
	service  string
	script   string
	elem     string
	tables   []map[string]string // of the script, the innermost last
	keys     []string            // of the tables
	text     strings.Builder
}

// readNmap reads the XML element by element. The format's own document type is let through; one that declares anything is not.
func readNmap(file []byte, c *collector) (Report, error) {
	n := &nmap{c: c, report: Report{Format: "nmap", Kind: Network}}
	for rest := file; len(rest) > 0; {
		next := bytes.IndexByte(rest[1:], '<') + 1
		if next == 0 {
			next = len(rest)
		}
		if next > maxTag {
			return Report{}, fmt.Errorf("the file has an element of more than %d MiB", maxTag>>20)
		}
		rest = rest[next:]
	}
	d := xml.NewDecoder(bytes.NewReader(file))
	for depth := 0; ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return Report{}, fmt.Errorf("the file is broken at byte %d, or the scan was broken off: %w", d.InputOffset(), err)
		}
		switch t := token.(type) {
		case xml.Directive:
			if text := strings.ToUpper(string(t)); strings.Contains(text, "[") || strings.Contains(text, "ENTITY") || n.root {
				return Report{}, errors.New("the file declares entities, which no scanner does")
			}
		case xml.StartElement:
			if depth++; depth > maxDepth {
				return Report{}, fmt.Errorf("the file is nested deeper than %d", maxDepth)
			}
			if err := n.start(t, depth); err != nil {
				return Report{}, err
			}
		case xml.EndElement:
			depth--
			n.end(t.Name.Local)
		case xml.CharData:
			if n.elem != "" && n.text.Len() < maxPlace {
				n.text.Write(t[:min(len(t), maxPlace)])
			}
		}
	}
	if !n.root {
		return Report{}, errors.New("the XML is not nmap's: it is empty")
	}
	if !n.finished {
		return Report{}, errors.New("the file does not say that the scan ended (runstats): it was broken off")
	}
	return n.report, nil
}

func attribute(e xml.StartElement, name string) string {
	for _, a := range e.Attr {
		if a.Name.Local == name {
			return a.Value
		}
	}
	return ""
}

func (n *nmap) start(e xml.StartElement, depth int) error {
	name := e.Name.Local
	if depth == 1 {
		if name != "nmaprun" || n.root {
			return fmt.Errorf("the XML is not nmap's: it begins with %s", plain(name, maxWord))
		}
		n.root = true
		n.begin(e)
		return nil
	}
	switch name {
	case "scaninfo":
		n.report.Scope = plain(strings.TrimSpace(n.report.Scope+" "+attribute(e, "protocol")+" "+attribute(e, "services")), maxPlace)
	case "host":
		n.up, n.address, n.names = false, "", nil
		return n.c.spend()
	case "status":
		n.up = attribute(e, "state") == "up"
	case "address":
		if kind := attribute(e, "addrtype"); n.address == "" && kind != "mac" {
			n.address = attribute(e, "addr")
		}
	case "hostname":
		if attribute(e, "type") == "user" { // what was asked for; a name that the address says it has is anybody's word
			n.names = append(n.names, attribute(e, "name"))
		}
		return n.c.spend()
	case "port":
		n.port, n.open, n.service = attribute(e, "protocol")+"/"+attribute(e, "portid"), false, ""
		return n.c.spend()
	case "state":
		n.open = attribute(e, "state") == "open"
	case "service":
		n.service = strings.Join(strings.Fields(attribute(e, "name")+" "+attribute(e, "product")+" "+attribute(e, "version")), " ")
	case "script":
		n.script, n.tables, n.keys = attribute(e, "id"), nil, nil
		return n.c.spend()
	case "table":
		n.tables, n.keys = append(n.tables, map[string]string{}), append(n.keys, attribute(e, "key"))
		return n.c.spend()
	case "elem":
		n.elem = attribute(e, "key")
		n.text.Reset()
	case "finished":
		return n.finish(e)
	}
	return nil
}

func (n *nmap) begin(e xml.StartElement) {
	n.report.Tool, n.report.Version = attribute(e, "scanner"), attribute(e, "version")
	if n.report.Tool == "" {
		n.report.Tool = "nmap"
	}
	args := attribute(e, "args")
	if vulnScripts.MatchString(args) {
		n.report.Kind = Vulnerability
	}
	if strings.Contains(args, "--exclude") {
		return // the networks were not scanned as a whole
	}
	for word := range strings.FieldsSeq(args) {
		if p, err := netip.ParsePrefix(word); err == nil {
			n.c.target(p.Masked().String())
		}
	}
}

// finish reads how the scan ended.
func (n *nmap) finish(e xml.StartElement) error {
	if exit := attribute(e, "exit"); exit != "" && exit != "success" {
		return fmt.Errorf("the file says that the scan ended with %s: %s", plain(exit, maxWord), plain(attribute(e, "errormsg"), maxTitle))
	}
	seconds, err := strconv.ParseInt(attribute(e, "time"), 10, 64)
	if err != nil || seconds <= 0 || seconds > 1<<40 {
		return ErrNoTime
	}
	n.report.Time, n.finished = time.Unix(seconds, 0), true
	return nil
}

func (n *nmap) end(name string) {
	switch name {
	case "hostnames":
		if n.up {
			for _, host := range append([]string{n.address}, n.names...) {
				n.c.target(host)
			}
		}
	case "host":
		if n.up {
			n.c.target(n.address)
		}
	case "port":
		if n.open && n.up {
			n.c.add("open-port", n.place(), n.service, Info)
		}
		n.port = ""
	case "elem":
		if len(n.tables) > 0 && n.elem != "" && len(n.tables[len(n.tables)-1]) < 64 {
			n.tables[len(n.tables)-1][n.elem] = strings.TrimSpace(n.text.String())
		}
		n.elem = ""
	case "table":
		if last := len(n.tables) - 1; last >= 0 {
			n.weakness(n.keys[last], n.tables[last])
			n.tables, n.keys = n.tables[:last], n.keys[:last]
		}
	case "script":
		n.script, n.tables, n.keys = "", nil, nil
	}
}

func (n *nmap) place() string { return strings.TrimSpace(n.address + " " + n.port) }

// weakness reads a table of a script: as nmap's own library for weaknesses writes it (state), or as vulners does (id and cvss).
func (n *nmap) weakness(key string, t map[string]string) {
	state := strings.ToUpper(t["state"])
	if score, err := strconv.ParseFloat(t["cvss"], 64); err == nil && t["id"] != "" {
		n.c.add(t["id"], n.place(), n.script+": "+n.service, byScore(score))
		return
	}
	if slices.ContainsFunc([]string{"VULNERABLE", "LIKELY VULNERABLE"}, func(s string) bool { return strings.HasPrefix(state, s) }) {
		if key == "" {
			key = n.script
		}
		n.c.add(key, n.place(), t["title"], High)
	}
}

package facts

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"regexp"
	"strings"
	"time"

	"golang.org/x/net/html"
)

const (
	maxLinks = 5000 // addresses of one page that are looked at
	maxMixed = 50   // that are kept
	maxLocal = 200  // of the page's own that are kept
)

// page is what stands in an HTML page, as far as the probes ask.
type page struct {
	title   string
	clear   []link   // loaded or sent without TLS: http:// addresses
	folders []string // paths of the folders that its pieces lie in
	local   []string // addresses of the page's own pieces and of what it links to, as they stand there
	form    bool     // a field for a password or an e-mail address
	text    bool     // text for people, more than a few words
}

// link is one address in a page.
type link struct{ tag, address string }

// readPage reads HTML as browsers do: nothing in it is an error.
func readPage(text []byte) page {
	var p page
	words, links := 0, 0
	tokens := html.NewTokenizer(bytes.NewReader(text))
	tokens.SetMaxBuf(1 << 20)
	in := ""
	for {
		switch tokens.Next() {
		case html.ErrorToken:
			p.text = words > 40
			return p
		case html.TextToken:
			if in == "title" && p.title == "" {
				p.title = strings.TrimSpace(string(tokens.Text()))
			} else if in != "script" && in != "style" && words < 1000 {
				words += len(strings.Fields(string(tokens.Text())))
			}
		case html.StartTagToken, html.SelfClosingTagToken:
			name, more := tokens.TagName()
			in = string(name)
			attributes := map[string]string{}
			for more && len(attributes) < 100 {
				var key, value []byte
				key, value, more = tokens.TagAttr()
				attributes[string(key)] = string(value)
			}
			if links++; links < maxLinks {
				p.take(in, attributes)
			}
		case html.EndTagToken:
			in = ""
		}
	}
}

// take looks at one element.
func (p *page) take(tag string, attributes map[string]string) {
	address := ""
	if tag == "a" && len(p.local) < maxLocal {
		p.local = append(p.local, strings.TrimSpace(attributes["href"]))
	}
	switch tag {
	case "script", "img", "iframe", "audio", "video", "source", "embed", "track":
		address = attributes["src"]
	case "link":
		rel := strings.ToLower(attributes["rel"])
		if strings.Contains(rel, "stylesheet") || strings.Contains(rel, "icon") || strings.Contains(rel, "preload") || strings.Contains(rel, "manifest") {
			address = attributes["href"]
		}
	case "object":
		address = attributes["data"]
	case "form":
		address = attributes["action"]
	case "input":
		kind := strings.ToLower(attributes["type"])
		p.form = p.form || kind == "password" || kind == "email"
	}
	address = strings.TrimSpace(address)
	if address != "" && tag != "form" && len(p.local) < maxLocal {
		p.local = append(p.local, address)
	}
	switch {
	case strings.HasPrefix(strings.ToLower(address), "http://"):
		if len(p.clear) < maxMixed {
			p.clear = append(p.clear, link{tag, address})
		}
	case tag != "form" && strings.HasPrefix(address, "/") && !strings.HasPrefix(address, "//"):
		address, _, _ = strings.Cut(address, "?")
		if at := strings.LastIndex(address, "/"); at > 0 && len(p.folders) < maxMixed {
			p.folders = append(p.folders, address[:at+1])
		}
	}
}

// listing says whether the page is a web server's own list of a folder.
func listing(p page, text []byte) bool {
	title := strings.ToLower(p.title)
	return strings.HasPrefix(title, "index of /") || strings.HasPrefix(title, "directory listing for /") ||
		strings.HasPrefix(title, "listing of ") || bytes.Contains(text, []byte("<h1>Index of /"))
}

// versioned finds a program that names its version: nginx/1.22.1, Apache/2.4.57 (Debian), PHP/8.2.7.
var versioned = regexp.MustCompile(`(?i)\b(nginx|apache|openssl|php|lighttpd|caddy|tomcat|jetty|iis|openresty|phusion passenger|mod_[a-z]+)/[0-9][0-9.]*[^<>\r\n]{0,40}`)

// signature is what a page tells of the programs behind it.
func signature(text []byte) string {
	return strings.TrimSpace(string(versioned.Find(text[:min(len(text), 64<<10)])))
}

// SecurityText is a security.txt (RFC 9116): where to report a weakness.
type SecurityText struct {
	URL string `cel:"url"`
	// Found says that it is there as plain text, Valid that it has a contact and one date of expiry.
	Found    bool      `cel:"found"`
	Valid    bool      `cel:"valid"`
	Fault    string    `cel:"fault"` // why it is not valid
	Contacts []string  `cel:"contacts"`
	Policy   string    `cel:"policy"`
	Expires  time.Time `cel:"expires"`
	Origin   string    `cel:"origin"`
}

// readSecurityText reads the fields of a security.txt. A signature around them is not checked.
func readSecurityText(text []byte, contentType string) SecurityText {
	var s SecurityText
	kind, _, err := mime.ParseMediaType(contentType)
	if err != nil || kind != "text/plain" {
		s.Fault = "it is not text/plain"
		return s
	}
	s.Found = true
	expiries := 0
	for line := range strings.Lines(string(text)) {
		name, value, ok := strings.Cut(strings.TrimSpace(line), ":")
		value = strings.TrimSpace(value)
		if !ok || strings.HasPrefix(name, "#") || value == "" {
			continue
		}
		switch strings.ToLower(name) {
		case "contact":
			if len(s.Contacts) < 20 {
				s.Contacts = append(s.Contacts, value)
			}
		case "policy":
			s.Policy = value
		case "expires":
			expiries++
			if s.Expires, err = time.Parse(time.RFC3339, value); err != nil {
				s.Fault = "its Expires is no date of RFC 3339"
			}
		}
	}
	switch {
	case len(s.Contacts) == 0:
		s.Fault = "it has no Contact"
	case expiries != 1:
		s.Fault = "it has not one Expires"
	}
	s.Valid = s.Fault == ""
	return s
}

// readSome reads at most limit bytes and forgets the rest.
func readSome(r io.Reader, limit int64) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(r, limit))
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = nil // cut short by the server; what came is what there is
	}
	return text, err
}

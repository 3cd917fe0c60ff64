package facts

import (
	"bytes"
	"net"
	"net/http"
)

// What the probes read of strangers, for the tests that feed it with anything.

func ReadHeaders(h http.Header) Headers { return readHeaders(h) }

func ReadPage(text []byte) (form bool, clear int) {
	p := readPage(text)
	listing(p, text)
	signature(text)
	return p.form, len(p.clear)
}

func ReadSecurityText(text []byte, contentType string) SecurityText {
	return readSecurityText(text, contentType)
}

func ReadAnswer(text []byte, all bool) error {
	_, err := readAnswer(bytes.NewReader(text), all)
	return err
}

func ReadDKIM(all []string) DKIM               { return readDKIM(all) }
func ReadDMARC(all []string, below bool) DMARC { return readDMARC(all, below) }
func StartTLS(conn net.Conn, p string) error   { return startTLS(conn, p) }

func ReadSTS(text string, servers []string) STS {
	var s STS
	readSTS(&s, text, servers)
	return s
}

package firewall_test

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/doorward/doorward/firewall"
)

// FuzzRequest: whatever is written to the socket, the parser keeps its limits and does not fall over.
func FuzzRequest(f *testing.F) {
	for _, seed := range []string{
		`{"do":"status"}`, `{"do":"list","offset":500}`, `{"do":"add","elements":[{"p":"203.0.113.7/32","u":1790000000000000}]}`,
		`{"do":"delete","elements":[{"p":"2001:db8::/64"}]}`, `{"do":"sync","first":true,"last":true,"total":1,"elements":[{"p":"::ffff:192.0.2.1/128"}]}`,
		`{"do":"sync","first":true,"last":true}`, `{"do":"add","elements":[{"p":""}]}`, `[]`, `null`, `{"do":"status"} {}`, "{\"do\":\"\x00\"}",
		`{"do":"add","elements":[` + strings.Repeat(`{"p":"10.0.0.0/8"},`, 501) + `{}]}`, `{"DO":"status"}`, strings.Repeat("[", 10_000),
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		n, err := firewall.Check(line)
		if err == nil && (n > firewall.MaxPerLine || len(line) > firewall.MaxLine || !bytes.Contains(line, []byte(`"`))) {
			t.Errorf("%d bytes with %d elements were taken", len(line), n)
		}
	})
}

// FuzzDump: what the kernel writes is read without trust in its lengths.
func FuzzDump(f *testing.F) {
	// Table, set and one element with a timeout, as the kernel wrote them.
	seed, err := hex.DecodeString("0d000100646f6f7277617264000000000a00020076345f333200000028000380240001800c00010008000100cb0071070c0004000000000000000e100c0005000000000000000e0f")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed)
	f.Add([]byte{4, 0, 3, 128})
	f.Add([]byte{0, 0, 0, 0, 255, 255, 3, 128})
	f.Fuzz(func(t *testing.T, message []byte) {
		if n := firewall.Dumped(message); n > len(message)/4+1 {
			t.Errorf("%d elements in %d bytes", n, len(message))
		}
	})
}
